"""Standard errors as the gate uses them: how large, and how well known themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from pytest_medgan.catalogue import Metric
from pytest_medgan.records import LimitValue, MetricScore


@dataclass(frozen=True)
class Error:
    """A standard error and how well it is itself known."""

    se: float
    freedom: float = math.inf  # degrees of freedom; infinite when it rests on the images rather than on the groups

    def __add__(self, other: Error) -> Error:
        """Of a difference of two independent estimates (Welch-Satterthwaite)."""
        total = self.se**2 + other.se**2
        spent = self.se**4 / self.freedom + other.se**4 / other.freedom
        return Error(math.sqrt(total), total**2 / spent if spent > 0 else math.inf)

    def quantile(self, risk: float) -> float:
        """The one-sided critical value that leaves `risk` above it."""
        upper = special.ndtri(risk) if math.isinf(self.freedom) else special.stdtrit(self.freedom, risk)
        return -float(upper)


def measured_error(metric: Metric, score: MetricScore, n_fake: int) -> Error:
    """The error of a measured mean over its sample groups of `n_fake` images each."""
    groups = len(score.values)
    return _error(metric, LimitValue(float(score.mean), float(score.se), float(score.sd), groups=groups), n_fake)


def limit_error(metric: Metric, value: LimitValue, n_fake: int) -> Error:
    """The error of a value that was measured, as its file tells it."""
    return _error(metric, value, n_fake)


def _error(metric: Metric, value: LimitValue, n_fake: int) -> Error:
    """Student's t where the error is the groups' own spread, and a floor for shares near 0 and 1.

    A share of 0 out of N was not measured without error: two successes and two failures are added (Agresti and Coull
    1998), which only matters within a few images of either end.
    """
    se, groups = value.se, value.groups
    spread = value.sd / math.sqrt(groups) if groups > 1 else math.nan
    freedom = float(groups - 1) if math.isclose(se, spread, rel_tol=1e-6) and se > 0 else math.inf
    if (metric.low, metric.high) == (0.0, 1.0):
        floor = share_error(value.value, n_fake * groups, 4.0)
        if floor > se:
            return Error(floor)
    return Error(se, freedom)


def share_error(share: float, trials: int, added: float) -> float:
    """Standard error of a share of `trials` images once `added` trials, half of them successes, are put in."""
    if not 0.0 <= share <= 1.0:
        return 0.0
    total = trials + added
    shrunk = (share * trials + added / 2) / total
    return math.sqrt(shrunk * (1.0 - shrunk) / total)
