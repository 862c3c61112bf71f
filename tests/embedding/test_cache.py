"""Nothing is computed twice, and nothing damaged is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_medgan.embedding import Cache, embed_images
from pytest_medgan.embedding import blocks as blocks_module
from pytest_medgan.embedding import cache as cache_module
from pytest_medgan.embedding.blocks import SUFFIX, DamagedBlockError, read_header
from pytest_medgan.embedding.cache import image_digests
from pytest_medgan.errors import ExtractorError
from pytest_medgan.ground import files
from pytest_medgan.records import Embeddings, ImageSet

MakeImages = Callable[..., ImageSet]


def same(ours: Embeddings, theirs: Embeddings) -> bool:
    if ours.probabilities is None or theirs.probabilities is None:
        return False
    return np.array_equal(ours.features, theirs.features) and np.array_equal(ours.probabilities, theirs.probabilities)


def blocks(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/*{SUFFIX}"))


@pytest.fixture
def images(make_images: MakeImages) -> ImageSet:
    return make_images(150, size=16)


@pytest.fixture
def filled(tmp_path: Path, images: ImageSet, make_quick: Callable[..., Any]) -> Path:
    """A folder that holds all of `images` in two blocks."""
    embed_images(make_quick(), images, cache=Cache(tmp_path))
    return tmp_path


def test_second_run_embeds_nothing_and_counts_it(filled: Path, images: ImageSet, quick: Any) -> None:
    cache = Cache(filled)
    again = embed_images(quick, images, cache=cache)
    assert quick.asked == 0
    assert str(cache.counts) == "0 images embedded, 150 from the cache"
    assert same(again, embed_images(quick, images))


def test_one_changed_pixel_costs_one_image(filled: Path, images: ImageSet, quick: Any) -> None:
    pixels = images.pixels.copy()
    pixels[77, 0, 3, 5] ^= 1
    changed = embed_images(quick, replace(images, pixels=pixels), cache=Cache(filled))
    assert quick.calls == [1]
    assert same(changed, embed_images(quick, replace(images, pixels=pixels)))


@pytest.mark.parametrize("other", [{"identity": "another weight"}, {"numeric_class": "bfloat16"}])
def test_another_identity_or_numeric_class_shares_nothing(
    other: dict[str, str], filled: Path, images: ImageSet, make_quick: Callable[..., Any]
) -> None:
    extractor = make_quick(**other)
    embed_images(extractor, images, cache=Cache(filled))
    assert extractor.asked == 150


def test_longer_set_embeds_only_its_new_images(tmp_path: Path, images: ImageSet, quick: Any) -> None:
    for count, asked in ((19, 19), (37, 37), (75, 75), (150, 150)):
        embedded = embed_images(quick, images.take(slice(0, count)), cache=Cache(tmp_path))
        assert len(embedded) == count
        assert quick.asked == asked


def test_images_are_found_in_any_order(filled: Path, images: ImageSet, quick: Any) -> None:
    order = np.random.default_rng(0).permutation(150)
    shuffled = embed_images(quick, images.take(order), cache=Cache(filled))
    assert quick.asked == 0
    assert np.array_equal(shuffled.features, embed_images(quick, images).features[order])


def test_equal_images_are_embedded_once(tmp_path: Path, images: ImageSet, quick: Any) -> None:
    twice = images.take(np.repeat(np.arange(10), 3))
    embedded = embed_images(quick, twice, cache=Cache(tmp_path))
    assert quick.asked == 10
    assert np.array_equal(embedded.features, np.repeat(embedded.features[::3], 3, axis=0))


@pytest.mark.parametrize("place", [0.0, 0.005, 0.1, 0.4, 0.7, 0.99, 1.0])
def test_block_with_a_flipped_byte_is_recomputed(place: float, filled: Path, images: ImageSet, quick: Any) -> None:
    victim = blocks(filled)[0]
    content = bytearray(victim.read_bytes())
    content[round(place * (len(content) - 1))] ^= 0x10
    victim.write_bytes(content)
    cache = Cache(filled)
    embedded = embed_images(quick, images, cache=cache)
    assert cache.counts.damaged == 1
    assert 0 < quick.asked < 150
    assert same(embedded, embed_images(quick, images))
    assert "1 damaged" in str(cache.counts)
    assert embed_images(fresh := type(quick)(), images, cache=Cache(filled)) is not None
    assert fresh.asked == 0


@pytest.mark.parametrize("kept", [0, 10, 100, -1])
def test_truncated_block_is_recomputed(kept: int, filled: Path, images: ImageSet, quick: Any) -> None:
    victim = blocks(filled)[0]
    victim.write_bytes(victim.read_bytes()[:kept])
    embedded = embed_images(quick, images, cache=Cache(filled))
    assert same(embedded, embed_images(quick, images))


def test_header_longer_than_any_block_has_is_damage(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged length must not make the reader take the memory of it."""
    monkeypatch.setattr(blocks_module, "LONGEST_HEADER", 10)
    with pytest.raises(DamagedBlockError, match="length of the header"):
        read_header(blocks(filled)[0])


def test_image_digests_of_equal_bytes_in_another_shape_differ() -> None:
    pixels = np.zeros((1, 1, 4, 4), np.uint8)
    assert image_digests(pixels) != image_digests(pixels.reshape(1, 1, 2, 8))


def test_file_of_a_killed_writer_is_not_read(filled: Path, images: ImageSet, quick: Any) -> None:
    block = blocks(filled)[0]
    block.rename(block.with_name(f".{block.name}.abc.part"))
    embed_images(quick, images, cache=Cache(filled))
    assert 0 < quick.asked < 150


def test_block_removed_while_reading_is_recomputed(
    filled: Path, images: ImageSet, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(file: Path) -> Any:
        file.unlink()
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(cache_module, "read_block", gone)
    assert len(embed_images(quick, images, cache=Cache(filled))) == 150
    assert quick.asked == 150


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_or_read_only_folder_does_not_stop_embedding(
    error: int, tmp_path: Path, images: ImageSet, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(files, "os", SimpleNamespace(**{**vars(os), "replace": refuse}))
    cache = Cache(tmp_path)
    embedded = embed_images(quick, images, cache=cache)
    assert quick.asked == 150
    assert cache.trouble is not None
    assert os.strerror(error).lower() in cache.trouble
    assert str(tmp_path) not in cache.trouble
    assert same(embedded, embed_images(quick, images))
    assert [p for p in tmp_path.rglob("*") if p.name.endswith(".part")] == []


def test_folder_that_cannot_be_made_does_not_stop_embedding(tmp_path: Path, images: ImageSet, quick: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "features")
    assert len(embed_images(quick, images, cache=cache)) == 150
    assert cache.trouble is not None
    assert "--medgan-cache-dir" in cache.trouble


def test_folder_for_reading_only_is_read(
    filled: Path, images: ImageSet, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    cache = Cache(filled)
    embed_images(quick, images, cache=cache)
    assert quick.asked == 0
    assert cache.counts.found == 150


def test_blocks_unused_for_longest_are_removed_at_the_limit(
    tmp_path: Path, make_images: MakeImages, make_quick: Callable[..., Any]
) -> None:
    sets = [make_images(40, size=16, seed=seed) for seed in range(4)]
    one = Cache(tmp_path)
    for age, images in enumerate(sets[:3]):
        embed_images(make_quick(), images, cache=one)
        for block in blocks(tmp_path):
            if block.stat().st_mtime > 1e9:
                os.utime(block, (1e6 + age, 1e6 + age))
    embed_images(make_quick(), sets[0], cache=one)  # used again: no longer unused for longest
    size = blocks(tmp_path)[0].stat().st_size
    embed_images(make_quick(), sets[3], cache=Cache(tmp_path, limit=3 * size))
    assert len(blocks(tmp_path)) == 3
    asked = []
    for images in sets:
        extractor = make_quick()
        embed_images(extractor, images, cache=Cache(tmp_path))
        asked.append(extractor.asked)
    assert asked == [0, 40, 0, 0]


def test_another_width_under_one_identity_is_an_error(filled: Path, images: ImageSet, quick: Any) -> None:
    class Narrow(type(quick)):  # type: ignore[misc]
        def embed(self, pixels: Any, progress: Any = None) -> Any:
            features, chances = super().embed(pixels)
            return features[:, :3], chances

    blocks(filled)[0].unlink()
    with pytest.raises(ExtractorError, match="another width than those stored under the same identity"):
        embed_images(Narrow(), images, cache=Cache(filled))


def test_features_without_probabilities_are_stored(tmp_path: Path, images: ImageSet, quick: Any) -> None:
    class Plain(type(quick)):  # type: ignore[misc]
        def embed(self, pixels: Any, progress: Any = None) -> Any:
            return super().embed(pixels)[0], None

    first = embed_images(Plain(), images, cache=Cache(tmp_path))
    second = embed_images(extractor := Plain(), images, cache=Cache(tmp_path))
    assert extractor.asked == 0
    assert first.probabilities is None
    assert second.probabilities is None
    assert np.array_equal(first.features, second.features)
