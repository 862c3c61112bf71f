"""Standard errors: how they add up, how well they are known, and what a share near its end is worth."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.uncertainty import Error, sampling_error, share_error
from pytest_medgan.records import Score


def test_errors_add_in_quadrature_and_keep_the_worse_known_ones_freedom():
    assert Error(3.0) + Error(4.0) == Error(5.0)
    both = Error(1.0, 2.0) + Error(1.0, 2.0)
    assert (both.se, both.freedom) == (pytest.approx(math.sqrt(2)), pytest.approx(4.0))
    sure = Error(0.0, 2.0) + Error(1.0)
    assert math.isinf(sure.freedom)


def test_quantiles_are_the_normals_and_students():
    assert Error(1.0).quantile(0.0025) == pytest.approx(stats.norm.isf(0.0025))
    assert Error(1.0, 4.0).quantile(0.0025) == pytest.approx(stats.t.isf(0.0025, 4))


def test_an_error_that_is_the_groups_spread_has_their_freedom():
    fid = METRICS["fid"]
    assert sampling_error(fid, Score(2.0, 1.0 / math.sqrt(3), sd=1.0, groups=3), 512).freedom == 2
    assert math.isinf(sampling_error(fid, Score(2.0, 0.2, sd=1.0, groups=3), 512).freedom)


def test_the_freedom_of_few_pairs_is_kept():
    assert sampling_error(METRICS["ms_ssim"], Score(0.2, 0.01, groups=3, freedom=93.0), 64).freedom == 93


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_at_its_end_has_an_error(share):
    error = sampling_error(METRICS["coverage"], Score(share, groups=3), 1000)
    assert error.se == pytest.approx(math.sqrt(2 * 3002) / 3004**1.5, rel=1e-6)
    assert sampling_error(METRICS["kid"], Score(share, groups=3), 1000).se == 0.0


def test_the_floor_leaves_other_errors_alone():
    assert sampling_error(METRICS["coverage"], Score(0.5, 0.3, groups=3), 1000).se == 0.3
    assert share_error(0.5, 1000) == pytest.approx(0.5 / math.sqrt(1004))


def test_what_is_no_share_has_no_floor():
    assert share_error(1.5, 1000) == 0.0
    assert share_error(math.nan, 1000) == 0.0
