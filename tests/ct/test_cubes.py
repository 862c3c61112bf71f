"""Slices in three planes, cut from a cube of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pytest_medgan.ct.cubes import interpolate, plan_cube
from pytest_medgan.ct.load import prepare, render_job
from pytest_medgan.ct.plan import Job
from pytest_medgan.ct.planes import count_slices, cut_planes
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.evaluate.sources import load_real as load_phantoms
from pytest_medgan.phantom import write_studies
from pytest_medgan.records import DataSettings, UInt8
from tests.ct.test_volumes import write_nifti

Small = Callable[..., DataSettings]
SMALL = DataSettings(size=4, slices=None, planes="three")


class Plane:
    """A job that stands for one axial slice."""

    def __init__(self, at: int) -> None:
        self.at, self.file = at, f"{at}.dcm"

    def render(self, root: Path) -> UInt8:
        return np.full((4, 4), self.at, np.uint8)


def planes(count: int) -> list[Job]:
    return [Plane(at) for at in range(count)]


def triangle(axial: np.ndarray, first: float, step: float, size: int) -> np.ndarray:
    """Return planes between axial slices, by float64 triangle weights over all slices."""
    reach = max(step, 1.0)
    places = np.arange(len(axial))
    found = []
    for plane in range(size):
        weights = np.clip(1 - abs(places - (first + step * plane)) / reach, 0, None)
        found.append(np.tensordot(weights / weights.sum(), axial.astype(np.float64), axes=1))
    return np.stack(found)


@pytest.mark.parametrize(
    ("first", "step"), [(Fraction(1, 3), Fraction(2, 5)), (Fraction(2), Fraction(1)), (Fraction(5, 4), Fraction(9, 4))]
)
def test_planes_between_slices_are_those_of_a_triangle_in_float64(first: Fraction, step: Fraction) -> None:
    axial = np.random.default_rng(0).integers(0, 256, (12, 5, 6), dtype=np.uint8)
    found = interpolate(axial, first, step, 4)
    assert found.dtype == np.uint8
    assert found.shape == (4, 5, 6)
    np.testing.assert_allclose(found, triangle(axial, float(first), float(step), 4), atol=0.52)


def test_weights_of_many_slices_add_up_to_one() -> None:
    """Of 37 weights rounded in whole numbers the sum is 18 of 16,384 too large, which a quarter grey level shows."""
    axial = np.random.default_rng(2).integers(220, 256, (60, 40, 40), dtype=np.uint8)
    step = Fraction(128, 7)
    found = interpolate(axial, step + Fraction(1, 2), step, 1)
    np.testing.assert_allclose(found, triangle(axial, float(step) + 0.5, float(step), 1), atol=0.55)


def test_planes_at_slices_are_the_slices_themselves() -> None:
    axial = np.random.default_rng(1).integers(0, 256, (6, 3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(interpolate(axial, Fraction(1), Fraction(1), 4), axial[1:5])


def test_planes_half_a_slice_beyond_the_ends_repeat_the_last_slice() -> None:
    axial = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 2, 2), np.uint8)
    found = interpolate(axial, Fraction(-1, 2), Fraction(1, 4), 17)[:, 0, 0]
    assert found[0] == 0
    assert found[-1] == 3


def test_cube_lies_in_the_middle_and_takes_the_slices_it_needs(tmp_path: Path) -> None:
    cube = plan_cube(planes(40), middle=Fraction(39, 2), side=40.0, distance=4.0, settings=SMALL)
    assert cube.jobs[0].file == "13.dcm"
    assert len(cube.jobs) == 14
    axial = cube.render(tmp_path)[:4, 0, 0]
    np.testing.assert_array_equal(axial, [16, 18, 21, 23])  # planes 10 mm apart at 15.75, 18.25, 20.75 and 23.25


def test_cube_that_would_leave_the_scan_is_moved_into_it() -> None:
    low, high = (plan_cube(planes(12), middle=Fraction(at), side=40.0, distance=4.0, settings=SMALL) for at in (0, 11))
    assert low.jobs[0].file == "0.dcm"
    assert low.first == Fraction(3, 4)
    assert high.jobs[-1].file == "11.dcm"
    assert high.first + int(high.jobs[0].file.removesuffix(".dcm")) == Fraction(11, 4)  # its middle lies at 6.5


def test_scan_whose_tags_are_rounded_is_as_long_as_its_cube() -> None:
    cube = plan_cube(planes(10), middle=Fraction(9, 2), side=40.0, distance=3.9999, settings=SMALL)
    assert len(cube.jobs) == 10
    with pytest.raises(DataError, match="40 mm"):
        plan_cube(planes(10), middle=Fraction(9, 2), side=40.0, distance=3.99, settings=SMALL)


@pytest.mark.parametrize("distance", [3.0, 0.0])
def test_scan_shorter_than_its_cube_is_refused(distance: float) -> None:
    with pytest.raises(DataError, match=r"planes=three needs 40 mm.*smaller crop_size"):
        plan_cube(planes(12), middle=Fraction(6), side=40.0, distance=distance, settings=SMALL)


def test_count_of_slices_is_that_of_the_cut() -> None:
    cube = np.zeros((8, 8, 8), np.uint8)
    for how in ("axial", "three"):
        for slices in (None, 3, 20):
            assert len(cut_planes(cube, how, slices)) == count_slices((8, 8, 8), how, slices)


def scan(seed: int) -> np.ndarray:
    """Return HU float64 [head 24, back 16, left 16] of even voxels: every direction changes at its own rate."""
    head, back, left = np.mgrid[:24, :16, :16]
    return np.where(back < 2, -1000.0, head * 30.0 + back * 9.0 - left * 7.0 - seed * 11.0 - 400.0)


def test_volumes_are_cut_in_the_three_planes_of_the_body(tmp_path: Path, small: Small) -> None:
    for at in range(3):
        write_nifti(tmp_path / f"{at}.nii.gz", scan(at), axes="ASR")
    settings = small(tmp_path, planes="three", size=16, crop_size=16, slices=4, window=(-1000.0, 400.0))
    made = prepare(settings, cache_dir=tmp_path / "cache", root=tmp_path)
    assert made.pixels.shape == (36, 1, 16, 16)
    assert made.settings.planes == "three"
    hounsfield = scan(0)[4:20]  # 16 of 24 planes round the middle
    grey = np.floor((np.clip(hounsfield, -1000, 400) + 1000) * 255 / 1400 + 0.5)
    expected = [grey[6:10], grey[::-1, 6:10].transpose(1, 0, 2), grey[::-1, :, 6:10].transpose(2, 0, 1)]
    groups = sorted(set(made.groups.tolist()))
    gaps = [abs(made.pixels[made.groups == name, 0] - np.concatenate(expected)).max() for name in groups]
    assert min(gaps) == 0


@pytest.mark.parametrize(("along_normal", "refused"), [(True, False), (False, True)])
def test_slices_of_a_tilted_gantry_are_not_stacked_askew(
    tmp_path: Path, small: Small, study_class: type, along_normal: bool, refused: bool
) -> None:
    """Slices turned by 20 degrees make a cube where they follow their normal, none where the table moved along z."""
    turn = np.deg2rad(20)
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))

    def tilt(dataset: Dataset, index: int) -> None:
        way = np.array((0.0, sine, cosine) if along_normal else (0.0, 0.0, 1.0)) * 3 * index
        dataset.ImageOrientationPatient = [1, 0, 0, 0, cosine, -sine]
        dataset.ImagePositionPatient = (np.array((-31.5, -31.5, -100.0)) + way).round(6).tolist()

    for name in ("PAT-001", "PAT-002", "PAT-003"):
        study_class(tmp_path / "root", name, slices=12, change=tilt).write()
    settings = small(tmp_path / "root", planes="three", crop="image")
    prepare(replace(settings, planes="axial"), cache_dir=tmp_path / "cache")
    if not refused:
        assert len(prepare(settings, cache_dir=tmp_path / "cache").pixels) == 3 * 3 * settings.size
        return
    with pytest.raises(DataError, match="tilted gantry, so its volume is sheared and planes=three cannot") as caught:
        prepare(settings, cache_dir=tmp_path / "cache")
    assert caught.value.file == "PAT-001/study/series/000.dcm"


def test_dicom_series_are_cut_in_three_planes_from_their_positions(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    write_studies(studies, patients=2, slices=16)  # 5 mm apart, pixels of about 0.95 mm
    base = DataSettings(str(studies), crop="image", crop_size=64, size=16, slices=None, split="slice")
    three = prepare(replace(base, planes="three"), cache_dir=tmp_path / "cache")
    axial = prepare(base, cache_dir=tmp_path / "cache")
    assert three.digest != axial.digest
    for name in sorted(set(three.groups.tolist())):
        cube, slices = three.pixels[three.groups == name, 0].astype(float), axial.pixels[axial.groups == name, 0]
        assert len(cube) == 48
        best = min(
            abs(cube[:16] - triangle(slices, 7.5 - 7.5 * step, step, 16)).max()
            for step in (4 * spacing / 5 for spacing in (0.9765625, 0.953125, 0.9140625))
        )
        assert best < 0.6
        np.testing.assert_array_equal(cube[16:32].transpose(1, 0, 2)[::-1], cube[:16])
    tumour = prepare(replace(base, planes="three", crop="tumour", slices=2), cache_dir=tmp_path / "cache")
    assert tumour.pixels.shape == (12, 1, 16, 16)
    assert tumour.settings.crop == "tumour"


def test_three_planes_of_pictures_are_refused(tmp_path: Path, small: Small) -> None:
    np.savez(tmp_path / "images.npz", pixels=np.zeros((4, 1, 16, 16), np.uint8), patient=list("abcd"))
    with pytest.raises(DataError, match="planes=three needs volumes"):
        prepare(small(tmp_path / "images.npz", planes="three"), cache_dir=tmp_path / "cache")


def test_unknown_planes_are_refused(tmp_path: Path, small: Small) -> None:
    with pytest.raises(SettingsError, match="Give axial or three"):
        prepare(small(tmp_path, planes="oblique"), cache_dir=tmp_path)


def test_whole_cube_is_the_volume_that_slices_are_cut_of(tmp_path: Path) -> None:
    how = {"middle": Fraction(39, 2), "side": 40.0, "distance": 4.0}
    slices = plan_cube(planes(40), **how, settings=SMALL).render(tmp_path)
    whole = plan_cube(planes(40), **how, settings=replace(SMALL, planes="volume", slices=2)).render(tmp_path)
    assert whole.shape == (1, 1, 4, 4, 4)
    np.testing.assert_array_equal(whole[0, 0], slices[:4])
    np.testing.assert_array_equal(render_job(tmp_path, plan_cube(planes(40), **how, settings=SMALL))[:4, 0], slices[:4])


def test_scan_shorter_than_its_whole_cube_is_refused() -> None:
    short = replace(SMALL, planes="volume")
    with pytest.raises(DataError, match="planes=volume needs 40 mm"):
        plan_cube(planes(12), middle=Fraction(6), side=40.0, distance=3.0, settings=short)


def test_load_real_of_whole_volumes_is_a_cube_for_each_patient(tmp_path: Path) -> None:
    data = DataSettings("phantom:6x16", crop="image", crop_size=64, size=16)
    cubes = load_phantoms(replace(data, planes="volume"), cache_dir=tmp_path)
    slices = load_phantoms(replace(data, planes="three", slices=None), cache_dir=tmp_path)
    assert cubes.reference.pixels.shape[1:] == (1, 16, 16, 16)
    assert len(cubes.reference) == len(set(cubes.reference.groups.tolist()))
    np.testing.assert_array_equal(cubes.reference.pixels[0, 0], slices.reference.pixels[:16, 0])
    assert cubes.digest != slices.digest


def test_whole_volumes_in_colour_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="channels=3 is of images, and planes=volume of grey volumes"):
        load_phantoms(DataSettings("phantom:6x16", planes="volume", channels=3), cache_dir=tmp_path)
