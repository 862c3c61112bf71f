"""Work in processes: order, the first error, lost and slow workers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from pytest_medgan.ground.pool import Pool, WorkerLostError, map_in_processes


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions in a module that workers can import by the same name."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return import_module("pool_work")


@pytest.mark.parametrize("chunk", [1, 3])
def test_results_keep_the_order_of_the_items(chunk: int, work: ModuleType) -> None:
    seen: list[tuple[str, int, int]] = []
    results = map_in_processes(
        work.square, range(7), workers=2, chunk=chunk, what="squaring", progress=lambda *a: seen.append(a)
    )
    assert results == [0, 1, 4, 9, 16, 25, 36]
    assert seen[0] == ("squaring", 0, 7)
    assert seen[-1] == ("squaring", 7, 7)


def test_no_items_give_no_results(work: ModuleType) -> None:
    assert map_in_processes(work.square, [], workers=2) == []


def test_first_failing_item_decides_the_error(work: ModuleType) -> None:
    with pytest.raises(KeyError, match="3"):
        map_in_processes(work.fail_from_three, range(6), workers=2)


def test_killed_worker_is_reported_with_its_items(work: ModuleType) -> None:
    with pytest.raises(WorkerLostError) as info:
        map_in_processes(work.die_at_two, range(4), workers=1, chunk=2)
    assert (info.value.first, info.value.count) in {(0, 2), (2, 2)}  # loky gives up on everything in hand


def test_slow_worker_is_stopped(work: ModuleType) -> None:
    with pytest.raises(WorkerLostError) as info:
        map_in_processes(work.hang_at_two, range(3), workers=1, timeout=10.0)
    assert info.value.first == 2


def test_workers_get_the_environment(work: ModuleType) -> None:
    assert map_in_processes(work.read_variable, ["MEDGAN_TEST"], workers=1, environment={"MEDGAN_TEST": "yes"}) == [
        "yes"
    ]


def test_pool_keeps_its_workers_from_call_to_call(work: ModuleType) -> None:
    with Pool(1) as pool:
        first, second = (list(pool.stream(work.process_id, [0])) for _ in range(2))
    assert first == second


def test_pool_starts_new_workers_after_it_lost_one(work: ModuleType) -> None:
    with Pool(1) as pool:
        with pytest.raises(WorkerLostError):
            list(pool.stream(work.die_at_two, [2]))
        assert list(pool.stream(work.square, [3])) == [[9]]


def test_pool_stream_yields_what_came_before_the_error(work: ModuleType) -> None:
    seen: list[list[int]] = []
    with Pool(2) as pool, pytest.raises(KeyError):
        seen.extend(pool.stream(work.fail_from_three, range(6), chunk=2))
    assert seen == [[0, 1]]


def test_worker_that_grows_is_kept(work: ModuleType) -> None:
    pytest.importorskip("psutil")  # without it loky does not look
    with Pool(1) as pool:
        [first], [second], [third] = pool.stream(work.grow, [1, 400, 1], timeout=60.0)
    assert first == second == third
