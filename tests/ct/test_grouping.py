"""What all sources of pictures share."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.ct.grouping import GREY, finish_picture, natural, patient_of
from pytest_medgan.errors import DataError


def test_natural_sorts_numbers_by_value() -> None:
    names = ["a/slice-10.png", "a/slice-9.png", "a/b.png", "10.png", "9.png", "a/slice-9b.png"]
    assert sorted(names, key=natural) == [
        "9.png",
        "10.png",
        "a/b.png",
        "a/slice-9.png",
        "a/slice-9b.png",
        "a/slice-10.png",
    ]


@pytest.mark.parametrize(
    ("name", "rule", "patient"),
    [
        ("doe/scan/1.png", "top", "doe"),
        ("1.png", "top", "x"),
        ("sick/doe/1.png", "folder", "sick/doe"),
        ("1.png", "folder", "x"),
        ("sick/doe_001.png", "file", "doe"),
        ("covid/2020.01.24.919183-p27-132.png", "file", "2020.01.24.919183-p27"),
        ("sick/doe-7_scan-12.PNG", "file", "doe-7_scan"),
        ("P 12.png", "file", "P"),
        ("12.png", "file", "12"),
    ],
)
def test_patient_of_follows_the_rule(name: str, rule: str, patient: str) -> None:
    assert patient_of(name, "x", rule) == patient


def test_finish_picture_of_the_finished_size_keeps_its_grey() -> None:
    values = np.arange(256, dtype=np.float64).reshape(16, 16)
    finished = finish_picture(values, crop_size=160, size=16, window=GREY, file="x")
    assert np.array_equal(finished, values)


@pytest.mark.parametrize("shape", [(20, 30), (16, 10), (10, 12)])
def test_finish_picture_smaller_than_the_crop_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"{shape[0]}x{shape[1]}, smaller than crop_size=32"):
        finish_picture(np.zeros(shape), crop_size=32, size=16, window=GREY, file="x")
