"""What a comparison can see: room for a loss, images needed, words."""

from __future__ import annotations

import math

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.power import PRACTICAL, describe_need, describe_power, images_needed, room_for_loss


@pytest.mark.parametrize(
    ("name", "value", "real", "room"),
    [
        ("improved_recall", 0.5, 0.9, 0.25),  # half of the way to 0
        ("inception_score", 1.8, 1.9, 0.4),  # half of the way to 1, the least score
        ("density", 0.6, None, 0.3),
        ("copy_rate", 0.0, 0.0, 0.5),  # half of the way to 1
        ("ms_ssim", 0.2, 0.1, 0.4),
        ("fid", 20.0, None, 10.0),
        ("fid", 20.0, 19.0, 1.0),  # most of the value is that of real images too
        ("fid", 20.0, 25.0, 10.0),  # better than real images: only the value is left as a scale
        ("intensity_distance", 3.0, 1.0, 1.5),
        ("kid", 0.004, 0.001, 0.003),
        ("kid", 0.004, None, 0.002),
        ("kid", -0.001, 0.001, 0.0005),
        ("kid", 0.0, None, math.inf),
    ],
)
def test_room_for_loss_follows_range_value_and_real_row(name, value, real, room):
    assert room_for_loss(METRICS[name], value, real) == pytest.approx(room)


def test_images_needed_grow_with_the_square_of_the_loss_and_are_rounded_up_to_eights():
    assert images_needed(120, 0.4, 0.2) == 480
    assert images_needed(100, 0.4, 0.2) == 400
    assert images_needed(100, 0.401, 0.2) == 408


def test_more_images_do_not_reduce_the_spread_of_training_runs():
    assert images_needed(128, 5.0, 4.0, between_runs=3.0) == math.ceil(128 * 16 / 7 / 8) * 8
    assert images_needed(128, 5.0, 3.0, between_runs=3.0) is None
    assert images_needed(128, math.inf, 3.0) is None


def test_power_is_said_in_percent_only_of_values_with_a_natural_zero():
    assert describe_power(METRICS["density"], 0.5, 0.04) == "sees a loss of 8% (98 of 100)"
    assert describe_power(METRICS["kid"], 0.004, 0.0012) == "sees a loss of 0.0012 (98 of 100)"
    assert describe_power(METRICS["inception_score"], 1.8, 0.1) == "sees a loss of 0.1 (98 of 100)"
    assert describe_power(METRICS["fid"], 20.0, 120.0) == "sees a loss of 600% (98 of 100)"
    assert describe_power(METRICS["fid"], 20.0, math.nan) == "sees no loss: its error is not known"


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (96, "about 96 images a sample group would be enough"),
        (9_992, "about 9,992 images"),
        (10_008, "about 11,000 images"),
        (PRACTICAL, "about 1,000,000 images"),
        (PRACTICAL + 8, "no practical number of images would be enough"),
        (632_098_152, "no practical number of images would be enough"),
    ],
)
def test_counts_that_nobody_can_draw_are_not_recommended(images, words):
    assert describe_need(images).startswith(words)
