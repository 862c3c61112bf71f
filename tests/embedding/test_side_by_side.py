"""Models that two feature spaces rank differently."""

from __future__ import annotations

import math

from pytest_medgan.embedding.side_by_side import ranking_disagreements


def test_equal_ranking_gives_no_disagreement() -> None:
    assert ranking_disagreements("fid", {"a": 1, "b": 2}, {"a": 10, "b": 11}, higher_is_better=False) == ()


def test_swapped_models_are_named_by_direction() -> None:
    (found,) = ranking_disagreements("fid", {"a": 1, "b": 2, "c": 9}, {"a": 4, "b": 3, "c": 9}, higher_is_better=False)
    assert (found.better_under_first, found.better_under_second) == ("a", "b")
    assert str(found) == "fid: the first feature space prefers a, the second b"
    (found,) = ranking_disagreements("recall", {"a": 1, "b": 2}, {"a": 4, "b": 3}, higher_is_better=True)
    assert (found.better_under_first, found.better_under_second) == ("b", "a")


def test_ties_nan_and_models_of_one_space_give_no_disagreement() -> None:
    first, second = {"a": 1.0, "b": 1.0, "x": 0.0, "n": math.nan}, {"a": 2.0, "b": 1.0, "y": 0.0, "n": 3.0}
    assert ranking_disagreements("kid", first, second, higher_is_better=False) == ()


def test_swap_within_the_errors_is_not_clear() -> None:
    first, second = {"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 3.0}
    small, large = {"a": 0.1, "b": 0.1}, {"a": 0.6, "b": 0.6}
    (clear,) = ranking_disagreements("fid", first, second, higher_is_better=False, errors=(small, small))
    assert clear.clear
    for errors in ((small, large), (large, small)):
        (doubtful,) = ranking_disagreements("fid", first, second, higher_is_better=False, errors=errors)
        assert not doubtful.clear
        assert str(doubtful).endswith("the second b (by no more than chance explains)")


def test_errors_of_two_models_add_in_squares() -> None:
    """Errors of 0.3 and 0.4 make one of 0.5 for the difference, and twice that is 1.0."""
    first, errors = {"a": 1.0, "b": 9.0}, {"a": 0.3, "b": 0.4}
    for gap, clear in ((0.99, False), (1.01, True)):
        second = {"a": 5.0, "b": 5.0 - gap}
        (found,) = ranking_disagreements("fid", first, second, higher_is_better=False, errors=({}, errors))
        assert found.clear == clear
