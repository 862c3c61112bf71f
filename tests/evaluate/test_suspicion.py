"""Images that are no sample of a generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.evaluate import Workbench
from pytest_medgan.evaluate.suspicion import HANDED_BACK, _blank_share, find_suspects
from pytest_medgan.records import DataSettings, ImageSet, RealSets, Suspect, Suspicion, UInt8


def noise(seed: int, count: int = 60, spread: float = 40.0) -> UInt8:
    rng = np.random.default_rng(seed)
    return np.clip(128 + rng.normal(0, spread, (count, 1, 32, 32)), 0, 255).round().astype(np.uint8)


def image_set(pixels: UInt8) -> ImageSet:
    return ImageSet(pixels, np.arange(len(pixels)).astype(str), "recipe")


@pytest.fixture
def real() -> RealSets:
    sets = (image_set(noise(seed, 100)) for seed in (100, 101, 102))
    return RealSets(*sets, settings=DataSettings("x"), digest="digest")


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def suspicions(groups: list[UInt8], real: RealSets, bench: Workbench) -> dict[Suspicion, float]:
    return {one.suspicion: one.share for one in find_suspects(groups, real, bench)}


def test_independent_images_raise_no_suspicion(real: RealSets, bench: Workbench) -> None:
    assert find_suspects([noise(0), noise(1), noise(2)], real, bench) == ()


def test_seed_that_is_ignored_is_found(real: RealSets, bench: Workbench) -> None:
    assert suspicions([noise(0), noise(1), noise(0)], real, bench) == {Suspicion.SEED_IGNORED: 1.0}


def test_group_in_another_order_is_the_same_group(real: RealSets, bench: Workbench) -> None:
    assert suspicions([noise(0), noise(0)[::-1]], real, bench) == {Suspicion.SEED_IGNORED: 1.0}


def test_group_that_repeats_half_of_another_is_found(real: RealSets, bench: Workbench) -> None:
    half = np.concatenate([noise(0)[:30], noise(1)[30:]])
    less = np.concatenate([noise(0)[:29], noise(1)[29:]])
    assert suspicions([noise(0), half], real, bench) == {Suspicion.SEED_IGNORED: 0.5}
    assert suspicions([noise(0), less], real, bench) == {}


def test_images_that_two_seeds_share_in_other_places_are_found(real: RealSets, bench: Workbench) -> None:
    def by_sum(seed: int) -> UInt8:
        return np.concatenate([noise(seed + index, 1) for index in range(60)])

    assert suspicions([by_sum(seed) for seed in (0, 1, 2)], real, bench) == {Suspicion.SEEDS_OVERLAP: 59 / 60}
    assert suspicions([by_sum(seed) for seed in (0, 100, 200)], real, bench) == {}
    pool, rng = noise(0, 100), np.random.default_rng(3)
    shuffles = [pool[rng.permutation(100)[:60]] for _ in range(2)]
    assert suspicions(shuffles, real, bench).keys() == {Suspicion.SEEDS_OVERLAP}


def test_black_images_in_common_are_not_an_ignored_seed(real: RealSets, bench: Workbench) -> None:
    def late_black(seed: int) -> UInt8:
        return np.concatenate([noise(seed, 24), np.zeros((36, 1, 32, 32), np.uint8)])

    assert suspicions([late_black(0), late_black(1)], real, bench) == {Suspicion.BLANK: 0.6}


def test_blank_images_like_the_real_ones_are_no_suspicion(bench: Workbench) -> None:
    def with_blank(seed: int, count: int) -> UInt8:
        return np.concatenate([noise(seed, count - count // 10), np.full((count // 10, 1, 32, 32), seed, np.uint8)])

    sets = (image_set(with_blank(seed, 100)) for seed in (100, 101, 102))
    real = RealSets(*sets, settings=DataSettings("x"), digest="blank")
    assert suspicions([with_blank(0, 60), with_blank(1, 60)], real, bench) == {}


def test_ignored_seed_is_found_in_all_that_was_drawn(real: RealSets, bench: Workbench) -> None:
    drawn = [noise(0), noise(0)]
    looks = [drawn[0][:15], drawn[1][20:35]]  # a look takes other images of each group
    assert suspicions(looks, real, bench) == {}
    assert find_suspects(looks, real, bench, drawn=drawn) == (Suspect(Suspicion.SEED_IGNORED, 1.0),)


def test_generator_of_few_images_does_not_ignore_its_seed(real: RealSets, bench: Workbench) -> None:
    images, rng = noise(0, 30), np.random.default_rng(3)
    assert suspicions([images[rng.integers(30, size=60)] for _ in range(3)], real, bench) == {}


def test_one_group_alone_is_not_compared(real: RealSets, bench: Workbench) -> None:
    assert suspicions([noise(0)], real, bench) == {}


def test_constant_images_are_found(real: RealSets, bench: Workbench) -> None:
    constant = np.repeat(noise(0)[:1], 60, 0)
    assert suspicions([constant, constant], real, bench) == {Suspicion.CONSTANT: 1.0}


def test_nearly_constant_images_are_found(real: RealSets, bench: Workbench) -> None:
    assert suspicions([noise(0, spread=0.5), noise(1, spread=0.5)], real, bench) == {Suspicion.NEARLY_CONSTANT: 1.0}


def test_flat_images_like_the_real_ones_are_no_suspicion(bench: Workbench) -> None:
    sets = (image_set(noise(seed, 100, 0.5)) for seed in (100, 101, 102))
    flat = RealSets(*sets, settings=DataSettings("x"), digest="flat")
    assert suspicions([noise(0, spread=0.5), noise(1, spread=0.5)], flat, bench) == {}


@pytest.mark.parametrize(
    ("role", "suspicion"),
    [
        ("reference", Suspicion.REFERENCE_RETURNED),
        ("training", Suspicion.TRAINING_RETURNED),
        ("held_out", Suspicion.HELD_OUT_RETURNED),
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_real_images_handed_back_are_found(
    role: str, suspicion: Suspicion, exact: bool, real: RealSets, bench: Workbench
) -> None:
    theirs = getattr(real, role).pixels
    near = theirs if exact else np.clip(theirs.astype(int) + 2, 0, 255).astype(np.uint8)
    assert suspicions([near[:60], noise(1)], real, bench) == {suspicion: 0.5}


def test_few_copies_are_left_to_the_copy_rate(real: RealSets, bench: Workbench) -> None:
    def with_copies(count: int) -> UInt8:
        return np.concatenate([real.training.pixels[:count], noise(1)[count:]])

    copies = round(HANDED_BACK * 60)
    assert suspicions([with_copies(copies)], real, bench) == {Suspicion.TRAINING_RETURNED: HANDED_BACK}
    assert suspicions([with_copies(copies - 1)], real, bench) == {}


def test_real_images_that_resemble_each_other_set_the_measure(bench: Workbench) -> None:
    """Where patients' images lie within the distance of a copy, generated ones may lie there too."""
    sets = (image_set(noise(seed, 100, 1.2)) for seed in (100, 101, 102))
    alike = RealSets(*sets, settings=DataSettings("x"), digest="alike")
    assert suspicions([noise(0, spread=1.2), noise(1, spread=1.2)], alike, bench) == {}


def test_role_without_images_is_passed_over(real: RealSets, bench: Workbench) -> None:
    none = image_set(np.empty((0, 1, 32, 32), np.uint8))
    assert find_suspects([noise(0)], RealSets(real.training, real.reference, none, real.settings, "less"), bench) == ()


def test_images_of_a_single_colour_are_blank() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    images[:2] = np.array([200, 30, 90], np.uint8)[:, None, None]
    assert _blank_share(images) == 0.5
