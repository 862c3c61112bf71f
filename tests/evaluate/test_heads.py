"""Heads of anomaly_rate: fitted once per reference and feature space, kept on disk, and used by an evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding import FeatureSpace
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench
from pytest_medgan.evaluate import heads as heads_module
from pytest_medgan.evaluate.heads import chosen_rows, reference_heads
from pytest_medgan.records import Alteration, DataSettings, ImageSet, RealSets, UInt8


def pictures(count: int, seed: int) -> UInt8:
    """Images uint8 [N,1,32,32]: dark above, with a bright disc in the middle."""
    rng = np.random.default_rng(seed)
    row, column = np.indices((32, 32))
    middle = rng.normal(15.5, 1, (2, count, 1, 1))
    disc = np.hypot(row - middle[0], column - middle[1]) < rng.uniform(3, 5, (count, 1, 1))
    images = 60 + 2 * row + 50 * disc + rng.normal(0, 3, (count, 32, 32))
    return images.clip(0, 255).astype(np.uint8)[:, None]


def image_set(count: int, seed: int) -> ImageSet:
    return ImageSet(pictures(count, seed), np.array([f"P{row // 5}" for row in range(count)]), f"pictures {seed}")


def thumbnails(pixels: UInt8) -> np.ndarray:
    """Features: means of fields of 4 pixels, and the mean difference of neighbours."""
    small = pixels[:, 0].reshape(len(pixels), 8, pixels.shape[2] // 8, 8, -1).mean((2, 4)).reshape(len(pixels), -1)
    rough = abs(np.diff(pixels[:, 0].astype(np.float32), axis=1)).mean((1, 2))
    return np.column_stack([small, rough]).astype(np.float32)


class Counter:
    """A feature space with maps that counts what it embeds in each."""

    def __init__(self) -> None:
        self.mapped = 0
        maps = replace(space_of_function("maps", "maps of pictures", self._maps, 64), is_maps=True)
        self.space: FeatureSpace = replace(
            space_of_function("pictures", "pictures", lambda pixels: thumbnails(pixels)[:, :8], 64), maps=maps
        )

    def _maps(self, pixels: UInt8) -> np.ndarray:
        self.mapped += len(pixels)
        return thumbnails(pixels)


@pytest.fixture(scope="module")
def real() -> RealSets:
    return RealSets(image_set(60, 1), image_set(300, 2), image_set(60, 3), DataSettings(), "pictures")


def test_heads_are_fitted_once_and_read_from_the_store(real: RealSets, tmp_path: Path) -> None:
    counter = Counter()
    first = reference_heads(counter.space, real, tmp_path)
    assert first is not None
    assert counter.mapped == 300 * (1 + len(Alteration))
    again = reference_heads(Counter().space, real, tmp_path)
    assert again is not None
    assert np.array_equal(first.weights, again.weights)
    assert np.array_equal(first.offsets, again.offsets)
    assert (first.alterations, first.found, first.blind) == (again.alterations, again.found, again.blind)
    assert counter.mapped == 300 * (1 + len(Alteration))
    assert {Alteration.UPSIDE_DOWN, Alteration.ERASED_CENTRE, Alteration.NOISE} <= set(first.alterations)


def test_damaged_file_is_fitted_again(real: RealSets, tmp_path: Path) -> None:
    first = reference_heads(Counter().space, real, tmp_path)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    counter = Counter()
    again = reference_heads(counter.space, real, tmp_path)
    assert counter.mapped > 0
    assert first is not None
    assert again is not None
    assert np.array_equal(first.weights, again.weights)


def test_other_images_or_spaces_have_heads_of_their_own(real: RealSets, tmp_path: Path) -> None:
    reference_heads(Counter().space, real, tmp_path)
    reference_heads(Counter().space, replace(real, digest="others"), tmp_path)
    other = Counter().space
    assert other.maps is not None
    reference_heads(replace(other, maps=replace(other.maps, identity="other maps")), real, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_small_reference_has_no_heads_and_embeds_nothing(real: RealSets, tmp_path: Path) -> None:
    counter = Counter()
    few = replace(real, reference=image_set(199, 2))
    one = replace(real, reference=replace(real.reference, groups=np.repeat("P", 300)))
    assert reference_heads(counter.space, few, tmp_path) is None
    assert reference_heads(counter.space, one, tmp_path) is None
    assert counter.mapped == 0


def test_space_without_maps_is_looked_at_itself_with_fewer_images(
    real: RealSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "MOST_IN_OTHER_SPACES", 220)
    heads = reference_heads(space_of_function("thumbnails", "thumbnails", thumbnails, 64), real, tmp_path)
    assert heads is not None
    assert len(heads.real) == 220


def test_chosen_rows_are_random_and_ascending() -> None:
    assert chosen_rows(5, 9).tolist() == [0, 1, 2, 3, 4]
    rows = chosen_rows(1000, 100)
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    assert 300 < rows.mean() < 700


def test_evaluation_sees_a_tenth_of_upside_down_images(real: RealSets, tmp_path: Path) -> None:
    def draw(count: int, seed: int, *, wrong: bool) -> UInt8:
        images = pictures(count, 1000 + seed)
        if wrong:
            images[::10] = images[::10, :, ::-1]
        return images

    settings = Settings(samples=200, seeds=(0,), metrics=("fid", "anomaly_rate"))
    subject = Subject(real, Counter().space, settings, Workbench(tmp_path))
    values = {}
    for wrong in (False, True):
        model = ModelEvaluation("m", lambda count, seed, wrong=wrong: draw(count, seed, wrong=wrong), subject)
        values[wrong] = model.at(200)["anomaly_rate"].mean
        evidence = model.evidence(200).anomalies
        assert evidence is not None
    assert values[False] < 0.06
    assert values[True] - values[False] > 0.08
    order = list(Alteration)
    assert [order[place] for _, place in evidence].count(Alteration.UPSIDE_DOWN) >= 15
