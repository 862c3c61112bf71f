"""Intensity distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import intensity_distance, measure, prepare_reference


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    level = rng.normal(100, 15, (120, 1, 1, 1))
    return (level + rng.normal(0, 10, (120, 1, 12, 10))).clip(0, 255).astype(np.uint8)


def test_distance_equals_scipy(images):
    expected = wasserstein_distance(images[:70].ravel(), images[70:].ravel())
    assert intensity_distance(real=images[:70], fake=images[70:]) == pytest.approx(expected, rel=1e-9)


def test_shift_is_measured_in_hounsfield_units(images):
    assert intensity_distance(real=images, fake=images) == 0
    assert intensity_distance(real=images, fake=images + 3) == pytest.approx(3)
    found = intensity_distance(real=images, fake=images + 3, window=(-1000.0, 400.0))
    assert found == pytest.approx(3 * 1400 / 255)


def test_standard_errors_are_the_spreads_over_draws():
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 5)

    def draw(mean, count):
        return (rng.normal(mean, 10, (count, 1, 1, 1)) + np.zeros((1, 1, 4, 4))).clip(0, 255).astype(np.uint8)

    def real():
        return np.repeat(draw(120, 40), 5, 0)

    held, features, found = real(), np.zeros((200, 2)), []
    for _ in range(250):
        fake = draw(130, 150)
        row = []
        for pixels in (held, real()):
            reference = prepare_reference(features, groups=patients, pixels=pixels, metrics=["intensity_distance"])
            battery = measure(reference, fake=features[:150], pixels=fake, metrics=["intensity_distance"])
            row += [battery.estimates["intensity_distance"]]
        found.append((row[0].value, row[0].se, row[1].value, row[1].se_total))
    fixed, se, total, se_total = np.array(found).T
    assert 0.85 < np.sqrt((se**2).mean()) / fixed.std(ddof=1) < 1.15
    assert 0.85 < np.sqrt((se_total**2).mean()) / total.std(ddof=1) < 1.15


def test_empty_window_is_refused(images):
    with pytest.raises(MetricInputError, match=r"window is \(400, -1000\)"):
        intensity_distance(real=images, fake=images, window=(400, -1000))
