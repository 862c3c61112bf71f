"""One series: order, distance, and what must not differ inside it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pytest_medgan.ct.dicom import build_series, read_volume
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError


@pytest.fixture
def headers(tmp_path: Path, study_class: Any) -> list[Header]:
    """Twelve slices 3 mm apart."""
    study = study_class(tmp_path, slices=12).write()
    return [read_headers(tmp_path, path.relative_to(tmp_path).as_posix())[0] for path in study.files]


def moved(header: Header, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Header:
    place = header.position
    return replace(header, position=(place[0] + x, place[1] + y, place[2] + z))


def test_order_is_by_position_whatever_the_files_order(headers: list[Header], tmp_path: Path) -> None:
    expected = build_series(headers)
    assert expected.positions == tuple(-100.0 + 3 * index for index in range(12))
    assert [header.number for header in expected.slices] == list(range(12, 0, -1))
    for seed in range(5):
        shuffled = random.Random(seed).sample(headers, len(headers))
        assert build_series(shuffled) == expected
    renamed = [replace(header, file=f"{index * 7 % 12}") for index, header in enumerate(headers)]
    assert [h.instance for h in build_series(renamed).slices] == [h.instance for h in expected.slices]


def test_the_volume(headers: list[Header], tmp_path: Path) -> None:
    volume = read_volume(tmp_path, build_series(headers[::-1]))
    assert volume.shape == (12, 64, 64)
    assert volume[3, 32, 32] == (32 * 7 + 32 * 13 + 3 * 31 + sum(map(ord, "PAT-001")) * 3) % 97 - 24


def test_distance_is_of_positions_not_of_thickness(headers: list[Header]) -> None:
    thick = [replace(header, thickness=5.0) for header in headers]
    series = build_series(thick)
    assert series.step == 3.0
    assert series.overlapping
    assert not build_series(headers).overlapping


def test_the_nearest_slice(headers: list[Header]) -> None:
    series = build_series(headers)
    assert series.nearest(-100.0 + 3 * 4 + 1.4) == 4
    assert series.nearest(-102.0) == -1


def test_a_tilted_gantry_is_a_straight_line_too(headers: list[Header]) -> None:
    slanted = [moved(header, y=0.9 * index) for index, header in enumerate(headers)]
    assert build_series(slanted).uneven == 0


def test_rounded_positions_are_even(headers: list[Header]) -> None:
    """0.7 mm spacing told to a tenth of a millimetre of a table that moves 0.72."""
    rough = [replace(h, position=(0.0, 0.0, round(0.72 * i, 1))) for i, h in enumerate(headers)]
    series = build_series([replace(h, thickness=1.0) for h in rough[:1] + rough[1:]])
    assert series.uneven == 0
    assert series.step == pytest.approx(0.72, abs=0.01)


def test_a_slightly_displaced_slice_is_measured(headers: list[Header]) -> None:
    headers[5] = moved(headers[5], z=0.1)
    assert build_series(headers).uneven == pytest.approx(0.1, abs=1e-9)
    headers[5] = moved(headers[5], x=0.2, z=-0.1)
    assert build_series(headers).uneven == pytest.approx(0.2, abs=1e-9)


def test_identical_copies_are_left_out(headers: list[Header]) -> None:
    series = build_series([*headers, replace(headers[4], file="copy.dcm")])
    assert (len(series), series.duplicates) == (12, 1)


Fault = Callable[[list[Header]], list[Header]]


@pytest.mark.parametrize(
    ("fault", "message", "at"),
    [
        (lambda h: h[:5] + h[6:], "6.00 mm away instead of 3.00 .1 missing", 4),
        (lambda h: h[:5] + h[8:], "12.00 mm away instead of 3.00 .3 missing", 4),
        (lambda h: [*h[:5], moved(h[5], z=-3.0), *h[6:]], "at the position of another slice", 5),
        (lambda h: [*h[:8], *(moved(x, z=2.0 * i) for i, x in enumerate(h[8:], 1))], "5.00 mm away", 7),
        (lambda h: [*h[:5], moved(h[5], z=1.4), *h[6:]], "mm away instead of 3.00", 4),
        (lambda h: [*h[:5], moved(h[5], x=4.0), *h[6:]], "beside the other slices", 5),
        (lambda h: [*h[:5], replace(h[5], patient="X"), *h[6:]], "PatientID differs", 5),
        (lambda h: [*h[:5], replace(h[5], study="1.2"), *h[6:]], "StudyInstanceUID differs", 5),
        (lambda h: [*h[:5], replace(h[5], frame_of_reference="1.2"), *h[6:]], "FrameOfReferenceUID differs", 5),
        (lambda h: [*h[:5], replace(h[5], spacing=(1.0, 1.001)), *h[6:]], "PixelSpacing differs", 5),
        (lambda h: [*h[:5], replace(h[5], pixels=replace(h[5].pixels, rows=32)), *h[6:]], "matrix differs", 5),
        (lambda h: [*h[:5], replace(h[5], pixels=replace(h[5].pixels, intercept=-1023.0)), *h[6:]], "rescale", 5),
        (lambda h: [*h[:5], replace(h[5], pixels=replace(h[5].pixels, signed=True)), *h[6:]], "pixel format", 5),
        (lambda h: [*h[:5], replace(h[5], orientation=(0, 1, 0, 1, 0, 0)), *h[6:]], "ImageOrientation", 5),
        (lambda h: [*h[:5], replace(h[5], instance=h[4].instance), *h[6:]], "SOPInstanceUID of another", 5),
        (lambda h: [replace(x, orientation=(2, 0, 0, 0, 1, 0)) for x in h], "perpendicular unit vectors", 0),
        (lambda h: [replace(x, orientation=(1, 0, 0, 0, 0, -1)) for x in h], "not an axial slice", 0),
    ],
)
def test_what_is_refused(headers: list[Header], fault: Fault, message: str, at: int) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_series(fault(headers))
    assert caught.value.file == headers[at].file


def test_a_single_slice_is_a_series(headers: list[Header]) -> None:
    series = build_series(headers[:1])
    assert (len(series), series.step, series.uneven) == (1, 0.0, 0.0)


def test_scanning_towards_the_feet_or_the_head_gives_one_order(tmp_path: Path, study_class: Any) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]  # the normal points to the feet

    study = study_class(tmp_path, change=change).write()
    found = [read_headers(tmp_path, path.relative_to(tmp_path).as_posix())[0] for path in study.files]
    series = build_series(found)
    assert np.diff(series.positions) == pytest.approx(3.0)
    assert series.slices[0].position[2] == -100.0
