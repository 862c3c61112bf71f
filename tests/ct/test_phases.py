"""One volume of a series that holds several at the same positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.phases import main_volume
from pytest_medgan.ct.regions import StructureFile
from pytest_medgan.ct.slices import MARKS, Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings
from tests.ct.conftest import made_uid

Small = Callable[..., DataSettings]


def write_phases(study_class: Any, root: Path, phases: list[Callable[[Dataset, int], None]], slices: list[int]) -> None:
    """Write volumes of one series; each changes the elements of its slices and has other pixels."""
    for number, (change, count) in enumerate(zip(phases, slices, strict=True)):

        def alter(dataset: Dataset, index: int, number: int = number, change: Any = change) -> None:
            dataset.SOPInstanceUID = made_uid("phase", number, index)
            values = np.frombuffer(dataset.PixelData, "<u2") + 40 * number
            dataset.PixelData = values.astype("<u2").tobytes()
            change(dataset, index)

        study_class(root, slices=count, change=alter, names=f"{number}-{{:03d}}.dcm").write()


def setter(keyword: str, value: Any) -> Callable[[Dataset, int], None]:
    return lambda dataset, index: setattr(dataset, keyword, value)


def uneven(dataset: Dataset, index: int) -> None:
    dataset.TriggerTime = str(17 * index)


SEVERAL = (
    "1 series hold several volumes, such as phases: the one with a contour, else the one with the most slices, else "
    "the first is used"
)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("TemporalPositionIdentifier", ["10", "2"]),
        ("AcquisitionNumber", [12, 3]),
        ("NominalPercentageOfCardiacPhase", [70.0, 40.0]),
        ("ImageType", [["DERIVED", "SECONDARY", "AXIAL", "IODINE_MAP"], ["ORIGINAL", "PRIMARY", "AXIAL"]]),
        ("KVP", ["140", "80"]),
    ],
)
def test_one_volume_of_a_series_is_read(
    small: Small, tmp_path: Path, study_class: Any, keyword: str, values: list[Any]
) -> None:
    """The second one written is the first by its mark, or the measured one."""
    root, alone = tmp_path / "studies", tmp_path / "alone"
    write_phases(study_class, root, [setter(keyword, value) for value in values], [6, 6])
    write_phases(study_class, alone, [uneven, setter(keyword, values[1])], [6, 6])
    for file in alone.rglob("0-*.dcm"):
        file.unlink()
    prepared = prepare(small(root, split="slice"), cache_dir=tmp_path / "cache")
    assert prepared.warnings == (SEVERAL,)
    assert prepared.counts["skipped: slice of another volume of its series"] == 6
    expected = prepare(small(alone, split="slice"), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels, expected.pixels)


def test_longer_volume_of_a_series_comes_before_an_earlier_one(small: Small, tmp_path: Path, study_class: Any) -> None:
    write_phases(study_class, tmp_path / "s", [setter("AcquisitionNumber", number) for number in (1, 2)], [6, 9])
    assert len(prepare(small(tmp_path / "s", split="slice"), cache_dir=tmp_path / "cache").pixels) == 9


def headers_of(count: int, **changes: Any) -> list[Header]:
    """Return slices 3 mm apart."""
    plain = Header(
        file="", digest="", patient="p", study="s", series="1", instance="", frame_of_reference="f",
        position=(0.0, 0.0, 0.0), orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), spacing=(1.0, 1.0), thickness=3.0,
        pixels=None, offset=0, length=0,  # type: ignore[arg-type]
    )  # fmt: skip
    name = str(changes.pop("name"))
    return [
        replace(plain, file=f"{name}/{at}", instance=f"{name}.{at}", position=(0.0, 0.0, 3.0 * at), **changes)
        for at in range(count)
    ]


def marks(**values: str) -> tuple[str, ...]:
    return tuple(values.get(keyword, "") for keyword in MARKS)


def test_volume_on_which_a_contour_was_drawn_is_taken() -> None:
    phases = [headers_of(6, name=f"{n}", marks=marks(TemporalPositionIndex=str(n))) for n in range(4)]
    both = [header for phase in phases for header in phase]
    nothing: frozenset[str] = frozenset()
    drawing = StructureFile("rt.dcm", "d", "RTSTRUCT", "p", frozenset({"1"}), nothing, frozenset({"2.3"}), ())
    assert main_volume(both, []) == phases[0]
    assert main_volume(both, [drawing]) == phases[2]


def test_volumes_that_two_marks_tell_apart() -> None:
    made = {
        (kernel, time): headers_of(5, name=f"{kernel}{time}", marks=marks(ConvolutionKernel=kernel, KVP=time))
        for kernel in ("B30", "B60")
        for time in ("80", "140")
    }
    assert main_volume([header for part in made.values() for header in part], []) == made["B30", "80"]


@pytest.mark.parametrize("kind", ["one volume", "copies", "one position", "no mark", "mark of each slice"])
def test_other_series_stay_whole(kind: str) -> None:
    one = headers_of(6, name="1", marks=marks(AcquisitionNumber="1"))
    found = {
        "one volume": [replace(h, marks=marks(AcquisitionNumber=str(at))) for at, h in enumerate(one)],
        "copies": [*one, *(replace(h, file=f"copy/{at}") for at, h in enumerate(one))],
        "one position": [replace(h, position=(0.0, 0.0, 0.0), marks=marks(KVP=str(at))) for at, h in enumerate(one)],
        "no mark": [*one, *headers_of(6, name="2", marks=marks(AcquisitionNumber="1"))],
        "mark of each slice": [
            replace(header, marks=marks(TriggerTime=str(at)))
            for at, header in enumerate([*one, *headers_of(6, name="2")])
        ],
    }[kind]
    assert main_volume(found, []) == found


def test_parts_that_follow_one_another_stay_whole() -> None:
    """A position of one volume in two acquisitions was scanned twice: an error names it later."""
    one = [replace(h, marks=marks(AcquisitionNumber="12"[at >= 14])) for at, h in enumerate(headers_of(20, name="1"))]
    for twice in (0, 13, 17):
        for number in "123":
            again = replace(one[twice], file="again", instance="again", marks=marks(AcquisitionNumber=number))
            assert main_volume([*one, again], []) == [*one, again]


def test_position_scanned_twice_is_named(small: Small, tmp_path: Path, study_class: Any) -> None:
    def halves(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = 1 if index < 14 else 2

    def again(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = 2

    write_phases(study_class, tmp_path / "s", [halves, again], [20, 20])
    for file in tmp_path.rglob("1-*.dcm"):
        if not file.name.startswith("1-013"):
            file.unlink()
    with pytest.raises(DataError, match="at the position of another one of its series"):
        prepare(small(tmp_path / "s", split="slice"), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("shift", [0.0, 0.6, 1.3])
def test_volumes_of_one_place_may_be_shifted_or_shorter(shift: float) -> None:
    first = headers_of(20, name="1", marks=marks(AcquisitionNumber="1"))
    second = headers_of(12, name="2", marks=marks(AcquisitionNumber="2"))
    moved = [replace(h, position=(0.0, 0.0, h.position[2] + (shift if at else 0.0))) for at, h in enumerate(second)]
    assert main_volume([*first, *moved], []) == first


def test_volumes_without_a_mark_are_still_refused(small: Small, tmp_path: Path, study_class: Any) -> None:
    write_phases(study_class, tmp_path / "s", [lambda dataset, index: None] * 2, [6, 6])
    with pytest.raises(DataError, match="No CT series of the folder is an axial volume"):
        prepare(small(tmp_path / "s", split="slice"), cache_dir=tmp_path / "cache")
