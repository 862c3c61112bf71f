"""Limit numpy's matrix products to one thread while other threads compute."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    """Return the controller of the thread counts of the loaded linear algebra libraries."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # comes with scikit-learn

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrix products of numpy and scipy use one thread, in the main thread.

    A second thread does not speed up a small product, and waits for a core while an engine uses all of them. The
    count belongs to the process; in other threads it is not changed, since two of them could restore it in the wrong
    order, and OpenBLAS 0.3.31 ignores a count that another thread sets.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield
