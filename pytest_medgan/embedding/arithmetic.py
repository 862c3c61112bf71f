"""Floats as the numeric class says, whatever torch was told elsewhere, and memory that is given back."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Products and convolutions in TF32 only for precision "tf32"; torch allows it in convolutions by default."""
    tf32 = precision == "tf32"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        # benchmark off: cuDNN would choose an algorithm by timing it, and another one on the next run
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def give_back() -> None:
    """Hands freed memory back to the system; glibc would keep what networks leave behind while they are made."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
