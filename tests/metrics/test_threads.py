"""Tasks that run two at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.threads import full_float32, one_thread, run_side_by_side, run_tasks

CPU = torch.device("cpu")
METRICS = ("fid", "kid", "precision", "improved_precision", "improved_recall", "density", "coverage")


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Choose torch's threads, which are put back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_each_of_two_tasks_gets_half_of_the_threads(set_threads):
    set_threads(4)
    both = threading.Barrier(2)

    def seen():
        both.wait(60)
        with one_thread():
            return torch.get_num_threads(), threading.get_ident()

    first, second = run_side_by_side(seen, seen, CPU)
    assert first[0] == second[0] == 2
    assert first[1] != second[1]
    assert torch.get_num_threads() == 4
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("count", "device"), [(1, "cpu"), (4, "cuda")])
def test_tasks_on_one_thread_or_a_gpu_take_turns(set_threads, count, device):
    set_threads(count)
    assert len(set(run_tasks([threading.get_ident] * 3, torch.device(device)))) == 1


def test_tasks_inside_a_task_take_turns(set_threads):
    set_threads(4)
    inner, _ = run_side_by_side(
        lambda: run_side_by_side(threading.get_ident, threading.get_ident, CPU), threading.get_ident, CPU
    )
    assert len(set(inner)) == 1


def test_results_are_in_the_order_of_the_tasks(set_threads):
    set_threads(2)
    first_may_end = threading.Event()

    def first():
        assert first_may_end.wait(60)
        return 0

    def fifth():
        first_may_end.set()
        return 4

    tasks = [first, lambda: 1, lambda: 2, lambda: 3, fifth]
    assert run_tasks(tasks, CPU) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("failing", [0, 1])
def test_failure_of_a_task_is_raised_after_threads_and_precision_are_put_back(set_threads, failing):
    set_threads(2)
    torch.set_float32_matmul_precision("medium")

    def fail():
        raise ValueError("a task failed")

    tasks = [lambda: None, lambda: None]
    tasks[failing] = fail
    try:
        with pytest.raises(ValueError, match="a task failed"):
            run_tasks(tasks, CPU)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.get_num_threads() == 2
    assert run_side_by_side(lambda: 1, lambda: 2, CPU) == (1, 2)


def test_task_that_ends_first_does_not_reset_the_precision_of_the_other(set_threads):
    set_threads(2)
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


def test_pass_that_two_threads_ask_for_is_computed_once(two_sets):
    """The second thread asks while the first one computes, and waits for it."""
    reference = prepare_reference(two_sets[0], metrics=["fid"])
    ready = reference.points
    look = Look(reference, ready, ready, ("fid",))
    computing, calls = threading.Event(), []

    def compute(_):
        calls.append(threading.get_ident())
        computing.set()
        second.join(0.2)  # time for the second thread to compute as well, if it did not wait
        return object()

    found = []
    second = threading.Thread(target=lambda: (computing.wait(60), found.append(look.keep(compute))))
    second.start()
    found.append(look.keep(compute))
    second.join(60)
    assert len(calls) == 1
    assert found[0] is found[1]


def test_battery_is_the_same_twice_and_on_one_thread(two_sets, set_threads):
    real, fake = two_sets

    def battery():
        return measure(prepare_reference(real, metrics=METRICS), fake=fake, metrics=METRICS).estimates

    set_threads(1)
    single = battery()
    set_threads(2)
    halves = battery()
    assert battery() == halves
    assert tuple(halves) == METRICS
    for name in METRICS:
        for kind in ("value", "se", "se_total"):
            assert getattr(halves[name], kind) == pytest.approx(getattr(single[name], kind), rel=1e-6), name
