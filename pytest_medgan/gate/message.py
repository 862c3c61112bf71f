"""What a failure says: the metric, what was measured, the limit and where it stands, and how to accept the change."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_medgan.records import Outcome, Verdict

_WORDS = {
    Outcome.FAIL: "is beyond its limit",
    Outcome.UNDECIDED: "is undecided at the full count, which is not a pass",
    Outcome.INCOMPARABLE: "cannot be compared with its limit",
    Outcome.MISSING: "has nothing to be compared with, or was not measured",
}


def failure(verdicts: Sequence[Verdict], accept_command: str | None) -> str:
    """The message of a failed assertion; `verdicts` are all that were compared, the failed among them."""
    failed = [verdict for verdict in verdicts if not verdict.outcome.green and not left_open(verdict)]
    failed = failed or [verdict for verdict in verdicts if not verdict.outcome.green]
    others = [verdict for verdict in verdicts if verdict not in failed]
    head = f"{failed[0].metric.label} {_WORDS[failed[0].outcome]}" if len(failed) == 1 else _several(failed, verdicts)
    lines = [head]
    for verdict in failed:
        lines += paragraph(verdict)
    if others:
        lines += ["", "what else moved:", *(f"  {moved(verdict)}" for verdict in others)]
    row = next((verdict.row for verdict in failed if verdict.row not in (None, "Real")), None)
    if accept_command and row:
        lines += ["", "to accept the change:", f"  {accept_command} --row {_quoted(row)} --reason '...'"]
    return "\n".join(lines)


def paragraph(verdict: Verdict) -> list[str]:
    """One metric in full."""
    metric, score = verdict.metric, verdict.measured
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    lines = ["", f"{metric.name} {metric.arrow} ({direction}): {verdict.outcome}"]
    if score is not None:
        groups = len(score.values)
        what = f"{groups} groups of {verdict.n_fake:,} images" if groups > 1 else f"{verdict.n_fake:,} images"
        lines.append(f"  measured  {score}  ({what})")
    if verdict.limit is not None:
        margin = "" if verdict.margin is None else f", margin {_number(verdict, verdict.margin)}"
        lines.append(f"  limit     {_number(verdict, verdict.limit)}{margin}  ({_origin(verdict)})")
    else:
        lines.append(f"  limit     {_origin(verdict)}")
    if verdict.loss is not None:
        worse = "worse" if verdict.loss > 0 else "better"
        error = f" ± {_number(verdict, verdict.loss_se)} (standard error)" if verdict.loss_se else ""
        times = f", judged at {verdict.critical:.2f} standard errors" if verdict.critical else ""
        lines.append(f"  change    {_number(verdict, abs(verdict.loss))}{error} {worse}{times}")
    if verdict.real is not None:
        lines.append(f"  Real row  {_number(verdict, verdict.real)}")
    if verdict.reason:
        lines.append(f"  because   {verdict.reason}")
    return lines


def moved(verdict: Verdict) -> str:
    """One metric in one line."""
    if verdict.measured is None or verdict.limit is None or verdict.loss is None:
        return f"{verdict.metric.name}: {verdict.outcome} {verdict.reason}".rstrip()
    worse = "worse" if verdict.loss > 0 else "better"
    times = f" ({abs(verdict.loss) / verdict.loss_se:.1f} standard errors {worse})" if verdict.loss_se else ""
    was = _number(verdict, verdict.limit)
    return f"{verdict.metric.name} {verdict.metric.arrow}: {was} -> {verdict.measured}{times}, {_state(verdict)}"


def left_open(verdict: Verdict) -> bool:
    """Whether the metric was still open when another one ended the gate."""
    return verdict.outcome is Outcome.UNDECIDED and verdict.needed_margin is None and "another" in verdict.reason


def _state(verdict: Verdict) -> str:
    return "left open" if left_open(verdict) else str(verdict.outcome)


def _several(failed: Sequence[Verdict], verdicts: Sequence[Verdict]) -> str:
    names = ", ".join(verdict.metric.name for verdict in failed)
    return f"{len(failed)} of {len(verdicts)} metrics do not pass: {names}"


def _origin(verdict: Verdict) -> str:
    return f"{verdict.origin}, row {verdict.row}" if verdict.row else verdict.origin


def _number(verdict: Verdict, value: float | None) -> str:
    """With the metric's decimals, or with two significant digits where those would show nothing."""
    if value is None:
        return "?"
    shown = f"{value:.{verdict.metric.decimals}f}"
    return shown if value == 0 or float(shown) != 0 else f"{value:.2g}"


def _quoted(row: str) -> str:
    return row if row.replace("-", "").replace("_", "").replace(".", "").isalnum() else f'"{row}"'
