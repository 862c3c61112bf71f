from __future__ import annotations

import numpy as np

from pytest_medgan.records import Evidence
from pytest_medgan.report.offenders import (
    Copy,
    Twins,
    duplicate_groups,
    furthest_outside,
    suspected_copies,
    wanted,
)


def test_the_least_realistic_outside_come_first() -> None:
    evidence = Evidence(
        fake_in_real=np.array([False, True, False, False]),
        realism=np.array([0.9, 1.5, 0.2, 0.5], np.float32),
        nearest_real_distance=np.array([1.0, 9.0, 2.0, 3.0], np.float32),
    )
    assert furthest_outside(evidence) == (2, 3, 0)
    assert furthest_outside(evidence, 1) == (2,)


def test_distance_stands_in_where_realism_is_unknown() -> None:
    evidence = Evidence(
        fake_in_real=np.array([False, True, False]), nearest_real_distance=np.array([1.0, 9.0, 2.0], np.float32)
    )
    assert furthest_outside(evidence) == (2, 0)
    assert furthest_outside(Evidence()) == ()


def test_copies_keep_their_order() -> None:
    assert suspected_copies(Evidence(copies=np.array([[4, 1], [2, 9]]))) == (Copy(4, 1), Copy(2, 9))
    assert suspected_copies(Evidence()) == ()


def test_pairs_are_joined_to_groups() -> None:
    pairs = np.array([[7, 9], [1, 2], [2, 3], [20, 21], [3, 4]])
    assert duplicate_groups(Evidence(duplicates=pairs)) == (
        Twins((1, 2, 3, 4), 4),
        Twins((7, 9), 2),
        Twins((20, 21), 2),
    )


def test_a_collapse_is_one_group_with_a_few_members_shown() -> None:
    pairs = np.array([[0, i] for i in range(1, 500)])
    assert duplicate_groups(Evidence(duplicates=pairs)) == (Twins((0, 1, 2, 3, 4, 5), 500),)
    assert duplicate_groups(Evidence(duplicates=np.empty((0, 2), np.int64))) == ()


def test_every_picture_that_will_be_shown_is_wanted() -> None:
    evidence = Evidence(
        fake_in_real=np.array([True] * 99 + [False]),
        realism=np.linspace(2, 0.5, 100, dtype=np.float32),
        nearest_real=np.arange(100)[::-1].copy(),
        copies=np.array([[50, 70]]),
        duplicates=np.array([[60, 61]]),
        coordinate_index=np.array([5, 6, 30, 31]),
        coordinate_is_real=np.array([True, True, False, False]),
    )
    fake, real, train = wanted(evidence, grid=3)
    assert fake.tolist() == [0, 1, 2, 30, 31, 50, 60, 61, 99]
    assert real.tolist() == [0, 1, 2, 5, 6]
    assert train.tolist() == [70]
