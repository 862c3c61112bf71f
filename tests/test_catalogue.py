"""What is known of the metrics without computing them."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS, NAMES, ordered
from pytest_medgan.metrics import measure, prepare_reference

FREE_OF_N = {
    "kid",
    "improved_precision",
    "density",
    "authenticity",
    "copy_rate",
    "ms_ssim",
    "anomaly_rate",
    "memorised_rate",
    "implausible_rate",
}
LOWER_IS_BETTER = {
    "fid",
    "kid",
    "copy_rate",
    "duplicate_rate",
    "intensity_distance",
    "ms_ssim",
    "anomaly_rate",
    "memorised_rate",
    "implausible_rate",
}


def test_metrics_free_of_n_are_those_whose_expectation_is():
    assert {name for name, metric in METRICS.items() if metric.free_of_n} == FREE_OF_N


def test_directions_and_ranges():
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == LOWER_IS_BETTER
    assert all((metric.arrow == "↓") == (metric.name in LOWER_IS_BETTER) for metric in METRICS.values())
    assert all(metric.low < metric.high for metric in METRICS.values())
    assert all(metric.name == name and metric.revision >= 1 for name, metric in METRICS.items())


def test_order_of_names_is_the_catalogues_and_unknown_ones_come_last():
    assert ordered(["zeta", "ms_ssim", "alpha", "fid", "fid"]) == ("fid", "ms_ssim", "alpha", "zeta")
    assert ordered(reversed(NAMES)) == NAMES


@pytest.mark.parametrize(("name", "free"), [("ms_ssim", True), ("intensity_distance", False)])
def test_mean_over_small_sets_is_that_of_large_ones_only_where_free_of_n(name, free):
    """Sets of 8 and of 64 images of one distribution; the intensity distance shrinks, since it cannot fall below 0."""
    rng = np.random.default_rng(0)

    def draw(count):
        level = rng.normal(120, 25, (count, 1, 1, 1))
        return (level + rng.normal(0, 10, (count, 1, 16, 16))).clip(0, 255).astype(np.uint8)

    pixels = draw(400)
    reference = prepare_reference(np.eye(400)[:, :3], pixels=pixels, metrics=[name])
    found = {
        count: np.array(
            [
                measure(reference, fake=np.zeros((count, 3)), pixels=draw(count), metrics=[name], seed=turn)
                .estimates[name]
                .value
                for turn in range(60)
            ]
        )
        for count in (8, 64)
    }
    gap = abs(found[8].mean() - found[64].mean())
    error = np.hypot(*(values.std(ddof=1) / np.sqrt(60) for values in found.values()))
    assert gap < 3 * error if free else gap > 5 * error
