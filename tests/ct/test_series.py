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

from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.series import (
    EDGE_TOLERANCE,
    GapError,
    build_series,
    outline_series,
    read_volume,
    reason_unsuitable,
    set_scouts_apart,
)
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


def test_build_series_files_in_any_order_are_ordered_by_position(headers: list[Header], tmp_path: Path) -> None:
    expected = build_series(headers)
    assert expected.positions == tuple(-100.0 + 3 * index for index in range(12))
    assert [header.instance for header in expected.slices] == [header.instance for header in headers]
    for seed in range(5):
        shuffled = random.Random(seed).sample(headers, len(headers))
        assert build_series(shuffled) == expected
    renamed = [replace(header, file=f"{index * 7 % 12}") for index, header in enumerate(headers)]
    assert [h.instance for h in build_series(renamed).slices] == [h.instance for h in expected.slices]


def test_read_volume_returns_hounsfield_from_the_feet_up(headers: list[Header], tmp_path: Path) -> None:
    volume = read_volume(tmp_path, build_series(headers[::-1]))
    assert volume.shape == (12, 64, 64)
    assert volume[3, 32, 32] == (32 * 7 + 32 * 13 + 3 * 31 + sum(map(ord, "PAT-001")) * 3) % 97 - 24


def test_build_series_step_is_computed_from_positions_not_thickness(headers: list[Header]) -> None:
    thick = [replace(header, thickness=5.0) for header in headers]
    series = build_series(thick)
    assert series.step == 3.0
    assert series.overlapping
    assert not build_series(headers).overlapping


def test_nearest_returns_the_slice_within_half_a_step(headers: list[Header]) -> None:
    series = build_series(headers)
    assert series.nearest(-100.0 + 3 * 4 + 1.4) == 4
    assert series.nearest(-102.0) == -1


def test_build_series_tilted_gantry_is_even(headers: list[Header]) -> None:
    slanted = [moved(header, y=0.9 * index) for index, header in enumerate(headers)]
    assert build_series(slanted).largest_offset == 0


def test_build_series_rounded_positions_are_even(headers: list[Header]) -> None:
    """A table that moves 0.72 mm per slice, with positions written to a tenth of a millimetre."""
    rough = [replace(h, position=(0.0, 0.0, round(0.72 * i, 1))) for i, h in enumerate(headers)]
    series = build_series([replace(h, thickness=1.0) for h in rough[:1] + rough[1:]])
    assert series.largest_offset == 0
    assert series.step == pytest.approx(0.72, abs=0.01)


def test_build_series_slightly_displaced_slice_is_measured(headers: list[Header]) -> None:
    headers[5] = moved(headers[5], z=0.1)
    assert build_series(headers).largest_offset == pytest.approx(0.1, abs=1e-9)
    headers[5] = moved(headers[5], x=0.2, z=-0.1)
    assert build_series(headers).largest_offset == pytest.approx(0.2, abs=1e-9)


def test_build_series_leaves_identical_copies_out(headers: list[Header]) -> None:
    series = build_series([*headers, replace(headers[4], file="copy.dcm")])
    assert (len(series), series.duplicates) == (12, 1)


Fault = Callable[[list[Header]], list[Header]]


@pytest.mark.parametrize(
    ("fault", "message", "at"),
    [
        (lambda h: h[:5] + h[6:], "6.00 mm away instead of 3.00 .1 missing", 4),
        (lambda h: h[:5] + h[8:], "12.00 mm away instead of 3.00 .3 missing", 4),
        (lambda h: [*h[:5], moved(h[5], z=-3.0), *h[6:]], "at the position of another one", 5),
        (lambda h: [*h[:8], *(moved(x, z=2.0 * i) for i, x in enumerate(h[8:], 1))], "5.00 mm away", 7),
        (lambda h: [*h[:5], moved(h[5], z=1.4), *h[6:]], "mm away instead of 3.00", 4),
        (lambda h: [*h[:8], *(moved(x, z=0.5) for x in h[8:])], "3.50 mm away instead of 3.00 .uneven", 7),
        (lambda h: [*h[:5], moved(h[5], x=4.0), *h[6:]], "shifted in its plane", 5),
        (lambda h: [*h[:5], replace(h[5], patient="X"), *h[6:]], "PatientID of a CT slice differs", 5),
        (lambda h: [*h[:5], replace(h[5], study="1.2"), *h[6:]], "StudyInstanceUID of .* differs", 5),
        (lambda h: [*h[:5], replace(h[5], spacing=(1.0, 1.01)), *h[6:]], "PixelSpacing of .* differs", 5),
        (lambda h: [*h[:5], replace(h[5], spacing=(0.99, 1.0)), *h[6:]], "PixelSpacing of .* differs", 5),
        (
            lambda h: [*h[:5], replace(h[5], pixels=replace(h[5].pixels, rows=32)), *h[6:]],
            "matrix of",
            5,
        ),
        (lambda h: [*h[:5], replace(h[5], orientation=(0, 1, 0, 1, 0, 0)), *h[6:]], "ImageOrientation", 5),
        (lambda h: [*h[:5], replace(h[5], instance=h[4].instance), *h[6:]], "SOPInstanceUID of another", 5),
        (lambda h: [replace(x, orientation=(2, 0, 0, 0, 1, 0)) for x in h], "perpendicular unit vectors", 0),
        (lambda h: [replace(x, orientation=(1, 0, 0, 0, 0, -1)) for x in h], "is not axial", 0),
    ],
)
def test_build_series_refuses_a_damaged_series(headers: list[Header], fault: Fault, message: str, at: int) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_series(fault(headers))
    assert caught.value.file == headers[at].file


def test_build_series_of_one_slice_has_no_step(headers: list[Header]) -> None:
    series = build_series(headers[:1])
    assert (len(series), series.step, series.largest_offset) == (1, 0.0, 0.0)


def test_build_series_stored_towards_feet_or_head_gives_one_order(tmp_path: Path, study_class: Any) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]  # the normal points to the feet

    study = study_class(tmp_path, change=change).write()
    found = [read_headers(tmp_path, path.relative_to(tmp_path).as_posix())[0] for path in study.files]
    series = build_series(found)
    assert np.diff(series.positions) == pytest.approx(3.0)
    assert series.slices[0].position[2] == -100.0


def changed(headers: list[Header], at: int, **changes: Any) -> list[Header]:
    return [replace(header, **changes) if index == at else header for index, header in enumerate(headers)]


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_build_series_edges_moved_by_half_a_millimetre_are_accepted(headers: list[Header], share: float) -> None:
    """Sixty-four pixels of a millimetre: the edge lies 64 mm from the first pixel."""
    off = share * EDGE_TOLERANCE / 64
    for odd in (
        changed(headers, 5, orientation=(1.0, off, 0.0, 0.0, 1.0, 0.0)),
        changed(headers, 5, orientation=(1.0, 0.0, 0.0, 0.0, 1.0, off)),
        changed(headers, 5, spacing=(1.0 + off, 1.0)),
        changed(headers, 5, spacing=(1.0, 1.0 - off)),
    ):
        if share < 1:
            assert len(build_series(odd)) == 12
        else:
            with pytest.raises(DataError, match="differs from the rest of its series"):
                build_series(odd)


def test_build_series_frames_of_reference_may_differ(headers: list[Header]) -> None:
    assert len(build_series([replace(h, frame_of_reference=h.instance) for h in headers])) == 12


@pytest.mark.parametrize("changes", [{"intercept": -1000.0}, {"slope": 2.0}, {"signed": True}, {"padding": (0, 0)}])
def test_mixed_pixel_formats_is_true_where_slices_differ(headers: list[Header], changes: dict[str, Any]) -> None:
    assert not build_series(headers).mixed_pixel_formats
    assert build_series(changed(headers, 5, pixels=replace(headers[5].pixels, **changes))).mixed_pixel_formats


def test_build_series_gap_raises_gap_error(headers: list[Header]) -> None:
    with pytest.raises(GapError, match="1 missing"):
        build_series([*headers[:5], *headers[6:]])


@pytest.mark.parametrize(("step", "refused"), [(1.5, True), (2.5, True), (2.8, False)])
def test_build_series_too_small_step_is_refused(headers: list[Header], step: float, refused: bool) -> None:
    """A last slice that lies too near; the series is regular otherwise."""
    last = headers[-2].position[2] + step
    close = changed(headers, 11, position=(*headers[-1].position[:2], last))
    if refused:
        with pytest.raises(
            DataError, match=f"has several slice distances: the next slice is {step:.2f} mm away instead of 3.00"
        ):
            build_series(close)
    else:
        assert len(build_series(close)) == 12


def test_build_series_copy_that_was_exported_again_is_left_out(headers: list[Header]) -> None:
    again = replace(headers[4], file="again.dcm", digest="other")
    series = build_series([*headers, again], same_pixels=lambda one, other: True)
    assert (len(series), series.duplicates) == (12, 1)
    for other in (again, replace(again, position=headers[5].position)):
        with pytest.raises(DataError, match="SOPInstanceUID of another file"):
            build_series([*headers, other], same_pixels=lambda one, _: one.position != headers[4].position)


SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def test_reason_unsuitable_names_the_kind_of_series(headers: list[Header]) -> None:
    assert reason_unsuitable(headers) is None
    assert reason_unsuitable([replace(h, orientation=SAGITTAL) for h in headers]) == "series that is not axial"
    bolus = [replace(h, position=headers[0].position) for h in headers]
    assert reason_unsuitable(bolus) == "series with many images at one position"
    assert reason_unsuitable([*headers[:6], *(replace(h, file=f"copy {h.file}") for h in headers[:6])]) is None


def test_set_scouts_apart_takes_the_few_images_of_another_orientation(headers: list[Header]) -> None:
    scouts = [replace(h, orientation=SAGITTAL, file=f"scout {h.file}") for h in headers]
    assert set_scouts_apart([*scouts[:5], *headers[:6]]) == (headers[:6], scouts[:5])
    for undecided in ([*scouts[:6], *headers[:6]], [*headers[:6], *scouts[:6]]):
        assert set_scouts_apart(undecided) == (undecided, [])
        assert reason_unsuitable(undecided) == "series that is not axial"


def test_outline_series_orders_slices_without_checks(headers: list[Header]) -> None:
    wild = changed(headers[::-1], 3, orientation=(2.0, 0.0, 0.0, 0.0, 1.0, 0.0), patient="X")
    assert outline_series(wild).positions == build_series(headers).positions


@pytest.mark.parametrize(("spacing", "refused"), [((1.002, 1.0), False), ((1.0, 1.002), True)])
def test_build_series_spacing_tolerance_depends_on_its_own_axis(
    headers: list[Header], spacing: tuple[float, float], refused: bool
) -> None:
    """Sixty-four rows, but five hundred columns: only the columns' edge moves by more than half a millimetre."""
    wide = [replace(h, pixels=replace(h.pixels, columns=500), orientation=h.orientation) for h in headers]
    odd = changed(wide, 5, spacing=spacing)
    if refused:
        with pytest.raises(DataError, match="PixelSpacing"):
            build_series(odd)
    else:
        assert len(build_series(odd)) == 12


def test_overlapping_is_false_for_slices_that_touch(headers: list[Header]) -> None:
    assert not build_series([replace(h, thickness=3.0) for h in headers]).overlapping
    assert build_series([replace(h, thickness=3.01) for h in headers]).overlapping
