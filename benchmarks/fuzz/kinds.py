"""What a kind of input is, and what reading one came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.fuzz.mutations import Mutation

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Seen:
    """What reading came to."""

    images: Pixels | None = None  # [N,H,W], where the format holds images
    facts: object = ()  # everything else that must stay equal
    said: object = ()  # warnings and counts, as the user sees them


@dataclass(frozen=True)
class Format:
    """One kind of input."""

    write: Callable[[Path], None]  # a sound sample into an empty folder
    read: Callable[[Path], Seen]
    damaged: str  # the files that are damaged, as a pattern
    mutations: tuple[Mutation, ...]
    weight: int = 1  # share of the cases
