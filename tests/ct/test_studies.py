"""Which slices make the data set."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.planes import choose_slices
from pytest_medgan.records import DataSettings


@pytest.mark.parametrize(
    ("count", "wanted", "middle", "expected"),
    [
        (134, None, Fraction(10), range(134)),
        (40, 64, Fraction(10), range(40)),
        (134, 64, Fraction(133, 2), range(35, 99)),  # the middle, as even as can be
        (134, 64, Fraction(75), range(44, 108)),
        (134, 64, Fraction(749, 10), range(43, 107)),
        (134, 64, Fraction(3), range(64)),  # a tumour at the end: still 64 slices
        (134, 64, Fraction(130), range(70, 134)),
        (5, 1, Fraction(2), range(2, 3)),
        (5, 3, Fraction(2), range(1, 4)),
    ],
)
def test_choose_slices_takes_neighbours_about_the_middle(
    count: int, wanted: int | None, middle: Fraction, expected: range
) -> None:
    assert choose_slices(count, wanted, middle) == expected


def test_prepare_patient_ids_that_differ_in_capital_letters_are_warned_of(tmp_path: Path, study_class: Any) -> None:
    for patient in ("Case-1", "CASE-1", "Case-2"):
        study_class(tmp_path / "data", patient=patient).write()
    settings = DataSettings(source=str(tmp_path / "data"), crop_size=32, size=16, slices=None)
    prepared = prepare(settings, cache_dir=tmp_path / "cache")
    assert prepared.warnings == (
        "1 PatientIDs differ from another one in capital letters alone: if they are one person's, write them alike, "
        "since each is taken as a patient",
    )
