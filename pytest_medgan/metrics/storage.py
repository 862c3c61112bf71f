"""A prepared reference as named arrays and back, for whoever keeps files (numpy.savez, a cache)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics.gram import Points
from pytest_medgan.metrics.moments import Moments
from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.metrics.reference import Ks, Reference

VERSION = 1
RECORDS = {Points, Moments, Neighbours, Ks}


def to_arrays(reference: Reference) -> dict[str, npt.NDArray[Any]]:
    """Named arrays, without any object inside; absent parts are left out."""
    return {"version": np.array(VERSION), **_flat("", reference)}


def _flat(prefix: str, record: Any) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    for field in fields(record):
        name, value = prefix + field.name, getattr(record, field.name)
        if type(value) in RECORDS:
            found |= _flat(name + ".", value)
        elif isinstance(value, torch.Tensor):
            found[name] = value.cpu().numpy()
        elif value is not None:
            found[name] = np.asarray(value)
    return found


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], *, device: str = "cpu") -> Reference:
    """The reference that `to_arrays` took apart, its tensors on `device`.

    MetricInputError for arrays of another version or with parts missing.
    """
    if "version" not in arrays or int(arrays["version"]) != VERSION:
        raise MetricInputError("arrays hold no prepared reference of this version; prepare the reference again")
    try:
        return _reference(arrays, device)
    except KeyError as error:
        raise MetricInputError(f"arrays lack {error.args[0]}; prepare the reference again") from None


def _reference(arrays: Mapping[str, npt.NDArray[Any]], device: str) -> Reference:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(arrays[name])).to(device)

    def whole(name: str) -> tuple[int, ...]:
        return tuple(int(one) for one in arrays[name])

    def array(name: str) -> Any:
        return np.array(arrays[name]) if name in arrays else None

    def points(name: str) -> Points:
        return Points(tensor(f"{name}.raw"), tensor(f"{name}.rows"), tensor(f"{name}.norms"))

    def near(name: str) -> Neighbours | None:
        if f"{name}.ks" not in arrays:
            return None
        parts = [tensor(f"{name}.{part}") for part in ("radii", "rough", "doubt", "near", "index")]
        return Neighbours(whole(f"{name}.ks"), *parts)

    moments = None
    if "moments.mean" in arrays:
        moments = Moments(tensor("moments.mean"), tensor("moments.factor"), str(arrays["moments.form"]))
    size, window = array("image_size"), array("window")
    limit = array("duplicate_distance")
    return Reference(
        points=points("points"),
        centre=tensor("centre"),
        group=arrays["group"],
        block=arrays["block"],
        ks=Ks(int(arrays["ks.improved"]), int(arrays["ks.density"]), whole("ks.sweep")),
        metrics=tuple(str(name) for name in arrays["metrics"]),
        moments=moments,
        kernel=tensor("kernel") if "kernel" in arrays else None,
        near=near("near"),
        image_size=None if size is None else (int(size[0]), int(size[1])),
        histograms=array("histograms"),
        train=points("train") if "train.raw" in arrays else None,
        train_near=near("train_near"),
        train_group=array("train_group"),
        train_pixels=array("train_pixels"),
        window=None if window is None else (float(window[0]), float(window[1])),
        duplicate_distance=None if limit is None else float(limit),
    )
