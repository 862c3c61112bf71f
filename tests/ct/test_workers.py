"""Workers: order, errors, crashes."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_medgan.ct import workers as workers_module
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.sources import digest_file
from pytest_medgan.ct.workers import Crew, worker_count
from pytest_medgan.errors import DataError, MedganError
from pytest_medgan.records import no_progress

# functions that a worker can import, called with (root, item)
JOIN = operator.truediv  # root / name


@pytest.fixture(params=[0, 2])
def crew(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Crew]:
    with Crew(tmp_path, request.param) as crew:
        yield crew


def test_results_keep_the_items_order(crew: Crew, tmp_path: Path) -> None:
    names = [f"{number}" for number in range(100)]
    seen: list[tuple[int, int]] = []
    results = crew.map(JOIN, names, what="x", progress=lambda what, done, total: seen.append((done, total)))
    assert results == [tmp_path / name for name in names]
    assert seen[0] == (0, 100)
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
    assert crew.map(JOIN, [], what="x", progress=no_progress) == []


def test_the_first_error_in_order_is_raised(crew: Crew, tmp_path: Path) -> None:
    for number in range(90):
        if number not in (41, 70, 89):
            (tmp_path / f"{number:02d}").write_text("x")
    with pytest.raises(Exception, match="41") as caught:
        crew.map(digest_file, [f"{number:02d}" for number in range(90)], what="x", progress=no_progress)
    assert isinstance(caught.value, (FileNotFoundError, DataError))


def test_our_errors_keep_their_file(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"")
    with Crew(tmp_path, 1) as crew, pytest.raises(MedganError) as caught:
        crew.map(read_headers, ["x.dcm"], what="x", progress=no_progress, apart=True)
    assert caught.value.file == "x.dcm"
    assert "copy it again" in str(caught.value)


class Ends:
    """Ends the worker that unpickles it, as a crashing decoder would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (11,)


class Hangs:
    """Keeps the worker that unpickles it busy, as a hanging decoder would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return time.sleep, (3600,)


def test_a_crash_ends_the_worker_and_not_this_process(tmp_path: Path) -> None:
    with Crew(tmp_path, 0) as crew:
        with pytest.raises(DataError, match="crashed or hung"):
            crew.map(JOIN, [Ends()], what="x", progress=no_progress, apart=True)
        assert os.getpid()


def test_a_hanging_decoder_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_PATIENCE", 1.5)
    with Crew(tmp_path, 0) as crew, pytest.raises(DataError, match="crashed or hung"):
        crew.map(JOIN, [Hangs()], what="x", progress=no_progress, apart=True)


def test_an_interrupted_caller_leaves_no_worker(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    crew = Crew(tmp_path, 2)
    with pytest.raises(KeyboardInterrupt), crew:
        crew.map(JOIN, ["a"] * 1000, what="x", progress=stop)
    assert all(worker.poll() is not None for worker in crew._workers)


def test_few_files_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_count(10) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    assert worker_count(5000) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert worker_count(5000) == 0
