"""Volumes measured slice by slice, with the volume as the sampling unit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.ct.store import ImageSettings, Prepared
from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.errors import CheckpointError, DataError, SettingsError
from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench, real_row
from pytest_medgan.evaluate.real import held_out_source
from pytest_medgan.evaluate.suspicion import find_suspects
from pytest_medgan.evaluate.volumes import (
    VolumePool,
    check_volumes,
    flatten_volumes,
    is_volume_folder,
    middle_slices,
    read_volumes,
    slice_volumes,
)
from pytest_medgan.gan.contract import resolve_generator
from pytest_medgan.gan.others import from_callable
from pytest_medgan.gate.comparable import obstacle
from pytest_medgan.records import DataSettings, ImageSet, RealSets, Suspicion, UInt8
from tests.evaluate.test_evaluation import Projections, images

DATA = DataSettings("x", size=16, slices=None)


class Volumes:
    """A generator of volumes, 16 grey levels from one to the next, and of slices that differ little within one."""

    identity = "volumes"

    def __init__(self, depth: int = 6, *, ranges: bool = True, sides: tuple[int, int] = (16, 16)) -> None:
        self.volume_shape = (depth, *sides)
        self.asked: list[tuple[int, int, int]] = []
        if ranges:
            self.sample_range = self._part

    def __call__(self, count: int, seed: int) -> UInt8:
        return self._part(0, count, seed)

    def _part(self, start: int, stop: int, seed: int) -> UInt8:
        self.asked.append((start, stop, seed))
        volumes = []
        for at in range(start, stop):
            rng = np.random.default_rng([seed, at])
            volume = rng.normal(120, 30, (16, 16)) + rng.normal(0, 4, self.volume_shape)
            volumes.append(np.clip(np.rint(volume), 0, 255))
        return np.array(volumes, np.uint8)[:, None]


def volume_of(seed: int, at: int, depth: int = 6) -> UInt8:
    volume: UInt8 = Volumes(depth)._part(at, at + 1, seed)[0, 0]
    return volume


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    roles = [images(64, seed, name) for seed, name in ((1, "train"), (2, "ref"), (3, "held"))]
    real = RealSets(*roles, DATA, "digest")
    settings = Settings(metrics=("fid", "improved_precision", "coverage"), seeds=(0, 1), samples=64)
    return Subject(real, resolve_extractor(Projections()), settings, Workbench(tmp_path))


def test_slices_of_drawn_volumes_are_whole_volumes_and_the_last_one_evenly_thinned() -> None:
    sliced = slice_volumes(resolve_generator(Volumes()), DATA, 16)
    pixels = sliced.draw(15, 3)
    assert pixels.shape == (15, 1, 16, 16)
    np.testing.assert_array_equal(pixels[:6, 0], volume_of(3, 0))
    np.testing.assert_array_equal(pixels[12:, 0], volume_of(3, 2)[[0, 2, 4]])
    assert sliced.groups is not None
    assert sliced.groups(15, 3).tolist() == ["volume 0"] * 6 + ["volume 1"] * 6 + ["volume 2"] * 3
    assert sliced.draw_range is None
    assert sliced.volume_shape is None


def test_middle_slices_are_those_of_the_middle_plane_and_images_stay() -> None:
    volumes = np.arange(2 * 5 * 3 * 4, dtype=np.uint8).reshape(2, 1, 5, 3, 4)
    np.testing.assert_array_equal(middle_slices(volumes), volumes[:, :, 2])
    np.testing.assert_array_equal(middle_slices(volumes[:, :, 0]), volumes[:, :, 0])


@pytest.mark.parametrize(("slices", "expected"), [(4, [1, 2, 3, 4]), (9, [0, 1, 2, 3, 4, 5])])
def test_slices_option_takes_the_middle_of_a_drawn_volume_as_of_a_real_one(slices: int, expected: list[int]) -> None:
    sliced = slice_volumes(resolve_generator(Volumes()), replace(DATA, slices=slices), 16)
    np.testing.assert_array_equal(sliced.draw(len(expected), 0)[:, 0], volume_of(0, 0)[expected])


def test_three_planes_of_a_drawn_cube_are_axial_coronal_and_sagittal_slices() -> None:
    sliced = slice_volumes(resolve_generator(Volumes(16)), replace(DATA, planes="three", slices=2), 16)
    cube, pixels = volume_of(0, 0, 16), sliced.draw(6, 0)[:, 0]
    np.testing.assert_array_equal(pixels[:2], cube[7:9])
    for at in range(2):
        np.testing.assert_array_equal(pixels[2 + at], cube[::-1, 7 + at, :])  # head up
        np.testing.assert_array_equal(pixels[4 + at], cube[::-1, :, 7 + at])


def test_volumes_are_drawn_one_at_a_time_where_a_range_can_be_drawn() -> None:
    one_by_one, at_once = Volumes(), Volumes(ranges=False)
    slices = [slice_volumes(resolve_generator(each), DATA, 16).draw(15, 0) for each in (one_by_one, at_once)]
    np.testing.assert_array_equal(*slices)
    assert one_by_one.asked == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
    assert at_once.asked == [(0, 3, 0)]


@pytest.mark.parametrize(
    ("generator", "data", "message"),
    [
        (Volumes(sides=(16, 12)), DATA, r"\(6, 16, 12\).*Make it draw \(D, 16, 16\)"),
        (Volumes(), replace(DATA, planes="three"), r"Make it draw \(16, 16, 16\)"),
    ],
    ids=["other size", "no cube"],
)
def test_volumes_of_another_shape_are_refused_before_any_is_drawn(
    generator: Volumes, data: DataSettings, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        slice_volumes(resolve_generator(generator), data, 16)
    assert not generator.asked


def test_volumes_that_break_their_promised_shape_are_refused() -> None:
    generator = Volumes()
    sliced = slice_volumes(resolve_generator(generator), DATA, 16)
    generator.volume_shape = (5, 16, 16)
    with pytest.raises(CheckpointError, match=r"its volume_shape promises uint8 \[1, 1, 6, 16, 16\]"):
        sliced.draw(12, 0)


def test_volumes_that_are_no_grey_levels_are_refused() -> None:
    source = resolve_generator(Volumes())
    floats = replace(source, draw=lambda count, seed: source.draw(count, seed).astype(np.float32), draw_range=None)
    with pytest.raises(CheckpointError, match=r"returned float32 \[2, 1, 6, 16, 16\]"):
        slice_volumes(floats, DATA, 16).draw(12, 0)


@pytest.mark.parametrize("shape", [3, (4, 4), ("a", 1, 2), (0, 16, 16)])
def test_volume_shape_that_is_not_three_numbers_is_refused(shape: object) -> None:
    def draw(count: int, seed: int) -> UInt8:
        return np.zeros((count, 1, 4, 16, 16), np.uint8)

    draw.volume_shape = shape  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="volume_shape is not three whole numbers"):
        resolve_generator(draw)


def test_callable_of_volumes_without_a_shape_is_told_to_say_it() -> None:
    with pytest.raises(CheckpointError, match="set its attribute volume_shape"):
        from_callable(lambda count, seed: np.zeros((count, 1, 4, 16, 16), np.uint8))(2, 0)
    named = from_callable(Volumes())
    assert named.volume_shape == (6, 16, 16)
    assert named(2, 0).shape == (2, 1, 6, 16, 16)


def test_groups_that_cannot_be_called_are_refused() -> None:
    def draw(count: int, seed: int) -> UInt8:
        return np.zeros((count, 1, 16, 16), np.uint8)

    draw.groups = ["a"]  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="groups cannot be called"):
        resolve_generator(draw)


def test_evaluation_of_volumes_takes_slices_together_and_says_how_many_volumes(subject: Subject) -> None:
    by_volume = ModelEvaluation("v", Volumes(), subject).at(64)

    def alone(count: int, seed: int) -> UInt8:  # the same images, each by itself
        return slice_volumes(resolve_generator(Volumes()), DATA, 16).draw(count, seed)

    by_image = ModelEvaluation("i", alone, subject).at(64)
    assert by_volume.volumes == 11
    assert by_image.volumes == 0
    for name in ("fid", "coverage"):
        assert by_volume[name].mean == by_image[name].mean
        assert by_volume[name].se > 1.2 * by_image[name].se
        assert by_volume[name].freedom <= 2 * 10
        assert math.isinf(by_image[name].freedom)


def test_early_look_takes_slices_of_all_volumes(subject: Subject) -> None:
    evaluation = ModelEvaluation("v", Volumes(), subject)
    groups = evaluation._drawn_images.groups(0, 16)
    assert groups is not None
    assert len(set(groups.tolist())) > 6


def test_fingerprint_says_volume_only_where_volumes_are_drawn(subject: Subject) -> None:
    plain = ModelEvaluation("i", lambda count, seed: np.zeros((count, 1, 16, 16), np.uint8), subject).fingerprint
    volumes = ModelEvaluation("v", Volumes(), subject).fingerprint
    assert plain.differing_inputs(volumes) == ("sampling_unit",)
    assert volumes.inputs["sampling_unit"] == "volume"
    assert "planes" not in plain.inputs
    real = replace(subject.real, settings=replace(DATA, planes="three"))
    three = ModelEvaluation("v", Volumes(16), replace(subject, real=real)).fingerprint
    assert volumes.differing_inputs(three) == ("planes",)
    assert list(three.inputs) == sorted(three.inputs)


def test_real_row_of_the_session_may_be_compared_with_volumes(subject: Subject) -> None:
    evaluation, row = ModelEvaluation("v", Volumes(), subject), real_row(subject)
    metric = evaluation.at(64).metric("fid")
    assert obstacle(metric, row["fid"], evaluation) is None
    other = replace(subject, settings=replace(subject.settings, seeds=(0, 7)))
    assert obstacle(metric, row["fid"], ModelEvaluation("v", Volumes(), other)) is not None


def test_identity_of_slices_depends_on_how_volumes_are_cut() -> None:
    source = resolve_generator(Volumes(16))
    cut = [DATA, replace(DATA, planes="three"), replace(DATA, slices=4)]
    assert len({slice_volumes(source, data, 16).identity for data in cut} | {"volumes", None}) == 5
    anonymous = replace(source, identity=None)
    assert slice_volumes(anonymous, DATA, 16).identity is None


def test_generator_without_identity_keeps_its_number_in_a_session(subject: Subject) -> None:
    generator = Volumes()
    generator.identity = None  # type: ignore[assignment]
    keys = {ModelEvaluation("v", generator, subject).key for _ in range(2)}
    assert len(keys) == 1


def test_too_few_volumes_are_refused_with_the_way_out(subject: Subject) -> None:
    with pytest.raises(SettingsError, match=r"from 4 volumes, and errors need at least 8.*slices= in"):
        ModelEvaluation("v", Volumes(16), subject).at(16)


def test_eight_volumes_are_enough() -> None:
    eight, seven = np.repeat(np.arange(8).astype(str), 3), np.repeat(np.arange(7).astype(str), 3)
    check_volumes([eight, eight])
    with pytest.raises(SettingsError, match="from 7 volumes"):
        check_volumes([eight, seven])


def test_paired_volumes_are_compared_volume_by_volume(subject: Subject) -> None:
    evaluation = ModelEvaluation("v", Volumes(), subject, accepted=Volumes(ranges=False))
    paired = evaluation.paired(64)
    assert paired is not None
    assert [len(one.units) for one in paired.ours["fid"]] == [11, 11]
    assert [len(one.units) for one in paired.ours["improved_precision"]] == [11, 11]
    for name, ours in paired.ours.items():
        np.testing.assert_allclose(ours[0].units, paired.theirs[name][0].units)


# --------------------------------------------------------------------------------------------------------- already made


def prepared(sizes: list[int]) -> Prepared:
    groups = np.repeat([f"v{at:02d}" for at in range(len(sizes))], sizes)
    pixels = np.arange(len(groups), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 1, 16, 16), np.uint8)
    settings = ImageSettings.of(DATA, "image")
    return Prepared(pixels, groups, np.full(len(groups), -1, np.int8), (-1000.0, 400.0), settings, "digest", (), {})


def test_pool_gives_each_seed_volumes_of_its_own() -> None:
    pool = VolumePool(prepared([5, 7, 4, 6, 8, 3]), (0, 1, 5))
    taken = {seed: set(pool.groups(5, seed).tolist()) for seed in (0, 1, 5)}
    everything = [name for seed in (0, 1, 5) for name in sorted(taken[seed])]
    assert len(everything) == len(set(everything))
    for seed in (0, 1, 5):
        for count in (1, 5, 9):
            own = pool.groups(count, seed)
            np.testing.assert_array_equal(prepared([5, 7, 4, 6, 8, 3]).groups[pool(count, seed)[:, 0, 0, 0]], own)
            assert len(own) == count
            assert len(set(pool(count, seed)[:, 0, 0, 0].tolist())) == count


def test_pool_thins_its_last_volume_evenly() -> None:
    pool = VolumePool(prepared([6, 6]), (0,))
    rows = pool(9, 0)[:, 0, 0, 0].astype(int)
    assert rows[:6].tolist() == list(range(rows[0], rows[0] + 6))
    assert (rows[6:] - rows[6] == [0, 2, 4]).all()


def test_pool_that_is_too_small_says_how_much_it_holds() -> None:
    pool = VolumePool(prepared([5] * 6), (0, 1))
    with pytest.raises(CheckpointError, match=r"holds 15 slices of 3 volumes for seed 1, and 16 were asked for"):
        pool(16, 1)


def test_pool_of_other_seeds_has_another_identity() -> None:
    assert VolumePool(prepared([5] * 6), (0, 1)).identity != VolumePool(prepared([5] * 6), (0, 2)).identity


Write = Callable[[Path, np.ndarray], None]


def write_nifti(path: Path, hounsfield: np.ndarray) -> None:
    """Write a volume [head,back,left] of HU."""
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI counts to the right and to the front
    nibabel.save(nibabel.Nifti1Image(hounsfield.transpose(2, 1, 0).astype(np.int16), affine), path)


def test_folder_of_volumes_is_read_windowed_and_grouped_as_real_images_are(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    volumes = {f"sample_{at}": np.random.default_rng(at).integers(-1000, 400, (6, 16, 16)) for at in range(4)}
    for name, hounsfield in volumes.items():
        write_nifti(tmp_path / "made" / f"{name}.nii.gz", hounsfield)
    assert is_volume_folder(tmp_path / "made")
    pool = read_volumes(
        tmp_path / "made", replace(DATA, slices=4), (0, 1), window=(-1000.0, 400.0), cache_dir=tmp_path / "cache"
    )
    greys = {np.floor((v[1:5] + 1000) * 255 / 1400 + 0.5).astype(np.uint8).tobytes() for v in volumes.values()}
    drawn = [pool(8, seed)[:, 0].reshape(2, 4, 16, 16) for seed in (0, 1)]
    assert {volume.tobytes() for each in drawn for volume in each} == greys


def test_folder_of_volumes_is_cut_in_the_planes_of_the_real_images(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    for at in range(3):
        write_nifti(tmp_path / "made" / f"{at}.nii.gz", np.random.default_rng(at).integers(-1000, 400, (24, 16, 16)))
    data = replace(DATA, planes="three", crop_size=16, slices=4)
    pool = read_volumes(tmp_path / "made", data, (0,), window=(-1000.0, 400.0), cache_dir=tmp_path / "cache")
    assert pool(36, 0).shape == (36, 1, 16, 16)


def test_damaged_volume_in_a_generated_folder_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    for at in range(3):
        write_nifti(tmp_path / f"{at}.nii.gz", np.full((6, 16, 16), -1000))
    whole = (tmp_path / "1.nii.gz").read_bytes()
    (tmp_path / "1.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="volume is damaged"):
        read_volumes(tmp_path, DATA, (0,), window=(-1000.0, 400.0), cache_dir=tmp_path / "cache")


def test_folder_of_volumes_needs_a_window_of_the_real_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no window of HU"):
        read_volumes(tmp_path, DATA, (0,), window=None, cache_dir=tmp_path)


def test_workbench_reads_a_folder_of_volumes_and_leaves_pictures_to_the_pool(tmp_path: Path) -> None:
    made, bench = tmp_path / "made", Workbench(tmp_path / "cache")
    made.mkdir()
    for at in range(6):
        write_nifti(made / f"{at}.nii.gz", np.random.default_rng(at).integers(-1000, 400, (6, 16, 16)))
    real = tmp_path / "real"
    real.mkdir()
    for at in range(10, 18):
        write_nifti(real / f"{at}.nii.gz", np.random.default_rng(at).integers(-1000, 400, (6, 16, 16)))
    settings = Settings(replace(DATA, source=str(real)), generator=str(made), seeds=(0, 1))
    generator = bench.generator(settings)
    assert isinstance(generator, VolumePool)
    assert generator(18, 1).shape == (18, 1, 16, 16)
    assert bench.generator(settings) is generator
    assert bench.generator(replace(settings, seeds=(0, 1, 2))) is not generator


def test_workbench_deals_pictures_already_made_among_the_seeds(tmp_path: Path) -> None:
    bench, pixels = Workbench(tmp_path / "cache"), np.arange(200, dtype=np.uint8)[:, None, None].repeat(8, 1)
    np.savez(tmp_path / "made.npz", pixels=pixels.repeat(8, 2))
    settings = Settings(DATA, generator=str(tmp_path / "made.npz"), seeds=(3, 4))
    generator = bench.generator(settings)
    first, second = (set(generator(100, seed)[:, 0, 0, 0].tolist()) for seed in (3, 4))
    assert len(first | second) == 200
    assert bench.generator(settings) is generator
    with pytest.raises(CheckpointError, match="holds 67 images of seed 3"):
        bench.generator(replace(settings, seeds=(3, 4, 5)))(68, 3)


def test_synthetic_dicom_series_is_read_as_generated_and_refused_as_real(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pytest_medgan.phantom import write_studies

    studies = tmp_path / "studies"
    write_studies(studies, patients=3, slices=3)
    for path in studies.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.SyntheticData = "YES"
        dataset.save_as(path)
    data = replace(DATA, source=str(studies), crop="image", crop_size=160)
    pool = read_volumes(studies, data, (0,), window=(-1000.0, 400.0), cache_dir=tmp_path / "cache")
    assert sorted(np.unique(pool.groups(9, 0), return_counts=True)[1].tolist()) == [3, 3, 3]
    with pytest.raises(DataError, match="synthetic data"):
        Workbench(tmp_path / "cache").real(Settings(replace(data, split="slice")))


WHOLE = replace(DATA, planes="volume")


def test_whole_volumes_are_drawn_as_they_are_and_independent() -> None:
    source = slice_volumes(resolve_generator(Volumes(16)), WHOLE, 16)
    assert source.groups is None
    assert source.volume_shape == (16, 16, 16)
    np.testing.assert_array_equal(source.draw(2, 3)[1, 0], volume_of(3, 1, 16))
    again = slice_volumes(source, WHOLE, 16)  # as a second feature space does
    np.testing.assert_array_equal(again.draw(2, 3), source.draw(2, 3))


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (lambda count, seed: None, "draws images, and planes=volume compares whole volumes"),
        (Volumes(6), "(16, 16, 16)"),
    ],
)
def test_generator_of_no_cubes_is_refused_where_whole_volumes_are_compared(generator: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(words)):
        slice_volumes(resolve_generator(generator), WHOLE, 16)


def test_flat_volumes_hold_the_same_numbers() -> None:
    volumes = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 5, 6), dtype=np.uint8)
    assert flatten_volumes(volumes).shape == (3, 1, 20, 6)
    np.testing.assert_array_equal(flatten_volumes(volumes).reshape(3, -1), volumes.reshape(3, -1))
    assert flatten_volumes(volumes[:, :, 0]) is not None
    assert flatten_volumes(volumes[:, :, 0]).shape == (3, 1, 5, 6)


def test_real_volumes_handed_back_are_suspected(tmp_path: Path) -> None:
    def some(seed: int) -> ImageSet:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 1, 8, 8, 8), dtype=np.uint8)
        return ImageSet(pixels, np.array([f"p{seed}-{at}" for at in range(40)]), str(seed))

    real = RealSets(some(1), some(2), some(3), WHOLE, "digest")
    suspects = find_suspects([some(2).pixels[:20], some(4).pixels[:20]], real, Workbench(tmp_path))
    assert [suspect.suspicion for suspect in suspects] == [Suspicion.REFERENCE_RETURNED]
    assert held_out_source(real.held_out, 0).volume_shape == (8, 8, 8)
