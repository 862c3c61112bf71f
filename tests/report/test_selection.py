from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report.selection import (
    Copy,
    Duplicates,
    chosen_images,
    duplicate_groups,
    furthest_outside,
    one_per_group,
    suspected_copies,
)


@pytest.mark.parametrize(
    ("groups", "count", "rows"),
    [
        ("aaabbbccc", 3, [0, 3, 6]),
        ("aaabbbccc", 5, [0, 1, 3, 4, 6]),
        ("cabcab", 3, [0, 1, 2]),
        ("aab", 9, [0, 1, 2]),
        ("", 3, []),
    ],
)
def test_contact_sheet_shows_different_patients_first(groups: str, count: int, rows: list[int]) -> None:
    assert one_per_group(np.array(list(groups)), count).tolist() == rows


def test_least_realistic_image_outside_comes_first() -> None:
    evidence = Evidence(
        fake_in_real=np.array([False, True, False, False]),
        realism=np.array([0.9, 1.5, 0.2, 0.5], np.float32),
        nearest_real_distance=np.array([1.0, 9.0, 2.0, 3.0], np.float32),
    )
    assert furthest_outside(evidence) == (2, 3, 0)
    assert furthest_outside(evidence, 1) == (2,)


def test_distance_orders_images_where_realism_is_unknown() -> None:
    evidence = Evidence(
        fake_in_real=np.array([False, True, False]), nearest_real_distance=np.array([1.0, 9.0, 2.0], np.float32)
    )
    assert furthest_outside(evidence) == (2, 0)
    assert furthest_outside(Evidence()) == ()


def test_copies_keep_their_order_and_number() -> None:
    evidence = Evidence(copies=np.array([[4, 1], [2, 9]]))
    assert suspected_copies(evidence) == (Copy(4, 1), Copy(2, 9))
    assert suspected_copies(evidence, 1) == (Copy(4, 1),)
    assert suspected_copies(Evidence()) == ()


def test_pairs_are_joined_to_groups_largest_first() -> None:
    pairs = np.array([[7, 9], [1, 2], [2, 3], [20, 21], [3, 4]])
    assert duplicate_groups(Evidence(duplicates=pairs)) == (
        Duplicates((1, 2, 3, 4), 4),
        Duplicates((7, 9), 2),
        Duplicates((20, 21), 2),
    )
    assert duplicate_groups(Evidence(duplicates=pairs), 1) == (Duplicates((1, 2, 3, 4), 4),)


def test_collapse_is_one_group_of_which_a_few_are_named() -> None:
    pairs = np.array([[0, i] for i in range(1, 500)])
    assert duplicate_groups(Evidence(duplicates=pairs)) == (Duplicates((0, 1, 2, 3, 4, 5), 500),)
    assert duplicate_groups(Evidence(duplicates=np.empty((0, 2), np.int64))) == ()


def test_every_image_that_is_shown_is_chosen() -> None:
    evidence = Evidence(
        fake_in_real=np.array([True] * 99 + [False]),
        realism=np.linspace(2, 0.5, 100, dtype=np.float32),
        nearest_real=np.arange(100)[::-1].copy() + 200,
        copies=np.array([[50, 70]]),
        duplicates=np.array([[60, 61]]),
        coordinate_index=np.array([5, 6, 30, 31]),
        coordinate_is_real=np.array([True, True, False, False]),
        real_samples=np.array([10, 20, 40, 80]),
    )
    chosen = chosen_images(evidence, grid=3)
    assert chosen.fake.tolist() == [0, 1, 2, 30, 31, 50, 60, 99]
    assert chosen.real.tolist() == [5, 6, 10, 20, 40, 200]
    assert chosen.train.tolist() == [70]
