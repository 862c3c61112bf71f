"""Contours to a centre on every slice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from pytest_medgan.ct import load_real
from pytest_medgan.ct.contours import read_structures
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.regions import Choice, StructureFile, choose_region
from pytest_medgan.ct.series import Series, build_series
from pytest_medgan.ct.tumour import Tumour, sum_masks
from pytest_medgan.errors import DataError
from tests.ct.test_enhanced import make_enhanced

BOX = (20.5, 25.5, 29.5, 40.5)  # rows 21..29, columns 26..40


@pytest.fixture
def study(tmp_path: Path, study_class: Any) -> Any:
    return study_class(tmp_path, slices=10).write()


@pytest.fixture
def series(study: Any) -> Series:
    return build_series(read_headers(study.root, path.relative_to(study.root).as_posix())[0] for path in study.files)


def read(study: Any, path: Path) -> StructureFile:
    return read_structures(study.root, path.relative_to(study.root).as_posix(), "digest")


def choose(study: Any, series: Series, regions: dict[str, Any], change: Callable[[Dataset], Any] = id) -> Choice:
    return choose_region(read(study, study.draw(regions, change)), series)


def locate(study: Any, series: Series, regions: dict[str, Any], change: Callable[[Dataset], Any] = id) -> Tumour | None:
    choice = choose(study, series, regions, change)
    return sum_masks(choice.name, choice.masks) if choice.name else None


def test_sum_masks_of_a_box_has_its_counts_and_centroid(study: Any, series: Series) -> None:
    tumour = locate(study, series, {"GTV-1": {3: BOX, 4: BOX}})
    assert tumour is not None
    assert (tumour.indices, tumour.counts) == ((3, 4), (9 * 15, 9 * 15))
    assert tumour.centroid == (Fraction(7, 2), 25, 33)


def test_centre_in_gaps_and_beyond_the_ends_is_interpolated_and_held() -> None:
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
def test_choose_region_follows_the_rule_of_names(study: Any, series: Series, names: list[str], chosen: str) -> None:
    tumour = locate(study, series, {name: {index: BOX} for index, name in enumerate(names)})
    assert tumour is not None
    assert tumour.name == chosen


def test_choose_region_of_equal_rank_takes_the_larger(study: Any, series: Series) -> None:
    tumour = locate(study, series, {"GTV-1": {1: BOX}, "gtv1": {2: BOX, 3: BOX}})
    assert tumour is not None
    assert tumour.indices == (2, 3)


def test_masks_unite_contours_of_one_slice(study: Any, series: Series) -> None:
    def twice(dataset: Dataset) -> None:
        contours = dataset.ROIContourSequence[0].ContourSequence
        contours.append(contours[0])

    tumour = locate(study, series, {"GTV-1": {3: BOX}}, twice)
    assert tumour is not None
    assert tumour.counts == (135,)


def draw_contours(*contours: tuple[str, tuple[float, float, float, float], float]) -> Callable[[Dataset], None]:
    """Replace the contours of the first region by rectangles: type, (top, left, bottom, right) in pixels, z in mm."""

    def change(dataset: Dataset) -> None:
        drawn = []
        for kind, (top, left, bottom, right), z in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, 4
            corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
            contour.ContourData = [v for row, column in corners for v in (column - 31.5, row - 31.5, z)]
            drawn.append(contour)
        dataset.ROIContourSequence[0].ContourSequence = drawn

    return change


XOR, PLAIN = "CLOSEDPLANAR_XOR", "CLOSED_PLANAR"
OUTER, HOLE, ISLAND = (9.5, 9.5, 29.5, 39.5), (14.5, 14.5, 24.5, 34.5), (17.5, 17.5, 21.5, 25.5)
APART = (40.5, 40.5, 44.5, 50.5)
FOURTH, STEP = -100 + 3 * 3.0, 3.0  # mm, the fourth slice and the distance of slices


def inside(row: float, column: float, box: tuple[float, float, float, float]) -> bool:
    return box[0] < row < box[2] and box[1] < column < box[3]


def expected_mask(rule: Callable[[list[bool]], bool], *boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Return the pixels that satisfy a rule on the boxes that hold their centres, bool [64,64]."""
    return np.array([[rule([inside(r, c, box) for box in boxes]) for c in range(64)] for r in range(64)])


def odd(found: list[bool]) -> bool:
    return sum(found) % 2 == 1


@pytest.mark.parametrize("boxes", [(OUTER,), (OUTER, HOLE), (HOLE, OUTER, ISLAND), (OUTER, APART, HOLE)])
def test_masks_combine_xor_contours_of_a_slice_by_exclusive_or(study: Any, series: Series, boxes: Any) -> None:
    """PS3.3 C.8.8.6.3: a hole, an island in a hole and parts that lie apart, in any order."""
    drawn = [(XOR, box, FOURTH + at / 1000) for at, box in enumerate(boxes)]  # mm, as writers round
    choice = choose(study, series, {"GTV-1": {}}, draw_contours(*drawn))
    assert sorted(choice.masks) == [3]
    assert (choice.masks[3] == expected_mask(odd, *boxes)).all()


def test_masks_fill_closed_contours_within_others_as_before(study: Any, series: Series) -> None:
    choice = choose(study, series, {"GTV-1": {}}, draw_contours((PLAIN, OUTER, FOURTH), (PLAIN, HOLE, FOURTH)))
    assert (choice.masks[3] == expected_mask(any, OUTER, HOLE)).all()


@pytest.mark.parametrize(
    ("contours", "expected"),
    [
        (((XOR, OUTER), (PLAIN, ISLAND), (XOR, HOLE)), (OUTER, HOLE, ISLAND)),
        (((XOR, HOLE), (PLAIN, OUTER)), (OUTER, HOLE)),  # a hole in a contour of the other type
    ],
)
def test_masks_combine_xor_contours_with_closed_ones(study: Any, series: Series, contours: Any, expected: Any) -> None:
    change = draw_contours(*((kind, box, FOURTH) for kind, box in contours))
    choice = choose(study, series, {"GTV-1": {}}, change)
    assert (choice.masks[3] == expected_mask(odd, *expected)).all()


def test_masks_keep_xor_contours_of_different_planes_apart(study: Any, series: Series) -> None:
    """Two planes 1 mm apart come to lie on one slice, where their union counts; a hole belongs to its own plane."""
    change = draw_contours(
        (XOR, OUTER, FOURTH - 0.5),
        (XOR, OUTER, FOURTH + 0.5),
        (XOR, HOLE, FOURTH + 0.5),
        (XOR, APART, FOURTH + STEP),
    )
    choice = choose(study, series, {"GTV-1": {}}, change)
    assert sorted(choice.masks) == [3, 4]
    assert (choice.masks[3] == expected_mask(any, OUTER)).all()
    assert (choice.masks[4] == expected_mask(any, APART)).all()


@pytest.mark.parametrize("box", [(90.0, 10.0, 95.0, 20.0), (10.0, -20.0, 20.0, -10.0)])
def test_masks_of_an_xor_contour_outside_the_image_are_refused(study: Any, series: Series, box: Any) -> None:
    choice = choose(study, series, {"GTV-1": {}}, draw_contours((XOR, OUTER, FOURTH), (XOR, box, FOURTH)))
    assert choice.name == ""
    assert "GTV lies outside the image volume" in str(choice.faults[0])


def test_choose_region_without_a_gtv_returns_none(study: Any, series: Series) -> None:
    assert locate(study, series, {"Heart": {3: BOX}}) is None


def higher(dataset: Dataset) -> None:
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [value + 50 if at % 3 == 2 else value for at, value in enumerate(contour.ContourData)]


def aside(axis: int, distance: float) -> Callable[[Dataset], None]:
    """Move the first region within the planes of the slices, by millimetres along x (0) or y (1)."""

    def change(dataset: Dataset) -> None:
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            contour.ContourData = [v + distance if at % 3 == axis else v for at, v in enumerate(contour.ContourData)]

    return change


def slanted(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [v + at if at % 3 == 2 else v for at, v in enumerate(contour.ContourData)]


def ragged(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = list(contour.ContourData)[:-1]


def hollow(dataset: Dataset) -> None:
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        del contour.ContourData


def emptied(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ContourSequence = []


def undrawn(dataset: Dataset) -> None:
    del dataset.ROIContourSequence[0].ContourSequence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (higher, "GTV lies outside the image volume"),
        (aside(0, 90), "GTV lies outside the image volume"),
        (aside(0, -90), "GTV lies outside the image volume"),
        (aside(1, 90), "GTV lies outside the image volume"),
        (aside(1, -90), "GTV lies outside the image volume"),
        (slanted, "GTV lies outside the image volume"),
        (ragged, "not a list of points"),
        (hollow, "no closed contour"),
        (emptied, "no closed contour"),
        (undrawn, "no closed contour"),
    ],
)
def test_choose_region_unsuitable_region_is_passed_over_for_the_next(
    study: Any, series: Series, change: Callable[[Dataset], None], message: str
) -> None:
    choice = choose(study, series, {"GTV-1": {3: BOX, 4: BOX}, "GTV-2": {5: BOX}}, change)
    assert (choice.name, sorted(choice.masks)) == ("GTV-2", [5])
    (fault,) = choice.faults
    assert re.search(message, str(fault))
    assert fault.file == "PAT-001/study/structures/1-1.dcm"
    assert choose(study, series, {"GTV-1": {3: BOX, 4: BOX}}, change).name == ""


def test_choose_region_smaller_than_a_pixel_is_passed_over(study: Any, series: Series) -> None:
    tiny = {3: (20.2, 20.2, 20.4, 20.4)}
    choice = choose(study, series, {"GTV-1": tiny, "GTV-2": {5: BOX}})
    assert choice.name == "GTV-2"
    assert "covers no pixel" in str(choice.faults[0])
    assert choose(study, series, {"GTV-1": tiny}).masks == {}


def test_choose_region_with_a_given_name_takes_no_other(study: Any, series: Series) -> None:
    path = study.draw({"GTV-1": {3: BOX}, "Boost Vol. 2": {6: BOX}})
    name = path.relative_to(study.root).as_posix()
    structures = read_structures(study.root, name, "digest", "boost vol 2")
    choice = choose_region(structures, series, "boost vol 2")
    assert (choice.name, sorted(choice.masks)) == ("Boost Vol. 2", [6])
    assert structures.names == ("GTV-1", "Boost Vol. 2")


def nameless(dataset: Dataset) -> None:
    del dataset.StructureSetROISequence


def test_read_structures_damaged_file_is_a_data_error(study: Any, series: Series) -> None:
    with pytest.raises(DataError, match="An RTSTRUCT is damaged") as caught:
        choose(study, series, {"GTV-1": {3: BOX}}, nameless)
    assert caught.value.file == "PAT-001/study/structures/1-1.dcm"


def other_series(dataset: Dataset) -> None:
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"


def unreferred(dataset: Dataset) -> None:
    del dataset.ReferencedFrameOfReferenceSequence


def unreferred_and_away(dataset: Dataset) -> None:
    unreferred(dataset)
    higher(dataset)


def unreferred_of_another(dataset: Dataset) -> None:
    unreferred(dataset)
    dataset.PatientID = "PAT-009"


def frame_alone(dataset: Dataset) -> None:
    del dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence


def frame_of_another(dataset: Dataset) -> None:
    frame_alone(dataset)
    dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"


def by_images(study: Any) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        other_series(dataset)
        image = Dataset()
        image.ReferencedSOPInstanceUID = dcmread(study.files[3]).SOPInstanceUID
        dataset.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = [image]

    return change


def test_drawn_on_uses_references_then_positions(study: Any, series: Series) -> None:
    def drawn(change: Callable[[Dataset], Any]) -> bool:
        return read(study, study.draw({"GTV-1": {3: BOX}}, change)).drawn_on(series)

    assert drawn(id)
    assert not drawn(other_series)
    assert drawn(by_images(study))
    assert drawn(frame_alone)
    assert drawn(frame_of_another)  # positions decide
    assert drawn(unreferred)
    assert not drawn(unreferred_and_away)
    assert not drawn(unreferred_of_another)  # at the same place as everybody's


def refer_to_enhanced(study: Any, numbers: str) -> Callable[[Dataset], None]:
    """Let contours refer to an enhanced CT, to their "own" frames, to "all" of them, or to "none" in particular."""
    image = dcmread(study.root / "enhanced.dcm")

    def change(dataset: Dataset) -> None:
        del dataset.ReferencedFrameOfReferenceSequence
        dataset.PatientID = "PAT-009"  # so that positions do not decide
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
            if numbers != "none":
                index = round((contour.ContourData[2] + 100) / 3)
                item.ReferencedFrameNumber = ORDER.index(index) + 1 if numbers == "own" else [*range(1, 11)]
            contour.ContourImageSequence = [item]

    return change


ORDER = [9, 3, 0, 4, 1, 2, 5, 6, 7, 8]  # of the slices in the enhanced CT


@pytest.mark.parametrize("numbers", ["own", "all", "none"])
def test_drawn_on_finds_an_enhanced_ct_by_the_images_of_its_contours(study: Any, numbers: str) -> None:
    make_enhanced(study, study.root / "enhanced.dcm", ORDER)
    enhanced = build_series(read_headers(study.root, "enhanced.dcm"))
    structures = read(study, study.draw({"GTV-1": {3: BOX, 4: BOX}}, refer_to_enhanced(study, numbers)))
    assert structures.drawn_on(enhanced)
    assert sorted(choose_region(structures, enhanced).masks) == [3, 4]
    others = [replace(header, series="1.2.3", instance=f"1.2.4/{header.frame}") for header in enhanced.slices]
    assert not structures.drawn_on(build_series(others))


def test_drawn_on_finds_single_slices_of_which_contours_name_the_frame(study: Any, series: Series) -> None:
    def change(dataset: Dataset) -> None:
        by_images(study)(dataset)
        dataset.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0].ReferencedFrameNumber = 1

    assert read(study, study.draw({"GTV-1": {3: BOX}}, change)).drawn_on(series)


@pytest.mark.parametrize("numbers", ["own", "none"])
def test_load_real_of_enhanced_ct_crops_on_contours_that_refer_to_images_alone(
    *, tmp_path: Path, study_class: Any, small: Any, numbers: str
) -> None:
    root = tmp_path / "data"
    for number in range(3):
        study = study_class(root / f"P{number}", f"P{number}", slices=10).write()
        make_enhanced(study, study.root / "enhanced.dcm", ORDER)

        def change(dataset: Dataset, study: Any = study) -> None:
            refer_to_enhanced(study, numbers)(dataset)
            dataset.PatientID = study.patient

        study.draw({"GTV-1": {3: BOX, 4: BOX}}, change)
        for file in study.files:
            file.unlink()
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert (real.settings.crop, real.counts["structure sets used"]) == ("tumour", 3)
    assert not any("series that are not here" in warning for warning in real.warnings)


def test_masks_of_unequal_spacings_use_the_spacing_of_each_axis(tmp_path: Path, study_class: Any) -> None:
    """Rows 2 mm apart, columns 0.5 mm: a box in mm covers rows and columns in that ratio."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelSpacing = [2, 0.5]

    study = study_class(tmp_path, slices=3, change=change).write()
    series = build_series(read_headers(tmp_path, path.relative_to(tmp_path).as_posix())[0] for path in study.files)
    tumour = locate(study, series, {"GTV-1": {1: (20.5, 10.25, 29.5, 20.25)}})  # mm from the first pixel
    assert tumour is not None
    assert tumour.counts == ((14 - 11 + 1) * (40 - 21 + 1),)
    assert tumour.centroid[1:] == (Fraction(11 + 14, 2), Fraction(21 + 40, 2))
