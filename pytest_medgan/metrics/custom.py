"""Metrics that a project registers itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_medgan.catalogue import Metric
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics.inputs import shape_of
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.uncertainty import combine_se, jackknife_se
from pytest_medgan.records import Estimate, Float32

BLOCKS = 20  # number of blocks that the jackknife deletes, for each of the two sets


@dataclass(frozen=True)
class CustomMetric:
    """A metric that the user defines."""

    metric: Metric  # its name, direction and range, like a row of the catalogue
    # function(real=, fake=) of features float32 [N,D] and [M,D], numpy arrays of its own that it may write to
    function: Callable[..., float]


def custom_estimate(custom: CustomMetric, look: Look) -> Estimate:
    """Return a user's metric with the errors of a jackknife over blocks; too large for most metrics of neighbours.

    The function gets copies, so that one which writes to its arguments changes no other value. They are not read-only,
    because torch.from_numpy warns of read-only arrays. A choice of rows is a copy already.

    Raises:
        MetricInputError: The function returned something else than one number.
    """
    real, fake = look.real.raw.cpu().numpy(), look.fake.raw.cpu().numpy()
    value = _value(custom, real.copy(), fake.copy())
    errors = []
    for side, block in (("fake", look.fake_block % BLOCKS), ("real", look.reference.block % BLOCKS)):
        names, sizes = np.unique(block, return_counts=True)
        without = [
            _value(custom, real.copy(), fake[block != name])
            if side == "fake"
            else _value(custom, real[block != name], fake.copy())
            for name in names.tolist()
        ]
        errors.append(jackknife_se(value, np.array(without, np.float64), sizes))
    return Estimate(value, errors[0], combine_se(errors[0], errors[1]))


def _value(custom: CustomMetric, real: Float32, fake: Float32) -> float:
    """Return what a user's function returns as a number; raise MetricInputError where it is none."""
    found: Any = custom.function(real=real, fake=fake)
    try:
        if not isinstance(found, str | bytes):
            return float(found)
    except (TypeError, ValueError, RuntimeError):  # of arrays, and of tensors of several numbers
        pass
    kind = f"{type(found).__name__} of shape {shape_of(found)}" if hasattr(found, "shape") else type(found).__name__
    raise MetricInputError(f"the metric {custom.metric.name!r} returned a {kind}; return one number")
