"""Evidence as plain arrays in an npz file: of one model, or of all models of a run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.arrays import read_arrays
from pytest_medgan.ground.files import write_bytes
from pytest_medgan.records import Evidence

Arrays = dict[str, npt.NDArray[Any]]

_NAMES = frozenset(f.name for f in fields(Evidence))
_SWEEP = "sweep:"


def save_evidence(path: Path, evidence: Evidence) -> None:
    """Write one model's evidence in one step.

    Args:
        path: The file to create or replace.
        evidence: The evidence.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, _npz_bytes(_arrays(evidence)))


def load_evidence(path: Path) -> Evidence:
    """Read one model's evidence.

    Args:
        path: A file that `save_evidence` wrote.

    Returns:
        The evidence.

    Raises:
        SettingsError: The file cannot be read.
    """
    return _evidence(_read(path))


def bundle_bytes(by_place: Mapping[int, Evidence]) -> bytes:
    """Return the npz content for a run's models; equal evidence gives equal bytes.

    Args:
        by_place: Evidence by the place of the model in the run.

    Returns:
        The content of a file that `read_bundle` reads.
    """
    arrays = {f"{place}/{key}": array for place, ev in by_place.items() for key, array in _arrays(ev).items()}
    return _npz_bytes(arrays)


def read_bundle(path: Path) -> dict[int, Evidence]:
    """Read the evidence of a run's models.

    Args:
        path: A file with the content of `bundle_bytes`.

    Returns:
        Evidence by the place of the model in the run.

    Raises:
        SettingsError: The file cannot be read.
    """
    grouped: dict[int, Arrays] = {}
    for name, array in _read(path).items():
        place, _, key = name.partition("/")
        if not place.isdecimal():
            raise _damaged(path)
        grouped.setdefault(int(place), {})[key] = array
    return {place: _evidence(arrays) for place, arrays in grouped.items()}


def without_real(evidence: Evidence) -> Evidence:
    """Return the evidence without any picture of a real or training image."""
    return replace(
        evidence,
        thumbnails_real=None,
        thumbnail_real_index=None,
        thumbnails_train=None,
        thumbnail_train_index=None,
    )


def _arrays(evidence: Evidence) -> Arrays:
    """Return what is known as arrays by name."""
    arrays: Arrays = {}
    for f in fields(evidence):
        value = getattr(evidence, f.name)
        if f.name == "sweep":
            arrays |= {f"{_SWEEP}{metric}": np.asarray(curve) for metric, curve in value.items()}
        elif value is not None:
            arrays[f.name] = np.asarray(value)
    return arrays


def _evidence(arrays: Arrays) -> Evidence:
    """Return evidence; names that this version does not know are left out, so that newer files can be shown."""
    given: dict[str, Any] = {name: array for name, array in arrays.items() if name in _NAMES}
    if "window" in given:
        given["window"] = tuple(float(edge) for edge in given["window"])
    given |= {name: int(given[name]) for name in ("ties", "count") if name in given}
    sweep = {name.removeprefix(_SWEEP): array for name, array in arrays.items() if name.startswith(_SWEEP)}
    return Evidence(**given, sweep=sweep)


def _npz_bytes(arrays: Arrays) -> bytes:
    """Return an npz with a fixed date, so that equal arrays give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in sorted(arrays.items()):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return content.getvalue()


def _read(path: Path) -> Arrays:
    """Return the arrays of an npz by name."""
    try:
        return read_arrays(path, name=path.name)
    except DataError:
        raise _damaged(path) from None


def _damaged(path: Path) -> SettingsError:
    """Return the error for a damaged file."""
    return SettingsError("The evidence of the run cannot be read. Run the tests again.", file=path.name)
