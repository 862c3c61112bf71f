"""Checks of arguments. Every message names the argument and the shape or value found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, nan
from numbers import Real
from operator import index
from typing import Any

import numpy as np
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.records import Float64, Int64, UInt8

FLOATS = (torch.float32, torch.float64)
LARGEST = 1e15  # of a feature: squared distances then fit into float32


def shape_of(value: Any) -> str:
    """Return the shape as a message shows it, such as "[100, 2048]"."""
    return str(list(getattr(value, "shape", ())))


def features(value: Any, name: str, *, least: int = 1, width: int | None = None) -> torch.Tensor:
    """Return features [N,D] as a finite float32 or float64 tensor on their device.

    Args:
        value: Array or tensor of numbers; types other than these two become one of them.
        name: The argument's name in messages.
        least: Rows at least.
        width: Columns of the real features, which these must share.
    """
    if not isinstance(value, torch.Tensor):
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise MetricInputError(f"{name} holds {array.dtype}, not numbers; give features [N,D] of floats")
        if array.dtype.kind == "f" and array.dtype.itemsize <= 4:
            array = array.astype(np.float32, copy=False)
        else:
            array = array.astype(np.float64, copy=False)
        # a read-only array (a memory map, say) would make torch warn, and nothing here writes to it
        value = torch.from_numpy(np.ascontiguousarray(array if array.flags.writeable else array.copy()))
    tensor: torch.Tensor = value.detach()
    if tensor.dtype not in FLOATS:
        tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)
    if tensor.ndim != 2 or tensor.shape[1] == 0:
        raise MetricInputError(f"{name} has shape {shape_of(tensor)}; give features [N,D], one row per image")
    if len(tensor) < least:
        raise MetricInputError(f"{name} has shape {shape_of(tensor)}: too few rows; give at least {least}")
    if width is not None and tensor.shape[1] != width:
        raise MetricInputError(
            f"{name} has shape {shape_of(tensor)} but the real features are {width} wide; use one extractor for both"
        )
    low, high = (float(bound) for bound in tensor.aminmax()) if len(tensor) else (0.0, 0.0)
    if not (isfinite(low) and isfinite(high)):  # a NaN is both
        bad = int((~torch.isfinite(tensor)).any(1).sum())
        raise MetricInputError(
            f"{name} of shape {shape_of(tensor)} has NaN or infinite values in {bad} rows; check the extractor's input"
        )
    if max(-low, high) > LARGEST:
        raise MetricInputError(
            f"{name} of shape {shape_of(tensor)} has values up to {max(-low, high):.1e}, whose distances overflow; "
            f"scale the features to below {LARGEST:.0e}"
        )
    return tensor.contiguous()


def pair(real: Any, fake: Any, *, least: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both feature sets, checked to have one width and at least `least` rows each, on one device."""
    real = features(real, "real", least=least)
    fake = features(fake, "fake", least=least, width=real.shape[1])
    return real, fake.to(real.device)


def probabilities(value: Any, name: str = "probabilities") -> Float64:
    """Return probabilities as float64 [N,C] whose rows are non-negative and sum to 1.

    Sums may be off by 1e-3, so the softmax of a network in half precision passes; they are made exact here.
    """
    array = value.detach().double().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value, np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise MetricInputError(f"{name} has shape {shape_of(array)}; give class probabilities [N,C], none empty")
    if not np.isfinite(array).all():
        raise MetricInputError(f"{name} of shape {shape_of(array)} has NaN or infinite values; check the classifier")
    if (array < 0).any():
        raise MetricInputError(f"{name} of shape {shape_of(array)} has negative values; apply softmax to logits first")
    total = array.sum(1, keepdims=True)
    if (abs(total - 1) > 1e-3).any():
        raise MetricInputError(
            f"{name} of shape {shape_of(array)} has rows that do not sum to 1; apply softmax to logits first"
        )
    return np.asarray(array / total)


def pixels(value: Any, name: str, *, like: tuple[int, ...] | None = None) -> UInt8:
    """Return images as uint8 [N,1,H,W] (grey) or [N,3,H,W] (colour); `like` is the (C,H,W) they must have."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        raise MetricInputError(f"{name} is {array.dtype} of shape {shape_of(array)}; give uint8 [N,1,H,W] or [N,3,H,W]")
    if like is not None and array.shape[1:] != tuple(like):
        other = "grey" if like[0] == 1 else "in colour"
        differs = f"{like[1]}x{like[2]} pixels; use one size" if array.shape[1] == like[0] else f"{other}; use one kind"
        raise MetricInputError(f"{name} has shape {shape_of(array)} but other images are {differs}")
    return array


def grey_pixels(value: Any, name: str, *, like: tuple[int, ...] | None = None) -> UInt8:
    """Return images as `pixels` does; raise MetricInputError where they have several channels."""
    array = pixels(value, name, like=like)
    if array.shape[1] != 1:
        raise MetricInputError(f"{name} has shape {shape_of(array)}: HU need one channel; give uint8 [N,1,H,W]")
    return array


def whole(value: Any, name: str, *, least: int = 1) -> int:
    """Return a whole number of at least `least`; True and 3.0 are refused."""
    try:
        found = index(value)
    except TypeError:
        found = least - 1
    if isinstance(value, bool) or found < least:
        raise MetricInputError(f"{name} is {value!r}; give a whole number of at least {least}")
    return found


def wholes(values: Any, name: str) -> tuple[int, ...]:
    """Return whole numbers of at least 1, given as a sequence or as a single number."""
    try:
        return tuple(whole(each, name) for each in (values if isinstance(values, Iterable) else (values,)))
    except (MetricInputError, TypeError):
        message = f"{name} is {values!r}; give a whole number of at least 1, or a sequence of them"
        raise MetricInputError(message) from None


def names(metrics: Any) -> tuple[str, ...]:
    """Return names of metrics, given as a sequence or as a single name."""
    asked = (metrics,) if isinstance(metrics, str) else tuple(metrics) if isinstance(metrics, Iterable) else (metrics,)
    if not all(isinstance(each, str) for each in asked):
        raise MetricInputError(f"metrics is {metrics!r}; give names of metrics")
    return asked


def number(value: Any, name: str, *, above: float = -inf, least: float = -inf) -> float:
    """Return a finite number above `above` and of at least `least`; True is refused."""
    found = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not (above < found < inf and found >= least):
        bound = f" above {above:g}" if above > -inf else f" of at least {least:g}" if least > -inf else ""
        raise MetricInputError(f"{name} is {value!r}; give a finite number{bound}")
    return found


def neighbour_counts(k: int | Sequence[int], *, rows: int, name: str) -> tuple[int, ...]:
    """Return the distinct k, ascending, each at least 1 and smaller than the number of rows of `name`."""
    ks = sorted(set(wholes(k, "k")))
    if not ks:
        raise MetricInputError(f"k is {k!r}; give a whole number of at least 1, or a sequence of them")
    if ks[-1] >= rows:
        raise MetricInputError(f"k is {ks[-1]} but {name} has {rows} rows; k must be smaller than the number of rows")
    return tuple(ks)


def group_numbers(groups: Any, rows: int, name: str) -> Int64:
    """Return the group of every row, int64 [N] numbered from 0; without groups every row is a group of its own."""
    if groups is None:
        return np.arange(rows)
    array = np.asarray(groups)
    if array.shape != (rows,):
        raise MetricInputError(f"{name} has shape {shape_of(array)}; give one group for each of the {rows} rows")
    return np.asarray(np.unique(array, return_inverse=True)[1], np.int64)
