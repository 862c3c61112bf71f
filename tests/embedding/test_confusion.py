"""The confusion table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_medgan.embedding.confusion import confusion


def test_table_equals_one_counted_by_hand() -> None:
    labels = np.array([0, 0, 0, 1])
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], np.float32)
    found = confusion(labels, chances)
    assert found.table == ((2, 1), (0, 1))
    assert found.accuracy == 0.75
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.loss == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6]).mean(), rel=1e-6)
    assert "predicted alive" in str(found)


def test_balanced_accuracy_of_one_answer_for_all_is_a_half() -> None:
    found = confusion(np.array([1] * 9 + [0]), np.tile(np.float32([0.1, 0.9]), (10, 1)))
    assert found.accuracy == 0.9
    assert found.balanced_accuracy == 0.5


def test_equal_probabilities_count_as_deceased() -> None:
    assert confusion(np.array([0, 1]), np.full((2, 2), 0.5, np.float32)).table == ((0, 1), (0, 1))


def test_no_images_give_nan() -> None:
    found = confusion(np.empty(0, np.int64), np.empty((0, 2), np.float32))
    assert math.isnan(found.accuracy)
    assert math.isnan(found.loss)


def test_area_depends_on_the_order_alone() -> None:
    labels = np.array([0, 0, 1, 1])

    def area(*deceased: float) -> float:
        chances = np.array(deceased, np.float32)
        return confusion(labels, np.stack([1 - chances, chances], 1)).area

    assert area(0.91, 0.92, 0.93, 0.94) == 1.0  # all on one side of the threshold
    assert area(0.1, 0.3, 0.2, 0.4) == 0.75
    assert area(0.5, 0.5, 0.5, 0.5) == 0.5
    assert area(0.9, 0.8, 0.1, 0.2) == 0.0
    assert math.isnan(confusion(np.array([1, 1]), np.full((2, 2), 0.5, np.float32)).area)
