"""Evidence on disk: plain arrays in an npz file, one model's (`save_evidence`) or a whole run's."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Evidence

Arrays = dict[str, npt.NDArray[Any]]

_NAMES = frozenset(f.name for f in fields(Evidence))


def save_evidence(path: Path, evidence: Evidence) -> None:
    """Writes one model's evidence, atomically: a reader sees the whole file or none."""
    _write(path, _arrays(evidence))


def load_evidence(path: Path) -> Evidence:
    """Reads what `save_evidence` wrote. Raises SettingsError where it cannot be read."""
    return _evidence(_read(path))


def write_bundle(path: Path, by_place: Mapping[int, Evidence]) -> None:
    """Writes the evidence of a run's models, each under its place in the run."""
    _write(path, {f"{place}/{key}": array for place, ev in by_place.items() for key, array in _arrays(ev).items()})


def read_bundle(path: Path) -> dict[int, Evidence]:
    """Reads what `write_bundle` wrote; empty where there is no file, since a run without pictures is a run."""
    if not path.exists():
        return {}
    grouped: dict[int, Arrays] = {}
    for name, array in _read(path).items():
        place, _, key = name.partition("/")
        grouped.setdefault(int(place), {})[key] = array
    return {place: _evidence(arrays) for place, arrays in grouped.items()}


def without_real(evidence: Evidence) -> Evidence:
    """The evidence without any picture of a real or training image."""
    return replace(
        evidence,
        thumbnails_real=None,
        thumbnail_real_index=None,
        thumbnails_train=None,
        thumbnail_train_index=None,
    )


def _arrays(evidence: Evidence) -> Arrays:
    arrays: Arrays = {}
    for f in fields(evidence):
        value = getattr(evidence, f.name)
        if f.name == "sweep":
            arrays |= {f"sweep:{metric}": np.asarray(curve) for metric, curve in value.items()}
        elif value is not None:
            arrays[f.name] = np.asarray(value)
    return arrays


def _evidence(arrays: Arrays) -> Evidence:
    """Names this version does not know are left out, so that evidence of a newer one can still be drawn."""
    given: dict[str, Any] = {name: array for name, array in arrays.items() if name in _NAMES}
    if "window" in given:
        given["window"] = tuple(float(edge) for edge in given["window"])
    if "ties" in given:
        given["ties"] = int(given["ties"])
    sweep = {name.removeprefix("sweep:"): array for name, array in arrays.items() if name.startswith("sweep:")}
    return Evidence(**given, sweep=sweep)


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for name, array in sorted(arrays.items()):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            # a fixed date, so that the same evidence makes the same bytes
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
    partial.replace(path)


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile):
        raise SettingsError(
            "the evidence beside the scores cannot be read; run the tests again", file=str(path)
        ) from None
