"""medgan sample and medgan turing with a folder of generated volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.cli import main

nibabel = pytest.importorskip("nibabel")


def grey_of(number: int) -> np.ndarray:
    """Return the grey levels uint8 [6,16,16] of a volume, from the head down; every plane has a level of its own."""
    levels = 40 * np.arange(6)[:, None, None] + number + np.zeros((6, 16, 16), int)
    levels[:, 2:9, 3] += 9  # to the back and to the left, so that a turned slice is another one
    return levels.astype(np.uint8)


def write_volume(path: Path, grey: np.ndarray) -> None:
    """Write a volume [head,back,left] of grey levels as HU of the default window."""
    hounsfield = np.rint(grey.astype(float) * 1400 / 255 - 1000).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(hounsfield.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])), path)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of six generated volumes; the folder that holds it is the current one."""
    (tmp_path / "made").mkdir()
    for number in range(6):
        write_volume(tmp_path / "made" / f"{number}.nii.gz", grey_of(number))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "made"


HOW = "crop=image,crop_size=16,size=16"


def test_sample_takes_the_middle_slice_of_each_volume(made: Path) -> None:
    command = ["sample", f"made,{HOW}", "--count=3", "--seed=0", "--seed=1", "--out=out.npz", "--cache-dir=cache"]
    assert main(command) == 0
    assert (made.parent / "cache" / "prepared").is_dir()
    with np.load("out.npz") as archive:
        pixels, groups, window = (archive[name] for name in ("pixels", "groups", "window"))
    assert groups.tolist() == ["0"] * 3 + ["1"] * 3
    assert window.tolist() == [-1000.0, 400.0]
    middles = {grey_of(number)[plane].tobytes() for number in range(6) for plane in (2, 3)}
    assert len({image.tobytes() for image in pixels}) == 6  # each seed has volumes of its own
    assert {image.tobytes() for image in pixels} <= middles
    assert main(["sample", f"made,{HOW},window=-1000:1800", "--count=1", "--out=sheet.png"]) == 0
    wide = np.asarray(Image.open("sheet.png"))
    narrow = {int(image.min()) for image in pixels}
    assert any(abs(int(wide.min()) - level / 2) <= 1 for level in narrow)  # the same HU in a window twice as wide


def test_turing_reads_volumes_as_the_real_studies_or_as_said(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made.parent / "scans").mkdir()
    for number in range(8):
        write_volume(made.parent / "scans" / f"{number}.nii.gz", grey_of(number + 10))
    studies = ["turing", "--real", f"scans,{HOW},slices=all", "--out=page.html", "--count=12"]
    assert main([*studies, "--fake=made"]) == 0
    assert "24 images, half of them real" in capsys.readouterr().out
    assert main([*studies, f"--fake=made,{HOW}"]) == 2
    assert "is read as the real images are, and has options of its own" in capsys.readouterr().err
    np.savez("real.npz", pixels=np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8))
    assert main(["turing", "--real=real.npz", f"--fake=made,{HOW}", "--out=page.html", "--count=36"]) == 0
    assert "72 images" in capsys.readouterr().out  # six slices of six volumes
    assert main(["turing", "--real=real.npz", f"--fake=made,{HOW}", "--out=page.html", "--count=37"]) == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (f"made,{HOW},split=slice", [], "is a folder of volumes and takes no split=. Choose from crop="),
        (f"made,{HOW},slices=8", [], "takes no slices=. Choose from crop=, crop_size=, size=, window=."),
        (f"made,{HOW},planes=three", [], "takes no planes=. Choose from crop="),
        (f"made,{HOW}", ["--count=7"], "holds 6 slices of 6 volumes for seed 0, and 7 were asked for"),
        ("made,size=x", [], "size"),
    ],
)
def test_folder_that_cannot_be_read_as_asked_is_one_line(
    name: str, options: list[str], words: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", name, "--out=out.npz", *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert words in error[0]
    assert not Path("out.npz").exists()


def test_damaged_volume_is_named_and_not_passed_over(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (made / "3.nii.gz").read_bytes()
    (made / "3.nii.gz").write_bytes(whole[: len(whole) // 2])
    assert main(["sample", f"made,{HOW}", "--count=2", "--out=out.npz"]) == 2
    assert "3.nii.gz" in capsys.readouterr().err
