"""The spread of training runs: the prior's moments, shrinkage and the promise on simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from pytest_medgan.gate.spread import MOST, NO_PRIOR, Prior, fit_prior


def test_a_ratio_is_drawn_towards_the_location_by_the_degrees_of_freedom():
    found = Prior(4.0, 10.0).moderate(4.0, 2.0)
    assert (found.ratio, found.freedom) == ((4 * 10 + 2 * 4) / 6, 6.0)


def test_a_spread_below_that_of_sampling_counts_as_one():
    assert Prior(4.0, 0.2).moderate(0.1, 2.0).ratio == 1.0


def test_without_runs_and_without_prior_nothing_is_known():
    found = NO_PRIOR.moderate(3.0, 0.0)
    assert math.isnan(found.ratio)
    assert found.freedom == 0.0


@pytest.mark.parametrize("ratios", [[], [3.0], [0.0, 0.0, 0.0], [0.0, 5.0], [math.nan, math.inf, 2.0]])
def test_fewer_than_two_metrics_that_vary_give_no_prior(ratios):
    assert fit_prior(ratios, 2.0) == NO_PRIOR


def test_one_run_gives_no_prior():
    assert fit_prior([1.0, 2.0, 3.0], 0.0) == NO_PRIOR


def test_equal_ratios_give_the_most_confident_prior_at_their_own_location():
    """With no variance left the prior is as strong as allowed; its mean of log x is then that of the data."""
    found = fit_prior([7.0] * 14, 4.0)
    assert found.freedom == MOST == 4.0
    bias = [float(special.digamma(d / 2)) - math.log(d / 2) for d in (4.0, MOST)]
    assert found.location == pytest.approx(7.0 * math.exp(bias[1] - bias[0]))


def test_the_moments_find_the_prior_that_drew_the_ratios():
    """A scaled inverse chi-square prior of 3 degrees of freedom: 20,000 ratios tell it to a few percent."""
    rng = np.random.default_rng(1)
    true = 5.0 * 3.0 / rng.chisquare(3.0, 20_000)
    found = fit_prior((true * rng.chisquare(2.0, 20_000) / 2.0).tolist(), 2.0)
    assert found.freedom == pytest.approx(3.0, rel=0.05)
    assert found.location == pytest.approx(5.0, rel=0.05)


def test_ratios_that_differ_widely_weaken_the_prior():
    assert fit_prior([0.1, 100.0, 0.5, 900.0, 1.0, 2000.0], 2.0).freedom < 1.0


def test_the_moderated_statistic_follows_students_t():
    """Under the model itself the tail of the statistic is that of t with d0 + d degrees of freedom (Smyth 2004)."""
    rng, prior, gates = np.random.default_rng(2), Prior(4.0, 30.0), 100_000
    variance = prior.location * prior.freedom / rng.chisquare(prior.freedom, gates)
    ratio = variance * rng.chisquare(2.0, gates) / 2.0
    moderated = (prior.freedom * prior.location + 2.0 * ratio) / (prior.freedom + 2.0)
    sample = [prior.moderate(float(one), 2.0).ratio for one in ratio[:1000]]
    np.testing.assert_allclose(sample, np.maximum(1.0, moderated[:1000]))
    statistic = rng.standard_normal(gates) * np.sqrt(variance / moderated)
    beyond = int((statistic > stats.t.isf(0.002, 6.0)).sum())
    assert stats.binom.ppf(1e-4, gates, 0.002) <= beyond <= stats.binom.isf(1e-4, gates, 0.002)
