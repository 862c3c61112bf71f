"""What a failure says: the metric, what was measured, the limit and where it stands, and how to accept the change."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence

from pytest_medgan.catalogue import Metric
from pytest_medgan.records import Outcome, Score, Verdict, VerdictCause

_WORDS = {
    Outcome.FAIL: "is beyond its limit",
    Outcome.UNDECIDED: "is undecided at the full count, which is not a pass",
    Outcome.INCOMPARABLE: "cannot be compared with its limit",
    Outcome.MISSING: "has nothing to be compared with, or was not measured",
    Outcome.BLIND: "is blind: a loss that matters could not be seen",
}
_LOSSES = (Outcome.FAIL, Outcome.UNDECIDED)
OVERRIDE_DRIFT = "--override drift"  # of `medgan baseline accept`: a loss is accepted
OVERRIDE_FINGERPRINT = "--override fingerprint"  # scores of other conditions are accepted


def failure(verdicts: Sequence[Verdict], accept_command: str | None, *, together: bool = False) -> str:
    """Return the message of a failed assertion.

    Args:
        verdicts: All that were compared, the failed among them.
        accept_command: "medgan baseline accept CANDIDATE"; None where there is no candidate.
        together: Metrics that are blind failed only where nothing else did.
    """
    failed = _failed(verdicts, together)
    others = [verdict for verdict in verdicts if verdict not in failed]
    head = f"{failed[0].metric.label} {_WORDS[failed[0].outcome]}" if len(failed) == 1 else _several(failed, verdicts)
    shared = _shared_reason(failed)
    lines = [head, *([f"  because   {shared}"] if shared else [])]
    for verdict in failed:
        lines += paragraph(verdict, reason=not shared)
    if others:
        lines += ["", "what else moved:", *(f"  {moved(verdict)}" for verdict in others)]
    row = next((verdict.row for verdict in failed if verdict.row not in (None, "Real")), None)
    if accept_command and row:
        lines += ["", *_how_to_accept(failed, accept_command, row)]
    return "\n".join(lines)


def _how_to_accept(failed: Sequence[Verdict], accept_command: str, row: str) -> list[str]:
    """Return what accepts the change. Under other conditions nothing was measured, so the gate has to run first."""
    if all(verdict.cause is VerdictCause.OTHER_CONDITIONS for verdict in failed):
        return [
            "if the difference is intended, compare with a row of its own, or replace this row: run again with "
            "--medgan-full, then",
            f"  {accept_command} --row {_quoted(row)} {OVERRIDE_FINGERPRINT} --reason '...'",
        ]
    override = f" {OVERRIDE_DRIFT}" if is_loss(failed) else ""
    return ["to accept the change:", f"  {accept_command} --row {_quoted(row)}{override} --reason '...'"]


def is_loss(verdicts: Iterable[Verdict]) -> bool:
    """Whether accepting a candidate with these verdicts would accept a loss, which needs OVERRIDE_DRIFT."""
    return any(verdict.outcome in _LOSSES and verdict.margin is not None for verdict in verdicts)


def paragraph(verdict: Verdict, *, reason: bool = True) -> list[str]:
    """Return one metric in full; `reason` is left out where all metrics share it."""
    metric, score = verdict.metric, verdict.measured
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    lines = ["", f"{metric.name} {metric.arrow} ({direction}): {verdict.outcome}"]
    if score is not None:
        lines.append(f"  measured  {show_score(metric, score)}  ({_sample(score, verdict)})")
    if verdict.limit is not None:
        sign = ">=" if metric.higher_is_better else "<="
        bound = "" if verdict.margin is None else f", has to be {sign} {_number(verdict, verdict.bound)}"
        if verdict.margin is not None and verdict.cannot_fail:
            bound = ", any value passes"
        lines.append(f"  limit     {_number(verdict, verdict.limit)}{bound}  ({_origin(verdict)})")
    else:
        lines.append(f"  limit     {_origin(verdict)}")
    if verdict.loss is not None:
        worse = "worse" if verdict.loss > 0 else "better"
        error = f" ± {_number(verdict, verdict.loss_se)} (standard error)" if verdict.loss_se else ""
        times = f", judged at {verdict.critical:.2f} standard errors" if verdict.critical else ""
        lines.append(f"  change    {_number(verdict, abs(verdict.loss))}{error} {worse}{_errors(verdict)}{times}")
    if verdict.power:
        lines.append(f"  power     {verdict.power}")
    if verdict.anchor is not None:
        lines.append(f"  anchor    {_number(verdict, verdict.anchor)}")
    if verdict.real is not None:
        lines.append(f"  Real row  {_number(verdict, verdict.real)}")
    if verdict.reason and reason:
        lines.append(f"  because   {verdict.reason}")
    return lines


def moved(verdict: Verdict) -> str:
    """Return one metric in one line."""
    if verdict.measured is None or verdict.limit is None or verdict.loss is None:
        return f"{verdict.metric.name}: {verdict.outcome} {verdict.reason}".rstrip()
    was, now = _number(verdict, verdict.limit), show_score(verdict.metric, verdict.measured)
    return f"{verdict.metric.name} {verdict.metric.arrow}: {was} -> {now}{_errors(verdict)}, {_state(verdict)}"


def show_score(metric: Metric, score: Score) -> str:
    """Return a value and its spread with the metric's own number of decimals.

    Examples:
        >>> from pytest_medgan.catalogue import METRICS
        >>> show_score(METRICS["fid"], Score(20.1234, sd=0.5, groups=3))
        '20.123 ± 0.500'
    """
    spread = "" if math.isnan(score.sd) else f" ± {score.sd:.{metric.decimals}f}"
    return f"{score.mean:.{metric.decimals}f}{spread}"


def left_open(verdict: Verdict) -> bool:
    """Whether the metric was still open when another one ended the gate."""
    return verdict.cause is VerdictCause.STOPPED


def _failed(verdicts: Sequence[Verdict], together: bool) -> list[Verdict]:
    """Return the verdicts that a failure is about."""
    red = [verdict for verdict in verdicts if not verdict.outcome.green]
    closed = [verdict for verdict in red if not left_open(verdict)]
    worst = [verdict for verdict in closed if verdict.outcome is not Outcome.BLIND or not together]
    return worst or closed or red


def _shared_reason(failed: Sequence[Verdict]) -> str:
    """Return the reason that several failed metrics have in common; empty where they differ."""
    reasons = {verdict.reason for verdict in failed}
    return reasons.pop() if len(reasons) == 1 and len(failed) > 1 else ""


def _sample(score: Score, verdict: Verdict) -> str:
    """Say what a value was measured on."""
    images = f"{verdict.n_fake:,} {f'slices of {verdict.volumes:,} volumes' if verdict.volumes else 'images'}"
    images = f"{score.groups} groups of {images}" if score.groups > 1 else images
    return f"{len(score.runs)} training runs, each {images}" if score.runs else images


def _errors(verdict: Verdict) -> str:
    """Return the distance in standard errors, and in standard deviations of training runs where they are known."""
    if verdict.loss is None or not verdict.loss_se:
        return ""
    worse = "worse" if verdict.loss > 0 else "better"
    runs = f", {abs(verdict.loss) / verdict.run_sd:.1f} run-to-run sd" if verdict.run_sd else ""
    return f" ({abs(verdict.loss) / verdict.loss_se:.1f} standard errors {worse}{runs})"


def _state(verdict: Verdict) -> str:
    return "left open" if left_open(verdict) else str(verdict.outcome)


def _several(failed: Sequence[Verdict], verdicts: Sequence[Verdict]) -> str:
    names = ", ".join(verdict.metric.name for verdict in failed)
    return f"{len(failed)} of {len(verdicts)} metrics do not pass: {names}"


def _origin(verdict: Verdict) -> str:
    return f"{verdict.origin}, row {verdict.row}" if verdict.row else verdict.origin


def _number(verdict: Verdict, value: float | None) -> str:
    """Return a value with the metric's decimals, or with two significant digits where those would show nothing."""
    if value is None:
        return "?"
    shown = f"{value:.{verdict.metric.decimals}f}"
    return shown if value == 0 or float(shown) != 0 else f"{value:.2g}"


def _quoted(row: str) -> str:
    """Return a row's name as a shell takes it."""
    if set(row) & set('"$`\\!\n'):  # what a shell reads inside double quotes
        return shlex.quote(row)
    return row if row.replace("-", "").replace("_", "").replace(".", "").isalnum() else f'"{row}"'
