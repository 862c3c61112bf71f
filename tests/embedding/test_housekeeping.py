"""Listing and removing stored features, and one file of them for a CI cache."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_medgan.embedding import Cache, embed_images
from pytest_medgan.embedding.blocks import SUFFIX
from pytest_medgan.embedding.housekeeping import export, import_blocks, parse_size, prune, summarise
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.records import ImageSet


@pytest.fixture
def images(make_images: Callable[..., ImageSet]) -> ImageSet:
    return make_images(130, size=16)


@pytest.fixture
def folder(tmp_path: Path, images: ImageSet, make_quick: Callable[..., Any]) -> Path:
    """Two feature spaces, 130 images and 10."""
    features = tmp_path / "features"
    embed_images(make_quick(), images, cache=Cache(features))
    embed_images(make_quick(numeric_class="bfloat16"), images.take(slice(0, 10)), cache=Cache(features))
    return features


def test_summarise_counts_images_per_feature_space(folder: Path) -> None:
    found = {(s.identity, s.numeric_class): (s.images, s.blocks) for s in summarise(folder)}
    assert found == {("quick", "float32"): (130, 2), ("quick", "bfloat16"): (10, 1)}
    assert sum(s.size for s in summarise(folder)) == sum(p.stat().st_size for p in folder.rglob(f"*{SUFFIX}"))


def test_missing_folder_has_no_features(tmp_path: Path) -> None:
    assert summarise(tmp_path / "nowhere") == []
    assert prune(tmp_path / "nowhere", limit=0).files == 0


def test_prune_to_zero_removes_blocks_and_folders(folder: Path) -> None:
    removed = prune(folder, limit=0)
    assert removed.files == 3
    assert removed.size > 0
    assert summarise(folder) == []
    assert list(folder.glob("*/about.json")) == []


def test_prune_removes_blocks_older_than_asked(folder: Path) -> None:
    old = next(folder.rglob(f"*{SUFFIX}"))
    os.utime(old, (time.time() - 10 * 86400,) * 2)
    assert prune(folder, older_than=11 * 86400).files == 0
    assert prune(folder, older_than=9 * 86400).files == 1
    assert not old.exists()


def test_prune_removes_damaged_blocks_and_stale_leftovers(folder: Path) -> None:
    victim = next(folder.rglob(f"*{SUFFIX}"))
    victim.write_bytes(victim.read_bytes()[:-1])
    fresh, stale = victim.with_name(".a.1.part"), victim.with_name(".a.2.part")
    for file in (fresh, stale):
        file.write_bytes(b"half")
    os.utime(stale, (time.time() - 7200,) * 2)
    assert prune(folder).files == 1  # the stale one; the other may still be written
    assert prune(folder, check=True).files == 1
    assert not victim.exists()
    assert fresh.exists()
    assert not stale.exists()


def test_exported_blocks_are_found_on_another_machine(
    folder: Path, images: ImageSet, tmp_path: Path, quick: Any
) -> None:
    assert export(folder, tmp_path / "ci" / "features.tar") == 3
    assert import_blocks(tmp_path / "other", tmp_path / "ci" / "features.tar") == 3
    embed_images(quick, images, cache=Cache(tmp_path / "other"))
    assert quick.asked == 0
    assert {(s.identity, s.images) for s in summarise(tmp_path / "other")} == {("quick", 130), ("quick", 10)}
    assert import_blocks(tmp_path / "other", tmp_path / "ci" / "features.tar") == 0


def test_equal_folders_export_equal_files(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "a.tar")
    import_blocks(tmp_path / "other", tmp_path / "a.tar")
    export(tmp_path / "other", tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_export_of_nothing_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no stored features"):
        export(tmp_path / "nowhere", tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../../evil.block", "/tmp/evil.block", f"{'0' * 24}/../x.block", f"{'0' * 24}/{'z' * 32}.block"]
)
def test_import_writes_nothing_outside_the_folder(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="other than stored features"):
        import_blocks(tmp_path / "deep" / "features", tmp_path / "evil.tar")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["evil.tar"]


def test_link_in_an_export_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo(f"{'0' * 24}/{'0' * 32}.block")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match="other than stored features"):
        import_blocks(tmp_path / "features", tmp_path / "evil.tar")


def test_damaged_block_is_not_imported(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "a.tar")
    content = bytearray((tmp_path / "a.tar").read_bytes())
    content[content.rindex(b"medgan-features-1") + 700] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    assert import_blocks(tmp_path / "other", tmp_path / "a.tar") == 2


def test_file_that_is_no_export_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"garbage" * 200)
    with pytest.raises(DataError, match="no export"):
        import_blocks(tmp_path, tmp_path / "a.tar")
    with pytest.raises(DataError, match="cannot be read"):
        import_blocks(tmp_path, tmp_path / "missing.tar")


@pytest.mark.parametrize(("text", "size"), [("500M", 500_000_000), ("2 GB", 2_000_000_000), ("1.5k", 1500), ("7", 7)])
def test_parse_size_reads_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["large", "9" * 400, "-1M", "nan"])
def test_parse_size_names_the_option(text: str) -> None:
    with pytest.raises(SettingsError, match="--limit takes a size"):
        parse_size(text, "--limit")
