"""How far training runs of one recipe lie apart, estimated from few runs with the help of all metrics.

Two runs of one recipe differ by more than chance of sampling: another training seed leads to another network. For each
metric let x be the variance of the runs' values over the mean variance of their sampling errors; without any spread of
training x is 1 on average. Three or five runs tell x badly for one metric, and all metrics together tell roughly how
large it is, so every x is drawn towards what is usual (Smyth 2004, section 6.2, as the R package limma does for
genes): with a scaled inverse chi-square prior of d0 degrees of freedom and location s0,

    v = (d0 s0 + d x) / (d0 + d)     and a difference of means follows Student's t with d0 + d degrees of freedom.

The prior is fitted by moments of log x over the metrics. Metrics of the same runs are correlated and some, such as
copy rates, do not vary at all, so d0 is held below `MOST`: it never counts for more than four runs. A spread below
that of sampling is not believed: v is at least 1.

References:
    Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments", Statistical Applications in Genetics and Molecular Biology 3(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

MOST = 4.0  # degrees of freedom that the prior may count for


@dataclass(frozen=True)
class Prior:
    """What the metrics of a row have in common: how many times the sampling variance their runs vary."""

    freedom: float  # d0; 0 where the metrics tell nothing
    location: float  # s0, a ratio of variances

    def moderate(self, ratio: float, freedom: float) -> Moderated:
        """Draw one metric's ratio of variances, of `freedom` degrees of freedom, towards what is usual."""
        total = self.freedom + freedom
        if total <= 0:
            return Moderated(math.nan, 0.0)
        return Moderated(max(1.0, (self.freedom * self.location + freedom * ratio) / total), total)


@dataclass(frozen=True)
class Moderated:
    """A metric's ratio of variances after moderation."""

    ratio: float  # v: variance of a run's value over its sampling variance, at least 1; nan where no run tells it
    freedom: float  # degrees of freedom that it is known with


NO_PRIOR = Prior(0.0, 1.0)


def fit_prior(ratios: Sequence[float], freedom: float) -> Prior:
    """Fit the prior by moments of the logarithms.

    Args:
        ratios: Variance of the runs over their sampling variance, one per metric. Metrics whose runs agree exactly
            (ratio 0) say nothing and are left out.
        freedom: Degrees of freedom of each ratio, the number of runs less one.
    """
    logs = [math.log(ratio) for ratio in ratios if ratio > 0 and math.isfinite(ratio)]
    if len(logs) < 2 or freedom <= 0:
        return NO_PRIOR
    mean = math.fsum(logs) / len(logs)
    variance = math.fsum((one - mean) ** 2 for one in logs) / (len(logs) - 1)
    left = variance - float(special.polygamma(1, freedom / 2))  # what a chi-square of `freedom` does not explain
    own = MOST if left <= 0 else min(MOST, 2.0 * _inverse_trigamma(left))
    location = math.exp(mean - _log_bias(freedom) + _log_bias(own))
    return Prior(own, location)


def _log_bias(freedom: float) -> float:
    """Return the mean of the logarithm of a chi-square over its degrees of freedom."""
    return float(special.digamma(freedom / 2)) - math.log(freedom / 2)


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on its reciprocal, which is convex (Smyth 2004, appendix)."""
    x = 0.5 + 1.0 / value
    for _ in range(60):
        found = float(special.polygamma(1, x))
        step = found * (1.0 - found / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
