"""How a comparison ended, and the numbers that led there."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from pytest_medgan.catalogue import Metric
from pytest_medgan.records.scores import MetricScore


class Outcome(enum.StrEnum):
    """How a comparison ended. Only PASS and STALE are green."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    INCOMPARABLE = "INCOMPARABLE"
    MISSING = "MISSING"
    STALE = "STALE"  # so much better that the baseline should be renewed

    @property
    def green(self) -> bool:
        """Whether the comparison passed."""
        return self in (Outcome.PASS, Outcome.STALE)


@dataclass(frozen=True)
class Verdict:
    """What was compared and what came of it."""

    metric: Metric
    outcome: Outcome
    measured: MetricScore | None  # at the deciding look; None when nothing was measured
    n_fake: int | None  # images per sample group at the deciding look
    limit: float | None  # the limit's own value at that count
    margin: float | None  # in metric units, on the worse side of the limit
    origin: str  # where the limit came from, file:line
    row: str | None = None
    loss: float | None = None  # how much worse than the limit; negative is better
    loss_se: float | None = None  # reference held fixed, the baseline's own included
    critical: float | None = None  # multiple of loss_se that the look asked for
    reason: str = ""  # one line: why it is not PASS, or what to renew
    needed_margin: float | None = None  # undecided: the margin that would have passed
    looks: tuple[int, ...] = ()  # the counts looked at
    real: float | None = None  # the Real row's value at that count

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for report.user_properties and JSON."""
        measured = self.measured
        return {
            "metric": self.metric.name,
            "label": self.metric.label,
            "higher_is_better": self.metric.higher_is_better,
            "outcome": str(self.outcome),
            "mean": None if measured is None else measured.mean,
            "sd": None if measured is None else measured.sd,
            "values": None if measured is None else list(measured.values),
            "se": None if measured is None else measured.se,
            "decimals": self.metric.decimals,
            "n_fake": self.n_fake,
            "limit": self.limit,
            "margin": self.margin,
            "origin": self.origin,
            "row": self.row,
            "loss": self.loss,
            "loss_se": self.loss_se,
            "critical": self.critical,
            "reason": self.reason,
            "needed_margin": self.needed_margin,
            "looks": list(self.looks),
            "real": self.real,
        }
