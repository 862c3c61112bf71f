"""Values that lie in another file than the header of their volume are part of what the volume is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


def scan(brightness: int) -> np.ndarray:
    left, back, head = np.mgrid[:44, :40, :6]
    return np.where(back < 5, -1000, head * 20 + back * 4 - left * 3 + brightness).astype(np.int16)


def save_pair(folder: Path, brightness: int) -> Path:
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Pair(scan(brightness), np.diag([-1.0, -1.0, 1.0, 1.0])), folder / "a.img")
    return folder / "a.hdr"


def save_detached_nrrd(folder: Path, brightness: int, named: str = "a.raw") -> Path:
    nrrd = pytest.importorskip("nrrd")
    fields: dict[str, Any] = {
        "space": "left-posterior-superior",
        "space directions": np.eye(3),
        "space origin": [0.0, 0.0, 0.0],
        "encoding": "raw",
    }
    nrrd.write(str(folder / "a.nhdr"), scan(brightness), fields, detached_header=True)
    head = (folder / "a.nhdr").read_bytes()
    (folder / "a.nhdr").write_bytes(head.replace(b"data file: a.raw", f"data file: {named}".encode()))
    return folder / "a.nhdr"


def save_slicer_nrrd(folder: Path, brightness: int) -> Path:
    return save_detached_nrrd(folder, brightness, "./a.raw")


def save_metaimage(folder: Path, brightness: int) -> Path:
    fields = "NDims = 3\nElementSpacing = 1 1 1\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nDimSize = 44 40 6\n"
    (folder / "a.mhd").write_text(f"ObjectType = Image\n{fields}ElementType = MET_SHORT\nElementDataFile = a.raw\n")
    (folder / "a.raw").write_bytes(scan(brightness).astype("<i2").tobytes(order="F"))
    return folder / "a.mhd"


SAVERS = [save_pair, save_detached_nrrd, save_slicer_nrrd, save_metaimage]


@pytest.mark.parametrize("whole_folder", [True, False], ids=["folder", "header alone"])
@pytest.mark.parametrize("save", SAVERS)
def test_prepare_reads_changed_values_behind_an_unchanged_header(
    small: Small, tmp_path: Path, save: Callable[[Path, int], Path], whole_folder: bool
) -> None:
    folder, cache = tmp_path / "scans", tmp_path / "cache"
    folder.mkdir()
    header = save(folder, 0)
    before = header.stat()
    settings = small(folder if whole_folder else header, split="slice")
    first = prepare(settings, cache_dir=cache)
    assert "skipped: file of another kind" not in first.counts
    content = header.read_bytes()
    values = next(path for path in folder.iterdir() if path != header)
    other = tmp_path / "other"
    other.mkdir()
    save(other, 300)
    values.write_bytes((other / values.name).read_bytes())
    assert (header.read_bytes(), header.stat().st_ctime_ns) == (content, before.st_ctime_ns)
    second = prepare(settings, cache_dir=cache)
    assert second.digest != first.digest
    assert second.pixels.mean() > first.pixels.mean() + 20
    assert np.array_equal(second.pixels, prepare(settings, cache_dir=tmp_path / "new cache").pixels)


def test_two_headers_alike_with_other_values_are_two_volumes(small: Small, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "scans" / f"P{number}").mkdir(parents=True)
        save_metaimage(tmp_path / "scans" / f"P{number}", number * 200)
    prepared = prepare(small(tmp_path / "scans"), cache_dir=tmp_path / "cache")
    means = [prepared.pixels[prepared.groups == group].mean() for group in np.unique(prepared.groups)]
    assert len(set(means)) == 3


def test_a_header_without_its_image_says_so(small: Small, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    save_pair(tmp_path / "scans", 0)
    (tmp_path / "scans" / "a.img").unlink()
    with pytest.raises(DataError, match=r"no file of values \(\.img\)"):
        prepare(small(tmp_path / "scans", split="slice"), cache_dir=tmp_path / "cache")
