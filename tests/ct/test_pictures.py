"""What all sources of pictures share."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.ct.pictures import GREY, finish_picture, natural, patient_of
from pytest_medgan.errors import DataError


def test_natural_order() -> None:
    names = ["a/slice-10.png", "a/slice-9.png", "a/b.png", "10.png", "9.png", "a/slice-9b.png"]
    assert sorted(names, key=natural) == [
        "9.png",
        "10.png",
        "a/b.png",
        "a/slice-9.png",
        "a/slice-9b.png",
        "a/slice-10.png",
    ]


def test_the_topmost_folder_is_the_patient() -> None:
    assert patient_of("doe/scan/1.png", "x") == "doe"
    assert patient_of("1.png", "x") == "x"


def test_grey_is_kept() -> None:
    values = np.arange(256, dtype=np.float64).reshape(16, 16)
    finished = finish_picture(values, crop_size=160, size=16, window=GREY, file="x")
    assert np.array_equal(finished, values)


def test_small_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="20x30, smaller than crop_size 32; give a smaller one, or 16x16 pictures"):
        finish_picture(np.zeros((20, 30)), crop_size=32, size=16, window=GREY, file="x")
