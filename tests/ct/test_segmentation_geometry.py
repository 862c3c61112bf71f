"""A SEG lies where its geometry says, in millimetres, whatever the order in which it stores its pixels.

Expected positions come from highdicom, which reads the file's geometry on its own, and from the numbers with which the
study was written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from pytest_medgan.ct import load_real
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.segmentation import read_segmentation
from pytest_medgan.ct.series import Series, build_series
from pytest_medgan.errors import DataError
from tests.ct.test_enhanced import make_enhanced
from tests.ct.test_segmentation import write_segmentation

Points = set[tuple[float, float, float]]
FIRST = np.array([-31.5, -31.5, -100.0])  # mm, the first pixel of the first slice
STEP = 3.0  # mm between slices
SPACING = (2.0, 0.5)  # mm between rows and between columns; unequal, so that swapped axes show
AXES = {"right": (-1, 0, 0), "left": (1, 0, 0), "front": (0, -1, 0), "back": (0, 1, 0)}
ELSEWHERE = "A SEG has another pixel grid than its series"


def uneven(dataset: Dataset, index: int) -> None:
    dataset.PixelSpacing = list(SPACING)


@pytest.fixture
def study(tmp_path: Path, study_class: Any) -> Any:
    """Six slices of 64 rows, 2 mm apart, and 64 columns, 0.5 mm apart."""
    return study_class(tmp_path, change=uneven).write()


@pytest.fixture
def square(tmp_path: Path, study_class: Any) -> Any:
    """Six slices of 64 rows and columns, 1 mm apart."""
    return study_class(tmp_path, patient="PAT-002").write()


def lopsided() -> np.ndarray:
    """A tumour [6,64,64] that no flip, turn or shift maps onto itself."""
    mask = np.zeros((6, 64, 64), bool)
    mask[2:4, 10:16, 40:50] = True
    mask[3, 16:20, 40:42] = True
    mask[3, 20, 41] = True
    return mask


def points_of(mask: np.ndarray, spacing: tuple[float, float]) -> Points:
    """Return where the pixels of a mask on the study's slices lie, mm."""
    index, row, column = np.nonzero(mask)
    x, y, z = FIRST[0] + column * spacing[1], FIRST[1] + row * spacing[0], FIRST[2] + index * STEP
    return set(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))


def points_by_highdicom(path: Path) -> Points:
    """Return where the drawn voxels of the tumour lie, mm, as highdicom reads the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        highdicom = pytest.importorskip("highdicom")
        found = highdicom.seg.segread(path)
        number = next(item.SegmentNumber for item in found.SegmentSequence if item.SegmentLabel == "Tumour")
        volume = found.get_volume(segment_numbers=[number])
    drawn = np.argwhere(volume.array[..., 0] > 0)
    places = drawn @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return {(float(x), float(y), float(z)) for x, y, z in places.round(6)}


def place(index: int, row: int, column: int) -> np.ndarray:
    """Return where a pixel of the study lies, mm."""
    return FIRST + np.array([column * SPACING[1], row * SPACING[0], index * STEP])


def read_series(study: Any) -> Series:
    return build_series(read_headers(study.root, file.relative_to(study.root).as_posix())[0] for file in study.files)


def read_masks(study: Any, path: Path) -> np.ndarray:
    """Return the tumour as the package places it, bool [6,64,64]."""
    series = read_series(study)
    found = read_segmentation(study.root, path.relative_to(study.root).as_posix(), "digest")
    (tumour,) = found.regions
    placed = np.zeros((len(series), 64, 64), bool)
    for index, mask in tumour.masks(series, found.file).items():
        placed[index] = mask
    return placed


def write_grid(
    study: Any, tumour: np.ndarray, *, first: np.ndarray, along: Any, down: Any, spacing: tuple[float, float]
) -> Path:
    """Write a SEG on a grid of its own.

    Args:
        study: The study that it belongs to.
        tumour: bool [slices,rows,columns] on the grid.
        first: The first pixel of the first slice, mm.
        along: Direction of a row, from its first pixel to its last.
        down: Direction of a column.
        spacing: mm between rows and between columns.
    """
    highdicom = pytest.importorskip("highdicom")
    heart = np.zeros_like(tumour)
    heart[1, :2, :3] = True
    normal = np.cross(along, down) * (1 if np.cross(along, down)[2] > 0 else -1)
    positions = [
        highdicom.PlanePositionSequence("PATIENT", (first + normal * STEP * index).tolist())
        for index in range(len(tumour))
    ]
    return write_segmentation(
        study,
        {"Heart": heart, "Tumour": tumour},
        plane_positions=positions,
        plane_orientation=highdicom.PlaneOrientationSequence("PATIENT", [*map(float, along), *map(float, down)]),
        pixel_measures=highdicom.PixelMeasuresSequence(list(spacing), STEP, STEP),
    )


def change_file(path: Path, change: Callable[[Dataset], None]) -> Path:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def move(distance: float, axis: int = 0) -> Callable[[Dataset], None]:
    """Move a SEG by a distance in mm along x, y or z."""

    def change(dataset: Dataset) -> None:
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            position = [float(value) for value in groups.PlanePositionSequence[0].ImagePositionPatient]
            position[axis] += distance
            groups.PlanePositionSequence[0].ImagePositionPatient = position

    return change


def without_geometry(dataset: Dataset) -> None:
    """Take the geometry away, as old writers do."""
    for groups in (*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence):
        for name in ("PlaneOrientationSequence", "PixelMeasuresSequence", "PlanePositionSequence"):
            if name in groups:
                del groups[name]


def without_sources(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        del groups.DerivationImageSequence


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_seg_of_one_segment_is_read_from_the_shared_groups(study: Any, kind: str) -> None:
    path = write_segmentation(study, {"Tumour": lopsided()}, kind)
    dataset = dcmread(path)
    assert "SegmentIdentificationSequence" in dataset.SharedFunctionalGroupsSequence[0]
    assert "SegmentIdentificationSequence" not in dataset.PerFrameFunctionalGroupsSequence[0]
    assert points_of(read_masks(study, path), SPACING) == points_by_highdicom(path) == points_of(lopsided(), SPACING)


def test_seg_of_one_frame_may_share_its_position_and_its_source(study: Any) -> None:
    mask = lopsided()
    mask[3] = False
    path = write_segmentation(study, {"Tumour": mask})

    def share(dataset: Dataset) -> None:
        (groups,) = dataset.PerFrameFunctionalGroupsSequence
        for name in ("PlanePositionSequence", "DerivationImageSequence"):
            setattr(dataset.SharedFunctionalGroupsSequence[0], name, getattr(groups, name))
            del groups[name]

    change_file(path, share)
    assert (read_masks(study, path) == mask).all()
    change_file(path, lambda dataset: dataset.SharedFunctionalGroupsSequence[0].pop("PlanePositionSequence"))
    assert (read_masks(study, path) == mask).all()  # by the shared source alone


def test_load_real_with_segs_of_one_segment_crops_on_the_tumour(tmp_path: Path, study_class: Any, small: Any) -> None:
    root = tmp_path / "data"
    for number in range(3):
        write_segmentation(study_class(root, f"P{number}").write(), {"Tumour": lopsided()})
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert (real.settings.crop, real.counts["structure sets used"]) == ("tumour", 3)


@pytest.mark.parametrize("sources", [True, False], ids=["with sources", "without sources"])
@pytest.mark.parametrize(
    ("along", "down"),
    [(a, d) for a in AXES for d in AXES if np.dot(AXES[a], AXES[d]) == 0],
)
def test_pixels_stored_in_any_order_lie_at_the_same_place(*, study: Any, along: str, down: str, sources: bool) -> None:
    """The same voxels, stored in each of the eight orders of rows and columns."""
    across = along in ("front", "back")  # whether rows of the SEG are columns of the study
    stored = lopsided().transpose(0, 2, 1) if across else lopsided()
    stored = stored[:, :: -1 if down in ("right", "front") else 1, :: -1 if along in ("right", "front") else 1]
    first = place(0, 63 if "front" in (along, down) else 0, 63 if "right" in (along, down) else 0)
    spacing = SPACING[::-1] if across else SPACING
    path = write_grid(study, stored, first=first, along=AXES[along], down=AXES[down], spacing=spacing)
    assert points_by_highdicom(path) == points_of(lopsided(), SPACING)
    if sources:
        name_sources(path, study, lambda index: [index])
    else:
        change_file(path, without_sources)
    assert (read_masks(study, path) == lopsided()).all()


def name_sources(path: Path, study: Any, choose: Callable[[int], list[int]]) -> None:
    """Give each frame the slices that `choose` returns for the slice at its position as its sources."""
    uids = [dcmread(file).SOPInstanceUID for file in study.files]

    def change(dataset: Dataset) -> None:
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            index = round((float(groups.PlanePositionSequence[0].ImagePositionPatient[2]) - FIRST[2]) / STEP)
            derivation = Dataset()
            derivation.SourceImageSequence = []
            for source in choose(index):
                item = Dataset()
                item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uids[source]
                derivation.SourceImageSequence.append(item)
            groups.DerivationImageSequence = [derivation]

    change_file(path, change)


def test_seg_cropped_to_a_box_is_placed_by_whole_pixels(study: Any) -> None:
    """Rows 8..23 and columns 38..51 of slices 2 and 3 alone."""
    box = lopsided()[2:4, 8:24, 38:52]
    first = place(2, 8, 38)
    path = write_grid(study, box, first=first, along=AXES["left"], down=AXES["back"], spacing=SPACING)
    assert (dcmread(path).Rows, dcmread(path).Columns) == (16, 14)
    assert points_of(read_masks(study, path), SPACING) == points_by_highdicom(path) == points_of(lopsided(), SPACING)


def test_seg_cropped_and_stored_backwards_is_placed(study: Any) -> None:
    box = lopsided()[2:4, 8:24, 38:52][:, ::-1, ::-1]
    first = place(2, 23, 51)
    path = write_grid(study, box, first=first, along=AXES["right"], down=AXES["front"], spacing=SPACING)
    assert points_of(read_masks(study, path), SPACING) == points_by_highdicom(path) == points_of(lopsided(), SPACING)


def test_seg_larger_than_its_series_is_placed(study: Any) -> None:
    wide = np.pad(lopsided(), ((0, 0), (5, 1), (7, 3)))
    first = place(0, -5, -7)
    path = write_grid(study, wide, first=first, along=AXES["left"], down=AXES["back"], spacing=SPACING)
    assert points_of(read_masks(study, path), SPACING) == points_by_highdicom(path) == points_of(lopsided(), SPACING)


def test_seg_moved_by_whole_pixels_is_drawn_where_it_lies(square: Any) -> None:
    path = change_file(write_segmentation(square, {"Tumour": lopsided()}), move(-20))
    expected = points_by_highdicom(path)
    assert max(x for x, _, _ in expected) == -31.5 + 49 - 20
    assert points_of(read_masks(square, path), (1.0, 1.0)) == expected


def test_seg_beyond_the_edge_of_the_image_is_cut_like_a_contour(square: Any) -> None:
    path = change_file(write_segmentation(square, {"Tumour": lopsided()}), move(20))
    inside = {point for point in points_by_highdicom(path) if point[0] <= 31.5}
    assert 0 < len(inside) < lopsided().sum()
    assert points_of(read_masks(square, path), (1.0, 1.0)) == inside


@pytest.mark.parametrize(("distance", "axis"), [(30, 0), (-60, 0), (-40, 1), (100, 1), (30, 2)])
def test_seg_outside_the_images_is_refused(square: Any, distance: float, axis: int) -> None:
    path = change_file(write_segmentation(square, {"Tumour": lopsided()}), move(distance, axis))
    with pytest.raises(DataError, match="GTV lies outside the image volume"):
        read_masks(square, path)


@pytest.mark.parametrize("distance", [0.01, -0.01, 0.3])
def test_seg_within_the_tolerance_is_taken_as_equal(square: Any, distance: float) -> None:
    path = change_file(write_segmentation(square, {"Tumour": lopsided()}), move(distance))
    assert (read_masks(square, path) == lopsided()).all()


def turned(degrees: float, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions of rows and columns, turned in their plane ("z") or tilted out of it ("x")."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    if axis == "z":
        return np.array([cos, sin, 0]), np.array([-sin, cos, 0])
    return np.array([1, 0, 0]), np.array([0, cos, sin])


@pytest.mark.parametrize(
    ("spacing", "shift", "directions"),
    [
        ((1.1, 1.0), (0, 0), turned(0, "z")),
        ((1.0, 0.97), (0, 0), turned(0, "z")),
        ((2.0, 2.0), (0, 0), turned(0, "z")),
        ((0.5, 0.5), (0, 0), turned(0, "z")),
        ((1.0, 1.0), (0.5, 0.5), turned(0, "z")),  # 0.7 mm
        ((1.0, 1.0), (0, 0), turned(2, "z")),
        ((1.0, 1.0), (0, 0), turned(45, "z")),
        ((1.0, 1.0), (0, 0), turned(2, "x")),
        ((1.0, 1.0), (0, 0), turned(90, "x")),
    ],
)
def test_seg_on_another_grid_is_refused(
    square: Any, spacing: tuple[float, float], shift: tuple[float, float], directions: tuple[np.ndarray, np.ndarray]
) -> None:
    path = write_segmentation(square, {"Tumour": lopsided()})

    def change(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        shared.PixelMeasuresSequence[0].PixelSpacing = list(spacing)
        orientation = [round(float(value), 9) for direction in directions for value in direction]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = orientation
        move(shift[0], 0)(dataset)
        move(shift[1], 1)(dataset)

    change_file(path, change)
    with pytest.raises(DataError, match=ELSEWHERE):
        read_masks(square, path)


def test_orientation_of_a_frame_comes_before_the_shared_one(square: Any) -> None:
    path = write_segmentation(square, {"Tumour": lopsided()})

    def change(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            groups.PlaneOrientationSequence = shared.PlaneOrientationSequence
            groups.PixelMeasuresSequence = shared.PixelMeasuresSequence
        wrong, measures = Dataset(), Dataset()
        wrong.ImageOrientationPatient, measures.PixelSpacing = [0, 1, 0, 1, 0, 0], [3, 3]
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [wrong], [measures]

    change_file(path, change)
    assert (read_masks(square, path) == lopsided()).all()


def test_frames_that_name_all_slices_lie_at_their_positions(study: Any) -> None:
    path = write_segmentation(study, {"Tumour": lopsided()})
    name_sources(path, study, lambda index: list(range(6)))
    assert points_of(read_masks(study, path), SPACING) == points_by_highdicom(path) == points_of(lopsided(), SPACING)


def test_frame_that_names_a_slice_far_from_its_position_is_refused(study: Any) -> None:
    path = write_segmentation(study, {"Tumour": lopsided()})
    name_sources(path, study, lambda index: [index - 2])
    with pytest.raises(DataError, match="A frame of a SEG names one slice and lies on another"):
        read_masks(study, path)


def test_frame_between_two_slices_lies_on_the_nearer_one(study: Any) -> None:
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), move(0.4 * STEP, 2))
    assert (read_masks(study, path) == lopsided()).all()
    change_file(path, move(0.2 * STEP, 2))
    assert (read_masks(study, path)[1:] == lopsided()[:-1]).all()


def test_seg_without_geometry_lies_on_its_source_images(study: Any) -> None:
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), without_geometry)
    assert (read_masks(study, path) == lopsided()).all()


def test_seg_without_geometry_may_name_the_only_frame_of_a_slice(study: Any) -> None:
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), without_geometry)

    def change(dataset: Dataset) -> None:
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = 1

    change_file(path, change)
    assert (read_masks(study, path) == lopsided()).all()


def test_seg_without_geometry_and_with_several_sources_is_refused(study: Any) -> None:
    path = write_segmentation(study, {"Tumour": lopsided()})
    name_sources(path, study, lambda index: [index, index + 1])
    change_file(path, without_geometry)
    with pytest.raises(DataError, match="A frame of a SEG does not say which slice it lies on"):
        read_masks(study, path)


def test_seg_of_another_matrix_without_geometry_is_refused(study: Any) -> None:
    box = lopsided()[2:4, 8:24, 38:52]
    path = write_grid(study, box, first=FIRST, along=AXES["left"], down=AXES["back"], spacing=SPACING)
    name_sources(path, study, lambda index: [index + 2])
    change_file(path, without_geometry)
    with pytest.raises(DataError, match=ELSEWHERE):
        read_masks(study, path)


@pytest.mark.parametrize(
    ("sequence", "keyword", "value"),
    [
        ("PlaneOrientationSequence", "ImageOrientationPatient", [1, 0, 0]),
        ("PixelMeasuresSequence", "PixelSpacing", [1, -1]),
        ("PlanePositionSequence", "ImagePositionPatient", [0, 0]),
        ("PlanePositionSequence", "ImagePositionPatient", ["nan", 0, 0]),
    ],
)
def test_seg_with_a_malformed_geometry_is_damaged(study: Any, sequence: str, keyword: str, value: list[Any]) -> None:
    path = write_segmentation(study, {"Tumour": lopsided()})

    def change(dataset: Dataset) -> None:
        item = Dataset()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of "nan"
            setattr(item, keyword, value)
        setattr(dataset.PerFrameFunctionalGroupsSequence[0], sequence, [item])

    change_file(path, change)
    with pytest.raises(DataError, match="A SEG is damaged"):
        read_masks(study, path)


@pytest.mark.parametrize("numbers", ["own", "all", "none"])
def test_seg_on_an_enhanced_ct_lies_on_its_frames(tmp_path: Path, study_class: Any, numbers: str) -> None:
    """Frames stored in the order 5, 0, 1, ...: each SEG frame names its own frame, all of them, or the file alone."""
    study = study_class(tmp_path, slices=6).write()
    path = write_segmentation(study, {"Tumour": lopsided()})
    order = [5, 0, 1, 2, 3, 4]
    make_enhanced(study, tmp_path / "enhanced.dcm", order)
    enhanced = dcmread(tmp_path / "enhanced.dcm")

    def change(dataset: Dataset) -> None:
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            index = round((float(groups.PlanePositionSequence[0].ImagePositionPatient[2]) - FIRST[2]) / STEP)
            source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = (
                enhanced.SOPClassUID,
                enhanced.SOPInstanceUID,
            )
            if numbers != "none":
                source.ReferencedFrameNumber = order.index(index) + 1 if numbers == "own" else list(range(1, 7))
        del dataset.ReferencedSeriesSequence

    change_file(path, change)
    study.files[:] = [tmp_path / "enhanced.dcm"]
    series = build_series(read_headers(tmp_path, "enhanced.dcm"))
    found = read_segmentation(tmp_path, path.relative_to(tmp_path).as_posix(), "digest")
    assert found.drawn_on(series)
    for _ in range(2 if numbers == "own" else 1):
        masks = read_segmentation(tmp_path, found.file, "digest").regions[0].masks(series, found.file)
        assert sorted(masks) == [2, 3]
        assert all((masks[index] == lopsided()[index]).all() for index in masks)
        change_file(path, without_geometry)  # its own frame number suffices


def of_another_frame_of_reference(dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = "1.2.3.4.5"


def test_seg_of_another_frame_of_reference_is_read_where_its_pixels_are_those_of_the_slices(study: Any) -> None:
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), of_another_frame_of_reference)
    assert (read_masks(study, path) == lopsided()).all()
    box = lopsided()[2:4, 8:24, 38:52]
    path = write_grid(study, box, first=place(2, 8, 38), along=AXES["left"], down=AXES["back"], spacing=SPACING)
    assert (read_masks(study, change_file(path, of_another_frame_of_reference)) == lopsided()).all()


@pytest.mark.parametrize(("distance", "axis"), [(8.2, 0), (-11.0, 1), (1.0, 2), (0.2, 0)])
def test_seg_of_another_frame_of_reference_beside_the_pixels_of_the_slices_is_refused(
    study: Any, distance: float, axis: int
) -> None:
    """Its positions mean other places, so that the tumour would be cut where it is not."""
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), move(distance, axis))
    change_file(path, of_another_frame_of_reference)
    if distance == 0.2:
        change_file(path, without_sources)
    with pytest.raises(DataError, match="another frame of reference than its series"):
        read_masks(study, path)


@pytest.mark.parametrize(("distance", "axis"), [(0.25, 0), (-0.25, 0), (0.4, 1), (0.4, 2)])
def test_seg_of_another_frame_of_reference_that_names_the_slices_is_read_within_the_tolerance(
    study: Any, distance: float, axis: int
) -> None:
    path = change_file(write_segmentation(study, {"Tumour": lopsided()}), move(distance, axis))
    expected = read_masks(study, path)
    assert expected.any()
    assert (read_masks(study, change_file(path, of_another_frame_of_reference)) == expected).all()


def test_seg_of_coarser_pixels_is_named_as_such_in_any_frame_of_reference(square: Any) -> None:
    """Half as many pixels of twice the size; the action is to resample it, not to draw it again."""
    tumour = lopsided()[:, ::2, ::2]
    first = np.array([*(FIRST[:2] + 0.5), FIRST[2]])
    path = write_grid(square, tumour, first=first, along=AXES["left"], down=AXES["back"], spacing=(2.0, 2.0))
    for change in (lambda dataset: None, of_another_frame_of_reference):
        with pytest.raises(DataError, match=ELSEWHERE):
            read_masks(square, change_file(path, change))


def test_seg_is_read_as_before_where_the_series_names_no_frame_of_reference(tmp_path: Path, study_class: Any) -> None:
    def forget(dataset: Dataset, index: int) -> None:
        uneven(dataset, index)
        dataset.FrameOfReferenceUID = ""

    study = study_class(tmp_path, change=forget).write()
    for image in (dcmread(file) for file in study.files):
        assert not image.FrameOfReferenceUID
    complete = study_class(tmp_path / "complete", change=uneven).write()
    path = change_file(write_segmentation(complete, {"Tumour": lopsided()}), move(0.2))
    moved = study.root / "seg.dcm"
    path.rename(moved)
    assert (read_masks(study, moved) == lopsided()).all()
