"""Images and curves of models that a later run shows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pytest_medgan.records import Evidence
from pytest_medgan.session.samples import MODELS, keep_samples, kept_samples


def images(count: int, seed: int = 0) -> Evidence:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    return Evidence(thumbnails_fake=pixels, thumbnail_fake_index=np.arange(count), thumbnails_real=pixels)


def test_kept_samples_are_the_first_images(tmp_path: Path) -> None:
    keep_samples(tmp_path, "a", 0, images(60))
    found = kept_samples(tmp_path, "a", 0)
    assert found is not None
    assert found.thumbnails_fake is not None
    np.testing.assert_array_equal(found.thumbnails_fake, images(60).thumbnails_fake[:48])  # type: ignore[index]
    assert found.thumbnails_real is None
    assert kept_samples(tmp_path, "a", 1) is None
    assert kept_samples(tmp_path, "b", 0) is None
    assert kept_samples(tmp_path, None, 0) is None


def test_model_without_a_digest_leaves_nothing(tmp_path: Path) -> None:
    keep_samples(tmp_path, None, 0, images(60))
    assert not any(tmp_path.iterdir())


def test_shorter_look_does_not_replace_a_longer_one(tmp_path: Path) -> None:
    for count in (20, 60, 30):
        keep_samples(tmp_path, "a", 0, images(count))
    found = kept_samples(tmp_path, "a", 0)
    assert found is not None
    assert found.thumbnails_fake is not None
    assert len(found.thumbnails_fake) == 48


def test_damaged_file_gives_none(tmp_path: Path) -> None:
    keep_samples(tmp_path, "a", 0, images(60))
    next((tmp_path / "samples").iterdir()).write_bytes(b"PK")
    assert kept_samples(tmp_path, "a", 0) is None


def test_model_unused_for_longest_is_removed_first(tmp_path: Path) -> None:
    for model in range(MODELS):
        keep_samples(tmp_path, str(model), 0, images(2, model))
    for file in (tmp_path / "samples").iterdir():
        os.utime(file, (1, 1))
    assert kept_samples(tmp_path, "0", 0) is not None  # looked at, and so kept
    keep_samples(tmp_path, "new", 0, images(2))
    assert len(list((tmp_path / "samples").iterdir())) == MODELS
    assert kept_samples(tmp_path, "0", 0) is not None
    assert kept_samples(tmp_path, "new", 0) is not None
