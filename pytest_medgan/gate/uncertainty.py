"""Standard errors as the gate uses them: how large, and how well known themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from pytest_medgan.catalogue import Metric
from pytest_medgan.records import Score

ADDED = 4.0  # images put to a share, half of them successes (Agresti and Coull 1998)


@dataclass(frozen=True)
class Error:
    """A standard error and how well it is itself known."""

    se: float
    freedom: float = math.inf  # degrees of freedom; infinite where very many images carry it

    def __add__(self, other: Error) -> Error:
        """Return the error of a difference of two independent estimates (Welch-Satterthwaite)."""
        total = self.se**2 + other.se**2
        spent = self.se**4 / self.freedom + other.se**4 / other.freedom
        return Error(math.sqrt(total), total**2 / spent if spent > 0 else math.inf)

    def quantile(self, risk: float) -> float:
        """Return the one-sided critical value that leaves `risk` above it."""
        upper = special.ndtri(risk) if math.isinf(self.freedom) else special.stdtrit(self.freedom, risk)
        return -float(upper)


def sampling_error(metric: Metric, score: Score, n_fake: int) -> Error:
    """Return the error of one training run's score with the reference held fixed.

    It is known with few degrees of freedom where few pairs carry it, or where it is the spread of the sample groups
    themselves. A share of 0 of N was not measured without error: two successes and two failures are added, which
    matters only within a few images of either end.

    Args:
        metric: The metric; shares are those that lie between 0 and 1.
        score: The score of one run.
        n_fake: Images per sample group.
    """
    se, groups = float(score.se), score.groups
    freedom = score.freedom
    spread = score.sd / math.sqrt(groups) if groups > 1 else math.nan
    if math.isclose(se, spread, rel_tol=1e-6) and se > 0:
        freedom = min(freedom, float(groups - 1))
    if (metric.low, metric.high) == (0.0, 1.0):
        floor = share_error(score.mean, n_fake * groups)
        if floor > se:
            return Error(floor)
    return Error(se, freedom)


def share_error(share: float, trials: int) -> float:
    """Return the standard error of a share of `trials` images once two successes and two failures are added."""
    if not 0.0 <= share <= 1.0:
        return 0.0
    total = trials + ADDED
    shrunk = (share * trials + ADDED / 2) / total
    return math.sqrt(shrunk * (1.0 - shrunk) / total)
