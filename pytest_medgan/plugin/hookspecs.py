"""The hooks that a project may implement in its conftest.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_medgan.metrics import CustomMetric


@pytest.hookspec
def pytest_medgan_metrics() -> Sequence[CustomMetric]:
    """Return the project's own metrics, which are measured on every model in addition to the catalogue's.

    Each is a `pytest_medgan.metrics.CustomMetric(metric=Metric(...), function=f)` with `f(real=, fake=) -> float` of
    features float32 [N,D] and [M,D]. `assert_metric(scores, name, limit)` then knows its direction.
    """
    return []
