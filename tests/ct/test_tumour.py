"""Contours to a centre on every slice."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pytest_medgan.ct.dicom import Series, build_series
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.regions import StructureFile
from pytest_medgan.ct.tumour import Tumour, locate_tumour, read_structures, sum_masks
from pytest_medgan.errors import DataError

BOX = (20.5, 25.5, 29.5, 40.5)  # rows 21..29, columns 26..40


@pytest.fixture
def study(tmp_path: Path, study_class: Any) -> Any:
    return study_class(tmp_path, slices=10).write()


@pytest.fixture
def series(study: Any) -> Series:
    return build_series(read_headers(study.root, path.relative_to(study.root).as_posix())[0] for path in study.files)


def read(study: Any, path: Path) -> StructureFile:
    return read_structures(study.root, path.relative_to(study.root).as_posix(), "digest")


def locate(study: Any, series: Series, regions: dict[str, Any], change: Callable[[Dataset], Any] = id) -> Tumour | None:
    return locate_tumour(read(study, study.draw(regions, change)), series)


def test_a_box(study: Any, series: Series) -> None:
    tumour = locate(study, series, {"GTV-1": {3: BOX, 4: BOX}})
    assert tumour is not None
    assert (tumour.indices, tumour.counts) == ((3, 4), (9 * 15, 9 * 15))
    assert tumour.centroid == (Fraction(7, 2), 25, 33)


def test_the_centre_of_every_slice() -> None:
    def square(row: int, column: int) -> np.ndarray:
        mask = np.zeros((64, 64), bool)
        mask[row - 1 : row + 2, column - 1 : column + 2] = True
        return mask

    tumour = sum_masks("GTV-1", {4: square(10, 20), 2: square(10, 10), 8: square(30, 24)})
    assert tumour.indices == (2, 4, 8)
    centres = [tumour.centre(index) for index in range(10)]
    assert centres[:3] == [(10, 10)] * 3  # held before the first
    assert centres[3] == (10, 15)  # a straight line in a gap
    assert centres[4] == (10, 20)
    assert centres[5:9] == [(15, 21), (20, 22), (25, 23), (30, 24)]
    assert centres[9] == (30, 24)  # held behind the last
    assert tumour.middle == Fraction(14, 3)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["Lung-Left", "gtv-1"], "gtv-1"),
        (["GTV-2", "GTV-1"], "GTV-1"),
        (["GTV", "GTV 1"], "GTV 1"),
        (["GTVn", "GTV_primary"], "GTV_primary"),
        (["Neoplasm, Primary", "heart"], "Neoplasm, Primary"),
        (["GTV-N1", "Tumour"], "Tumour"),
    ],
)
def test_the_rule_of_names(study: Any, series: Series, names: list[str], chosen: str) -> None:
    tumour = locate(study, series, {name: {index: BOX} for index, name in enumerate(names)})
    assert tumour is not None
    assert tumour.name == chosen


def test_equal_names_are_settled_by_volume(study: Any, series: Series) -> None:
    tumour = locate(study, series, {"GTV-1": {1: BOX}, "gtv1": {2: BOX, 3: BOX}})
    assert tumour is not None
    assert tumour.indices == (2, 3)


def test_contours_on_one_slice_are_united(study: Any, series: Series) -> None:
    def twice(dataset: Dataset) -> None:
        contours = dataset.ROIContourSequence[0].ContourSequence
        contours.append(contours[0])

    tumour = locate(study, series, {"GTV-1": {3: BOX}}, twice)
    assert tumour is not None
    assert tumour.counts == (135,)


def test_no_gtv_is_none(study: Any, series: Series) -> None:
    assert locate(study, series, {"Heart": {3: BOX}}) is None


def other_series(dataset: Dataset) -> None:
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"


def higher(dataset: Dataset) -> None:
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [value + 50 if at % 3 == 2 else value for at, value in enumerate(contour.ContourData)]


def beside(dataset: Dataset) -> None:
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [value + 90 if at % 3 == 0 else value for at, value in enumerate(contour.ContourData)]


def slanted(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [v + 4 * at if at % 3 == 2 else v for at, v in enumerate(contour.ContourData)]


def ragged(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = list(contour.ContourData)[:-1]


def nameless(dataset: Dataset) -> None:
    del dataset.StructureSetROISequence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_series, "drawn on another series"),
        (higher, "GTV outside the image volume"),
        (beside, "GTV outside the image volume"),
        (slanted, "GTV outside the image volume"),
        (ragged, "no list of points"),
        (nameless, "no sound RTSTRUCT"),
    ],
)
def test_what_is_refused(study: Any, series: Series, change: Callable[[Dataset], None], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        locate(study, series, {"GTV-1": {3: BOX, 4: BOX}}, change)
    assert caught.value.file == "PAT-001/study/structures/1-1.dcm"


def test_a_contour_between_pixels_covers_nothing(study: Any, series: Series) -> None:
    with pytest.raises(DataError, match="covers no pixel"):
        locate(study, series, {"GTV-1": {3: (20.2, 20.2, 20.4, 20.4)}})
