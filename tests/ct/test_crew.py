"""Workers: order, errors, crashes."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from pytest_medgan.ct import crew as module
from pytest_medgan.ct.crew import Crew, worker_count
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.sources import digest_content
from pytest_medgan.errors import DataError, MedganError
from pytest_medgan.records import no_progress

# functions that a worker can import, called with (root, item)
JOIN = operator.truediv  # root / name


@pytest.fixture(params=[0, 2])
def crew(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Crew]:
    with Crew(tmp_path, request.param) as crew:
        yield crew


def test_map_results_keep_the_order_of_the_items(crew: Crew, tmp_path: Path) -> None:
    names = [f"{number}" for number in range(100)]
    seen: list[tuple[int, int]] = []
    results = crew.map(JOIN, names, what="x", progress=lambda what, done, total: seen.append((done, total)))
    assert results == [tmp_path / name for name in names]
    assert seen[0] == (0, 100)
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
    assert crew.map(JOIN, [], what="x", progress=no_progress) == []


def test_map_raises_the_first_error_in_order(crew: Crew, tmp_path: Path) -> None:
    for number in range(90):
        if number not in (41, 70, 89):
            (tmp_path / f"{number:02d}").write_text("x")
    with pytest.raises(Exception, match="41") as caught:
        crew.map(digest_content, [(f"{number:02d}",) for number in range(90)], what="x", progress=no_progress)
    assert isinstance(caught.value, FileNotFoundError)


def test_map_error_of_a_worker_keeps_its_file(tmp_path: Path) -> None:
    with Crew(tmp_path, 1) as crew, pytest.raises(MedganError, match="cannot be read") as caught:
        crew.map(read_headers, ["x.dcm"], what="x", progress=no_progress, apart=True)
    assert caught.value.file == "x.dcm"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Items and functions in a module that workers can import by the same name."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return import_module("crew_work")


def test_map_crashing_item_is_named_and_later_calls_work(tmp_path: Path, work: ModuleType) -> None:
    items = [work.Named(f"{number}.dcm") for number in range(40)]
    items[21].bad = work.Ends()
    with Crew(tmp_path, 0) as crew:
        with pytest.raises(DataError, match="crashed or hung") as caught:
            crew.map(work.take, items, what="x", progress=no_progress, apart=True)
        assert caught.value.file == "21.dcm"
        assert crew.map(work.take, items[:3], what="x", progress=no_progress, apart=True) == ["0.dcm", "1.dcm", "2.dcm"]


def test_map_crash_that_does_not_recur_loses_no_result(tmp_path: Path, work: ModuleType) -> None:
    """As after a worker that the system ended for want of memory."""
    marks = [(f"{number}", str(tmp_path / "ended")) for number in range(40)]
    with Crew(tmp_path, 1) as crew:
        assert crew.map(work.end_once, marks, what="x", progress=no_progress, apart=True) == [name for name, _ in marks]


def test_map_hanging_item_is_ended(tmp_path: Path, work: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 3.0)
    with Crew(tmp_path, 0) as crew, pytest.raises(DataError, match="crashed or hung"):
        crew.map(work.take, [work.Named("x", work.Hangs())], what="x", progress=no_progress, apart=True)


def test_map_interrupted_caller_leaves_no_worker(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    def children() -> set[str]:
        listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in listed}
        return {pid for pid, command in commands.items() if b"popen_loky" in command}

    if not Path("/proc/self").exists():
        pytest.skip("counts children in /proc")
    before = children()
    with pytest.raises(KeyboardInterrupt), Crew(tmp_path, 2) as crew:
        crew.map(JOIN, ["a"] * 1000, what="x", progress=stop)
    assert children() <= before


def test_worker_count_of_few_files_or_one_core_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_count(10) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    assert worker_count(5000) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert worker_count(5000) == 0
