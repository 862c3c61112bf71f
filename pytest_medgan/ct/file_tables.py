"""Read the table of files: which patient a picture is of, and what its values mean.

A table is a CSV file among the pictures with the columns `file` and `patient`, and `slope` and `intercept` where the
values become HU by value * slope + intercept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.ct.cohort import read_rows
from pytest_medgan.ct.reading import Reading
from pytest_medgan.errors import DataError


@dataclass(frozen=True)
class Meaning:
    """What the table of files says about one file."""

    patient: str
    rescale: tuple[float, float] | None  # slope, intercept to HU


def read_meanings(reading: Reading) -> dict[str, Meaning]:
    """Read the tables with columns file and patient.

    Args:
        reading: The source.

    Returns:
        File (relative to the data root) -> what its table says.

    Raises:
        DataError: A line names no file or patient, its slope and intercept are not numbers, or it contradicts another
            line.
    """
    found: dict[str, Meaning] = {}
    for table in reading.files:
        if table.kind != "csv":
            continue
        try:
            lines = read_rows(reading.root / table.name, table.name)
        except DataError:
            continue  # noted where the clinical tables are read
        head = [cell.strip().casefold() for cell in lines[0]] if lines else []
        if not {"file", "patient"} <= set(head):
            continue
        for number, line in enumerate(lines[1:], start=2):
            cells = dict(zip(head, (cell.strip() for cell in line), strict=False))
            if not any(cells.values()):
                continue
            if not cells.get("file") or not cells.get("patient"):
                raise DataError(
                    f"Line {number} of the table of files has no file or no patient. Fill it in.", file=table.name
                )
            path = f"{table.folder}/{cells['file']}" if table.folder else cells["file"]
            meaning = Meaning(cells["patient"], _rescale(cells, number, table.name))
            if found.setdefault(path, meaning) != meaning:
                raise DataError(
                    f"Line {number} of the table of files says something else of a file than another line. Remove one "
                    "of them.",
                    file=table.name,
                )
    return found


def _rescale(cells: dict[str, str], number: int, name: str) -> tuple[float, float] | None:
    """Return slope and intercept of one line; None where it has neither."""
    if not cells.get("slope") and not cells.get("intercept"):
        return None
    try:
        slope, intercept = float(cells.get("slope") or 1), float(cells.get("intercept") or 0)
    except ValueError:
        slope, intercept = 0.0, 0.0
    if not np.isfinite([slope, intercept]).all() or slope <= 0:
        raise DataError(f"Line {number} of the table of files has no usable slope or intercept. Correct it.", file=name)
    return slope, intercept
