"""Keep numpy's matrix products on one thread beside threads that compute already."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    """Return what finds and sets the threads of the linear algebra libraries that are loaded."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # comes with scikit-learn

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrix products of numpy and scipy use one thread, in the main thread.

    A small product is worth no second thread, and waits long for one while an engine's threads hold all cores. The
    number belongs to the process; in other threads nothing is changed, since two of them would set it back in the
    wrong order, and OpenBLAS 0.3.31 ignores them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield
