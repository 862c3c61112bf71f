"""Compute in the arithmetic that a numeric class stands for, whatever torch was set to elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Allow TF32 in products and convolutions for precision "tf32" alone; torch's default allows it in convolutions."""
    tf32 = precision == "tf32"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        # benchmark off: cuDNN would choose an algorithm by timing it, and another one on the next run
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def release_memory() -> None:
    """Return freed memory to the system; glibc would keep what is left of networks while they are made."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
