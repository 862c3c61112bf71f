"""Two halves of the battery side by side."""

from __future__ import annotations

import threading

import pytest
import torch

from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.metrics.threads import full_float32, one_thread, run_side_by_side

CPU = torch.device("cpu")
METRICS = ("fid", "kid", "precision", "improved_precision", "improved_recall", "density", "coverage")


@pytest.fixture
def threads():
    """A way to choose torch's threads, which are put back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_each_side_gets_half_of_the_threads(threads):
    threads(4)

    def seen():
        with one_thread():
            return torch.get_num_threads(), threading.get_ident()

    one, other = run_side_by_side(seen, seen, CPU)
    assert one[0] == other[0] == 2
    assert one[1] != other[1]
    assert torch.get_num_threads() == 4
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("count", "device"), [(1, "cpu"), (4, "cuda")])
def test_one_thread_or_a_gpu_takes_turns(threads, count, device):
    threads(count)
    assert len(set(run_side_by_side(threading.get_ident, threading.get_ident, torch.device(device)))) == 1


def test_inside_a_side_there_is_nothing_left_to_divide(threads):
    threads(4)
    inner, _ = run_side_by_side(
        lambda: run_side_by_side(threading.get_ident, threading.get_ident, CPU), threading.get_ident, CPU
    )
    assert len(set(inner)) == 1


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_of_either_side_is_raised_and_everything_put_back(threads, failing):
    threads(2)
    torch.set_float32_matmul_precision("medium")

    def fail():
        raise ValueError("a side failed")

    sides = [lambda: None, lambda: None]
    sides[failing] = fail
    try:
        with pytest.raises(ValueError, match="a side failed"):
            run_side_by_side(sides[0], sides[1], CPU)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.get_num_threads() == 2
    assert run_side_by_side(lambda: 1, lambda: 2, CPU) == (1, 2)


def test_the_side_that_ends_first_leaves_the_other_its_precision(threads):
    threads(2)
    ended = threading.Event()
    torch.set_float32_matmul_precision("medium")

    def short():
        with full_float32():
            pass
        ended.set()

    def long():
        with full_float32():
            ended.wait(60)
            return torch.get_float32_matmul_precision()

    try:
        assert run_side_by_side(short, long, CPU)[1] == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_battery_is_the_same_twice_and_on_one_thread(two_sets, threads):
    real, fake = two_sets

    def battery():
        return measure(prepare_reference(real, metrics=METRICS), fake=fake, metrics=METRICS).estimates

    threads(1)
    alone = battery()
    threads(2)
    beside = battery()
    assert battery() == beside
    assert tuple(beside) == METRICS
    for name in METRICS:
        for kind in ("value", "se", "se_total"):
            assert getattr(beside[name], kind) == pytest.approx(getattr(alone[name], kind), rel=1e-6), name
