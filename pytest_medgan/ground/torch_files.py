"""Load models that others exported without running Python that their files bring along."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FLAG = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
# operators of TorchScript that read or write files
FILE_OPERATORS = frozenset({"aten::from_file", "aten::save"})


def file_operators(script: Any) -> tuple[str, ...]:
    """Return the operators of a loaded TorchScript module that read or write files, sorted; it is not run."""
    import torch

    return tuple(sorted(FILE_OPERATORS & set(torch.jit.export_opnames(script))))  # type: ignore[no-untyped-call]


@contextmanager
def tensors_only() -> Iterator[None]:
    """Make every torch.load in the body, torch's own included, refuse anything but plain tensors.

    An exported program may hold pickles, which torch.export.load reads by torch.load.
    """
    before = os.environ.get(_FLAG)
    os.environ[_FLAG] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated in favour of torch.export
            yield
    finally:
        if before is None:
            del os.environ[_FLAG]
        else:
            os.environ[_FLAG] = before
