"""Models by name that take too long: each ends with one error, and nothing else of the process changes.

What hangs here goes on for twenty seconds, so that a limit that does not hold fails a test and does not stop the suite.
"""

from __future__ import annotations

import bdb
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator

SOURCE = """
import time
import numpy as np
import torch
from torch import nn

END = time.monotonic() + 20
if {hangs_on_import}:
    while time.monotonic() < END:
        pass

def images(count, *_):
    return np.zeros((count, 1, 8, 8), np.uint8)

def loops(count, seed):
    while time.monotonic() < END:
        pass
    return images(count)

def sleeps(count, seed):
    time.sleep(END - time.monotonic())
    return images(count)

def tries_again(count, seed):
    while time.monotonic() < END:
        try:
            time.sleep(0.01)
        except Exception:
            pass
    return images(count)

def rests(count, seed):
    time.sleep(1.2)
    return images(count)

class Ranges:
    def __call__(self, count, seed):
        return images(count)
    def sample_range(self, start, stop, seed):
        return loops(stop - start, seed)

ranges = Ranges()

def volumes(count, seed):
    return np.zeros((count, 1, 2, 8, 8), np.uint8) if loops(count, seed) is not None else None

volumes.volume_shape = (2, 8, 8)

class Builds:
    def __init__(self):
        loops(1, 0)
    def sample(self, count):
        return images(count)

class Draws(nn.Module):
    def forward(self, z):
        loops(1, 0)
        return torch.tanh(z[:, :64]).reshape(-1, 1, 8, 8)

class Later(nn.Module):
    calls = 0
    def forward(self, z):
        type(self).calls += 1
        if self.calls > 3:  # after what is tried when it is opened
            loops(1, 0)
        return torch.tanh(z[:, :64]).reshape(-1, 1, 8, 8)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(*, hangs_on_import: bool = False) -> None:
        (tmp_path / "late_models.py").write_text(SOURCE.format(hangs_on_import=hangs_on_import))
        importlib.invalidate_caches()

    yield module
    sys.modules.pop("late_models", None)


@pytest.mark.parametrize(
    ("name", "hangs_on_import"),
    [("images", True), ("Builds", False), ("Draws,latent=64", False)],
    ids=["import", "class", "first images"],
)
def test_model_that_hangs_while_it_is_opened_is_one_error(
    name: str, hangs_on_import: bool, write: Callable[..., None]
) -> None:
    write(hangs_on_import=hangs_on_import)
    with pytest.raises(CheckpointError, match=rf"'late_models:{name[:5]}.*was not ready within 1 s.*seconds=NUMBER"):
        load_generator(f"late_models:{name},seconds=1")


@pytest.mark.parametrize("name", ["loops", "sleeps", "tries_again", "Later,latent=64"])
def test_model_that_hangs_while_it_draws_is_one_error(name: str, write: Callable[..., None]) -> None:
    write()
    generator = load_generator(f"late_models:{name},seconds=1")
    with pytest.raises(CheckpointError, match=r"gave no images within 1 s\. Correct it, or allow more time by"):
        generator(4, 0)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("name", "count", "unit"), [("loops", 33, "32 images"), ("volumes", 2, "volume")], ids=["images", "volumes"]
)
def test_time_grows_with_what_is_asked_for(name: str, count: int, unit: str, write: Callable[..., None]) -> None:
    write()
    with pytest.raises(CheckpointError, match=rf"within 2 s \(1 s for every {unit}\)\. Correct it, or allow"):
        load_generator(f"late_models:{name},seconds=1")(count, 0)


def test_part_of_a_sequence_has_a_limit_too(write: Callable[..., None]) -> None:
    write()
    generator = load_generator("late_models:ranges,seconds=1")
    assert len(generator(4, 0)) == 4
    with pytest.raises(CheckpointError, match="within 1 s"):
        generator.sample_range(0, 4, 0)  # type: ignore[union-attr]


def test_model_within_its_limit_draws_and_leaves_the_alarm_of_somebody_else(write: Callable[..., None]) -> None:
    write()

    def other(number: int, frame: FrameType | None) -> None:
        raise KeyError("the other alarm")

    before = signal.signal(signal.SIGALRM, other)
    try:
        signal.setitimer(signal.ITIMER_REAL, 600.0)
        assert len(load_generator("late_models:rests,seconds=9")(4, 0)) == 4
        assert signal.getsignal(signal.SIGALRM) is other
        assert 500.0 < signal.getitimer(signal.ITIMER_REAL)[0] < 599.0  # it has run on
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyError, match="the other alarm"):  # it comes first
            load_generator("late_models:loops,seconds=9")(4, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_model_under_a_debugger_is_not_interrupted(write: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    generator = load_generator("late_models:rests,seconds=1")
    with pytest.raises(CheckpointError, match="within 1 s"):
        generator(4, 0)
    monkeypatch.setattr(sys, "gettrace", lambda: bdb.Bdb().trace_dispatch)
    assert len(generator(4, 0)) == 4


def test_model_in_another_thread_draws_without_a_limit(write: Callable[..., None]) -> None:
    write()
    generator, drawn = load_generator("late_models:rests,seconds=1"), []
    thread = threading.Thread(target=lambda: drawn.append(generator(4, 0)))
    thread.start()
    thread.join()
    assert [len(images) for images in drawn] == [4]
