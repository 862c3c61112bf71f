"""Numpy's matrix products on one thread."""

from __future__ import annotations

import threading

import numpy  # noqa: F401  # loads a library that can be limited
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pytest_medgan.ground.blas import one_blas_thread


def threads() -> set[int]:
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_one_blas_thread_limits_and_restores_the_thread_count() -> None:
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        assert before == {3}
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == before


def test_one_blas_thread_restores_the_thread_count_after_an_error() -> None:
    def fail() -> None:
        with one_blas_thread():
            raise ZeroDivisionError

    with threadpool_limits(3, user_api="blas"):
        with pytest.raises(ZeroDivisionError):
            fail()
        assert threads() == {3}


def test_one_blas_thread_changes_nothing_in_another_thread() -> None:
    seen = []

    def hold() -> None:
        with one_blas_thread():
            seen.append(threads())

    with threadpool_limits(3, user_api="blas"):
        other = threading.Thread(target=hold)
        other.start()
        other.join()
    assert seen == [{3}]
