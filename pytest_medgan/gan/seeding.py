"""The random numbers that foreign code draws itself: torch's, numpy's and Python's, named by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_KEY = 2**64 - 1  # a function may take a negative seed, of which numpy makes no key


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed torch's, numpy's and Python's own random numbers in the body, and restore them behind it."""
    state = np.random.SeedSequence(list(key)).generate_state(3)
    python, legacy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(state[0]))
        np.random.seed(int(state[1]))
        random.seed(int(state[2]))
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


@contextmanager
def seeded_drawing(seed: int, start: int = 0) -> Iterator[None]:
    """Seed them for a user's function that draws the images of a latent seed from `start` on.

    A function that calls `torch.randn` without a generator then draws the same images each time. What comes from a
    generator of random numbers that the function itself makes without a seed is not reached.
    """
    with seeded(int(seed) & _KEY, int(start) & _KEY):
        yield


def seed_of(*key: int) -> int:
    """Return one seed of 32 bits that some whole numbers of at least 0 name."""
    return int(np.random.SeedSequence(list(key)).generate_state(1)[0])
