"""How much worse a candidate is than a row, and how well that is known.

Both sides are measured with errors. Where nothing is known of training runs, the error of the difference is that of
sampling: both sides' standard errors in quadrature. A row that came out low by chance has a low standard error as well
(the same few images make both), so a margin made of the row's error alone is narrowest where the row was lucky.

Values are compared as they are, not their logarithms. A logarithm would suit FID, whose error grows with its value, and
would see more at small counts; but where a few images are far out it turns unchanged models red by itself more often
than the whole gate may: FID alone 0.2% to 0.7% at 64 and 120 images, as it is at most 0.01%. The intensity distance is
red no more often either way, and its logarithm sees less (`python -m benchmarks.gate_trust.scale`).

Where the row or the candidate holds several training runs, their spread adds to the error (spread.py): with s the
variance of one run's value that sampling does not explain,

    error^2 = sampling^2 + s (1 / runs of the row + 1 / runs of the candidate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.spread import NO_PRIOR, Prior, fit_prior
from pytest_medgan.gate.uncertainty import Error, sampling_error
from pytest_medgan.records import Score


@dataclass(frozen=True)
class Difference:
    """A candidate less a row, signed so that positive is worse."""

    loss: float  # in metric units
    error: Error
    extra: float = 0.0  # variance of one training run's value that sampling does not explain
    between: float = 0.0  # the part of the error that is due to training runs
    run_sd: float | None = None  # standard deviation of one training run's value; None where nothing tells it


@dataclass(frozen=True)
class Spread:
    """The variance of training runs around their mean, in one metric."""

    ratio: float  # over the variance of sampling
    freedom: int  # runs less the number of sides that have a mean of their own
    sampling: float  # mean variance of sampling of one run


def spread_of(metric: Metric, n_fake: int, *sides: Score) -> Spread:
    """Return the spread of the runs of a row, or of row and candidate together around their own means."""
    several = [side for side in sides if side.runs]
    if not several:
        return Spread(math.nan, 0, math.nan)
    freedom = sum(len(side.runs) - 1 for side in several)
    sampling = float(np.mean([sampling_error(metric, run, n_fake).se ** 2 for side in several for run in side.runs]))
    if not sampling > 0:
        return Spread(math.nan, 0, sampling)
    squares = math.fsum((run.mean - side.mean) ** 2 for side in several for run in side.runs)
    return Spread(squares / freedom / sampling, freedom, sampling)


def prior_of(pairs: Iterable[tuple[Metric, tuple[Score, ...]]], n_fake: int) -> Prior:
    """Return what the spreads of all metrics have in common; `pairs` are a metric and the sides that have runs."""
    found = [spread_of(metric, n_fake, *sides) for metric, sides in pairs]
    known = [spread for spread in found if spread.freedom > 0]
    if not known:
        return NO_PRIOR
    return fit_prior([spread.ratio for spread in known], float(min(spread.freedom for spread in known)))


def difference(
    metric: Metric,
    base: Score,
    candidate: Score,
    n_fake: int,
    prior: Prior | None = None,
    *,
    selected_from: int = 0,
) -> Difference:
    """Compare a candidate with a row in one metric.

    Args:
        metric: The metric, whose direction counts.
        base: The row's score.
        candidate: The candidate's score.
        n_fake: Images per sample group, of both.
        prior: What the metrics' runs have in common; None where training runs do not count.
        selected_from: Runs that the row's were chosen from as the best; 0 where none was left out. An unchanged recipe
            is then expected to be worse than the row, by as much as the best of so many differ from the mean.
    """
    sign = -1.0 if metric.higher_is_better else 1.0
    loss = sign * (candidate.mean - base.mean)
    sampling = _of_mean(metric, base, n_fake) + _of_mean(metric, candidate, n_fake)
    spread = spread_of(metric, n_fake, base, candidate)
    if prior is None or spread.freedom == 0:
        return Difference(loss, sampling)
    moderated = prior.moderate(spread.ratio, spread.freedom)
    extra = (moderated.ratio - 1.0) * spread.sampling  # variance of one run that sampling does not explain
    ours, theirs = len(candidate.each_run()), len(base.each_run())
    between = math.sqrt(extra * (1.0 / ours + 1.0 / theirs))
    loss -= advantage_of_best(theirs, selected_from) * math.sqrt(extra)
    error = Error(math.hypot(sampling.se, between), moderated.freedom)
    return Difference(loss, error, extra, between, math.sqrt(extra + spread.sampling))


def against_anchor(metric: Metric, anchor: Score, candidate: Score, n_fake: int, seen: Difference) -> Difference:
    """Compare a candidate with the anchor; `seen` is its difference from the row, which tells the spread of runs."""
    sign = -1.0 if metric.higher_is_better else 1.0
    own = _of_mean(metric, candidate, n_fake)
    between = math.sqrt(seen.extra / len(candidate.each_run()))
    error = Error(math.hypot(own.se, between, anchor.se), seen.error.freedom)
    return Difference(sign * (candidate.mean - anchor.mean), error, seen.extra, between, seen.run_sd)


def error_as_mean(metric: Metric, score: Score, n_fake: int, prior: Prior | None = None) -> float:
    """Return the standard error of a row's value as an estimate of what its recipe gives on average."""
    found = expected_difference(metric, score, n_fake, prior)
    return math.hypot(_of_mean(metric, score, n_fake).se, math.sqrt(found.extra / len(score.each_run())))


def mean_of_recipe(metric: Metric, row: Score, selected_from: int, n_fake: int, seen: Difference) -> Score:
    """Return what the recipe of a selected row is expected to give on average, worse than the row, with its error.

    Args:
        metric: The metric, whose direction and range count.
        row: The selected row's score.
        selected_from: Runs that the row's were chosen from as the best.
        n_fake: Images per sample group.
        seen: Its difference from another row, which tells the spread of runs: those that were chosen lie too close.
    """
    runs = len(row.each_run())
    worse = -1.0 if metric.higher_is_better else 1.0
    value = row.mean + worse * advantage_of_best(runs, selected_from) * math.sqrt(seen.extra)
    se = math.hypot(_of_mean(metric, row, n_fake).se, math.sqrt(seen.extra / runs))
    return Score(min(max(value, metric.low), metric.high), se, groups=row.groups)


def expected_difference(
    metric: Metric, base: Score, n_fake: int, prior: Prior | None = None, runs: int = 1
) -> Difference:
    """Return what is known of the difference before a candidate is measured: `runs` runs, each as the row's own.

    Args:
        metric: The metric.
        base: The row's score.
        n_fake: Images per sample group.
        prior: What the row's metrics have in common; None where training runs do not count.
        runs: Training runs of the candidate.
    """
    own = base.each_run()
    errors = [sampling_error(metric, run, n_fake) for run in own]
    sampling = float(np.mean([error.se**2 for error in errors]))
    parts = 1.0 / runs + 1.0 / len(own)
    spread = spread_of(metric, n_fake, base)
    if prior is None or spread.freedom == 0:
        freedom = errors[0].freedom * (runs + len(own))
        return Difference(0.0, Error(math.sqrt(sampling * parts), freedom))
    moderated = prior.moderate(spread.ratio, spread.freedom)
    extra = (moderated.ratio - 1.0) * sampling
    error = Error(math.sqrt((sampling + extra) * parts), moderated.freedom)
    return Difference(0.0, error, extra, math.sqrt(extra * parts), math.sqrt(extra + sampling))


@cache
def advantage_of_best(kept: int, trained: int) -> float:
    """Return by how many standard deviations the mean of the `kept` best of `trained` runs is expected to be better.

    Examples:
        >>> round(advantage_of_best(1, 5), 3)
        1.163
        >>> advantage_of_best(5, 5)
        0.0
    """
    if trained <= kept:
        return 0.0
    at = np.linspace(-8.0, 8.0, 4001)
    law, density = stats.norm.cdf(at), stats.norm.pdf(at)
    ranks = range(trained - kept + 1, trained + 1)  # ascending, the best last
    means = [np.trapezoid(at * density * stats.beta.pdf(law, rank, trained + 1 - rank), at) for rank in ranks]
    return float(np.mean(means))


def _of_mean(metric: Metric, score: Score, n_fake: int) -> Error:
    """Return the error of sampling of a score, which is the mean of its runs."""
    runs = score.each_run()
    total = Error(0.0)
    for run in runs:
        found = sampling_error(metric, run, n_fake)
        total = total + Error(found.se / len(runs), found.freedom)
    return total


def from_number(metric: Metric, number: float, candidate: Score, n_fake: int) -> Difference:
    """Compare a candidate with a plain number, which has no error."""
    sign = -1.0 if metric.higher_is_better else 1.0
    return Difference(sign * (candidate.mean - number), _of_mean(metric, candidate, n_fake))
