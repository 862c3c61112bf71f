"""Duplicate rate."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import duplicate_rate


def test_duplicate_rate_counts_equal_and_near_images(smooth, add_noise):
    fake = smooth[:40].copy()
    assert duplicate_rate(fake=fake, real=smooth[40:]) == 0
    fake[1] = fake[0]
    assert duplicate_rate(fake=fake) == 2 / 40
    fake[2] = add_noise(fake[:1], 1)[0]
    assert duplicate_rate(fake=fake) == 2 / 40
    assert duplicate_rate(fake=fake, real=smooth[40:]) == 3 / 40
    assert duplicate_rate(fake=np.repeat(fake[:1], 30, 0)) == 1


def test_arrays_of_other_types_and_distances_below_zero_are_refused(smooth):
    with pytest.raises(MetricInputError, match=r"fake is float64 of shape \[2, 1, 8, 8\]; give uint8"):
        duplicate_rate(fake=np.zeros((2, 1, 8, 8)))
    with pytest.raises(MetricInputError, match="distance is -1"):
        duplicate_rate(fake=smooth, distance=-1)


def test_single_image_has_no_duplicate(smooth):
    assert duplicate_rate(fake=smooth[:1]) == 0
