"""From an evaluation and limits to verdicts: which looks are taken, and when they end. No files, no pytest.

A gate looks at growing counts and stops as soon as every metric is decided or one has failed. A gate that reaches the
full count asks every metric again, those that passed early too: it costs an unchanged model nothing, and chance lets
fewer faults through. What one look says is in looking.py, the risks are in risks.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.gate.comparable import change_of, obstacle, refused, run_to_compare
from pytest_medgan.gate.difference import prior_of
from pytest_medgan.gate.looking import NO_SPREADS, Comparison, Spreads, look
from pytest_medgan.gate.risks import DEFAULT, Settings
from pytest_medgan.gate.spread import Prior
from pytest_medgan.gate.words import missing_words, sentence
from pytest_medgan.records import (
    PLAIN,
    Change,
    Evaluation,
    Limit,
    Outcome,
    Paired,
    Row,
    Scores,
    Verdict,
    VerdictCause,
)


def decide(
    evaluation: Evaluation,
    limits: Sequence[tuple[Metric, Limit]],
    settings: Settings = DEFAULT,
    *,
    paired: bool = False,
    confidence: float | None = None,
    every_look: bool = False,
) -> tuple[Verdict, ...]:
    """Judge an evaluation.

    Whether limits can be compared with is found out before anything is drawn. Where a limit is missing every look is
    computed, so that the candidate written from this evaluation is complete, and the verdict is MISSING. Once one
    metric has failed the rest are left where they stood: the gate is red whatever they would have said.

    Args:
        evaluation: The candidate.
        limits: Metrics and what each is compared with.
        settings: The risks.
        paired: Compare image by image with the accepted model on common latents; the change is one of form.
        confidence: How certain limits without margin must be kept; None lets the mean decide at the full count.
        every_look: Judge every look up to the full count, whatever the earlier ones say.

    Returns:
        One verdict per limit, in order.
    """
    known = {i: obstacle(metric, limit, evaluation) for i, (metric, limit) in enumerate(limits)}
    if any(known.values()):
        return tuple(
            _worded(known[i] or Verdict(metric, Outcome.UNDECIDED, limit.origin, VerdictCause.STOPPED, row=limit.row))
            for i, (metric, limit) in enumerate(limits)
        )
    gate = _Gate(evaluation, settings, every_look)
    for metric, limit in limits:
        gate.add(ask(metric, limit, evaluation, paired=paired, confidence=confidence))
    verdicts = gate.run(paired)
    late = [obstacle(metric, limit, evaluation) for metric, limit in limits]  # a canary may exist only by now
    return tuple(_worded(refusal or verdict) for refusal, verdict in zip(late, verdicts, strict=True))


def ask(
    metric: Metric, limit: Limit, evaluation: Evaluation, *, paired: bool = False, confidence: float | None = None
) -> Comparison | Verdict:
    """Return how a limit is compared with an evaluation; a Verdict where it cannot be."""
    row, counts = limit.of, tuple(sorted(evaluation.counts))
    if limit.kind == "missing":
        words = missing_words(limit.row, limit.origin)
        return Verdict(metric, Outcome.MISSING, limit.origin, VerdictCause.NO_ROW, words, limit.row)
    if PLAIN in limit.values:
        looks = counts if metric.free_of_n else counts[-1:]
    else:
        looks = tuple(n for n in counts if n in limit.values)
    if not looks:
        has, asked = (", ".join(f"{n:,}" for n in sorted(some)) for some in (limit.values, counts))
        words = f"the limit has a value at {has} images, not at {asked}"
        return refused(metric, limit, VerdictCause.NO_COUNT, words)
    if limit.margin is None or row is None:
        return Comparison(metric, limit, looks, confidence=confidence)
    change = Change.CHECKPOINT if paired else change_of(row, evaluation)
    if change is Change.RECIPE:
        return Comparison(metric, limit, looks, change)
    accepted = evaluation.paired(counts[0]) if paired and len(row.runs) > 1 else None
    run = run_to_compare(row, (evaluation.identity, None if accepted is None else accepted.model))
    if run is None:
        return refused(metric, limit, VerdictCause.WHICH_RUN)
    identity = row.runs[run].checkpoint if row.runs else None
    return Comparison(metric, limit, looks, change, run, identity, paired)


@dataclass
class _Gate:
    """The comparisons of one gate and how far they have come."""

    evaluation: Evaluation
    settings: Settings
    every_look: bool = False
    asked: list[Comparison | Verdict] = field(default_factory=list)
    state: dict[int, Verdict] = field(default_factory=dict)  # the latest verdict, by place
    _spreads: dict[tuple[int, int, int], Spreads] = field(default_factory=dict)

    def add(self, item: Comparison | Verdict) -> None:
        """Add a comparison, or what stands in its way."""
        if isinstance(item, Verdict):
            self.state[len(self.asked)] = item
        self.asked.append(item)

    def run(self, paired: bool) -> list[Verdict]:
        """Look until all is decided, and return the verdicts in order."""
        counts = tuple(sorted(self.evaluation.counts))
        missing = any(verdict.outcome is Outcome.MISSING for verdict in self.state.values())
        questions = {i: item for i, item in enumerate(self.asked) if isinstance(item, Comparison)}
        still_open = set(questions)
        if self.state and not missing:
            still_open = set()  # a limit cannot be compared with: red already, so nothing is drawn
        for n in counts:
            if not (still_open or missing or (self.every_look and questions)):
                break
            scores = self.evaluation.at(n)
            beside = self.evaluation.paired(n) if paired else None
            for i, question in questions.items():
                last = n == question.full
                again = last and i in self.state and self.state[i].outcome in _PASSED
                if (i in still_open and n in question.looks) or again:
                    self.state[i] = self._look(question, scores, beside)
                    if last or self.state[i].outcome is not Outcome.UNDECIDED:
                        still_open.discard(i)
            if not missing and not self.every_look and self._failed(still_open):
                break
        if missing:
            self._complete(counts)
        return [self._final(i, i in still_open) for i in range(len(self.asked))]

    def _look(self, question: Comparison, scores: Scores, beside: Paired | None) -> Verdict:
        """Take one look at one metric."""
        row = question.limit.of
        metrics = len(METRICS) if row is None or not row.family else row.family
        settings = replace(self.settings, metrics=max(metrics, self.settings.metrics, len(self.asked)))
        if row is None or question.change is not Change.RECIPE:
            return look(question, scores, settings, NO_SPREADS, beside)
        key = (id(row), scores.n_fake, question.full)
        if key not in self._spreads:
            self._spreads[key] = spreads_of(row, scores, question.full)
        return look(question, scores, settings, self._spreads[key], beside)

    def _failed(self, still_open: set[int]) -> bool:
        """Whether a metric is red for good."""
        closed = (verdict for i, verdict in self.state.items() if i not in still_open)
        return any(not verdict.outcome.green and verdict.outcome is not Outcome.BLIND for verdict in closed)

    def _complete(self, counts: Sequence[int]) -> None:
        """Add what was measured to verdicts that had nothing to compare with."""
        scores = self.evaluation.at(counts[-1])
        for i, verdict in self.state.items():
            if verdict.cause is VerdictCause.NO_ROW and verdict.metric.name in scores:
                self.state[i] = replace(
                    verdict,
                    measured=scores[verdict.metric.name],
                    n_fake=counts[-1],
                    volumes=scores.volumes,
                    looks=tuple(counts),
                )

    def _final(self, place: int, left_open: bool) -> Verdict:
        """Return the verdict of a metric; one that another metric's failure left open says so."""
        item, verdict = self.asked[place], self.state.get(place)
        if verdict is not None and not left_open:
            return verdict
        if verdict is None:
            metric, limit = (item.metric, item.limit) if isinstance(item, Comparison) else (None, None)
            if metric is None or limit is None:
                raise LookupError("a comparison without a verdict")
            verdict = Verdict(metric, Outcome.UNDECIDED, limit.origin, row=limit.row)
        return replace(verdict, outcome=Outcome.UNDECIDED, cause=VerdictCause.STOPPED, reason="", needed_margin=None)


_PASSED = (Outcome.PASS, Outcome.STALE, Outcome.BLIND)


def spreads_of(row: Row, scores: Scores, full: int) -> Spreads:
    """Return how the training runs of row and candidate vary, over all metrics of the row."""
    n, several = scores.n_fake, len(scores.runs) > 1
    if len(row.runs) <= 1 and not several:
        return NO_SPREADS
    known: Mapping[str, Metric] = {**METRICS, **scores.custom}
    metrics = [known[name] for name in row.entries if name in known]

    def of_row(count: int) -> Prior | None:
        pairs = [(m, (row.entries[m.name].at[count],)) for m in metrics if count in row.entries[m.name].at]
        return prior_of(pairs, count) if len(row.runs) > 1 else None

    def of_both() -> Prior:
        pairs = [
            (m, (row.entries[m.name].at[n], scores[m.name]))
            for m in metrics
            if n in row.entries[m.name].at and m.name in scores
        ]
        return prior_of(pairs, n)

    return Spreads(of_both() if several else of_row(n), of_row(n), of_row(full))


def _worded(verdict: Verdict) -> Verdict:
    """Return the verdict with its cause in words."""
    return verdict if verdict.reason else replace(verdict, reason=sentence(verdict))
