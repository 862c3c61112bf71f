"""Type aliases for arrays, plain scalars and the progress callback."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
Scalar = str | int | float | bool | None

# (activity, units done, units in total): the only way progress leaves a room
Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress."""
