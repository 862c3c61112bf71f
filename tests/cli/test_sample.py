"""medgan sample, called with command lines."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from pytest_medgan.cli import main
from pytest_medgan.gan import load_generator


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "pool.npz", pixels=pixels)
    return tmp_path / "pool.npz"


def test_npz_comes_back_as_the_same_generator(pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out.npz"
    assert main(["sample", str(pool), "--out", str(out), "--count=6", "--seed=3", "--seed=4"]) == 0
    assert "12 images of 16x16 from 2 seed(s)" in capsys.readouterr().out
    generator, again = load_generator(str(pool)), load_generator(str(out))
    for seed in (3, 4):
        np.testing.assert_array_equal(again(6, seed), generator(6, seed))


def test_sheet_and_a_folder_hold_the_pictures(pool: Path, tmp_path: Path) -> None:
    expected = load_generator(str(pool))(6, 0)
    assert main(["sample", str(pool), "--out", str(tmp_path / "sheet.png"), "--count=6", "--columns=4"]) == 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (32, 64)
    np.testing.assert_array_equal(sheet[16:, 16:32], expected[5, 0])
    assert not sheet[16:, 32:].any()
    assert main(["sample", str(pool), "--out", str(tmp_path / "folder"), "--count=6"]) == 0
    names = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert names == [f"seed0-{index:06d}.png" for index in range(6)]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "folder" / names[2])), expected[2, 0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--count=21"], "holds 20"),
        (["--count=0"], "--count"),
        (["--seed=-1"], "--seed"),
        (["--columns=0"], "--columns"),
    ],
)
def test_unusable_count_is_one_line_and_status_2(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["sample", str(pool), "--out", str(tmp_path / "out.npz"), *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert words in error[0]
    assert not (tmp_path / "out.npz").exists()


def test_missing_generator_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(tmp_path / "absent.pt"), "--out", str(tmp_path / "out.npz")]) == 2
    assert "absent.pt: The generator does not exist" in capsys.readouterr().err


def test_generator_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drawn_here.py").write_text(
        "import numpy as np\n\ndef model(count, seed):\n    return np.full((count, 1, 8, 8), seed, np.uint8)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry])
    assert main(["sample", "drawn_here:model", "--count", "2", "--seed", "7", "--out", "out.npz"]) == 0
    with np.load("out.npz") as archive:
        assert (archive["pixels"] == 7).all()


def test_sample_dicom_writes_captures_that_are_no_real_images(pool: Path, tmp_path: Path) -> None:
    expected = load_generator(str(pool))(6, 0)
    assert main(["sample", str(pool), "--dicom", str(tmp_path / "captures"), "--count=6"]) == 0
    files = sorted((tmp_path / "captures").iterdir())
    assert len(files) == 6
    for path, image in zip(files, expected, strict=True):
        dataset = dcmread(path)
        assert dataset.SyntheticData == "YES"
        np.testing.assert_array_equal(dataset.pixel_array, image[0])


def test_sample_without_a_place_to_write_is_refused(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(pool)]) == 2
    assert "nothing to write" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["s.jpg", "s.TIFF", "s.npy", "s.nii.gz"])
def test_sample_refuses_a_kind_of_file_that_it_does_not_write(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["sample", str(pool), "--out", str(tmp_path / name)]) == 2
    assert f"--out {name} cannot be written as such. Name an .npz, a .png or a folder." in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["seed0-000009.png", "other.JPG"])
def test_folder_with_pictures_is_refused(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The pictures of an earlier, longer sample would stay among the new ones."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_bytes(b"")
    assert main(["sample", str(pool), "--out", str(folder), "--count=2"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "holds pictures already" in error
    assert error.endswith("Name a new folder, or remove those pictures first.")
    assert [path.name for path in folder.iterdir()] == [name]


def test_second_sample_into_one_folder_is_refused(pool: Path, tmp_path: Path) -> None:
    command = ["sample", str(pool), "--out", str(tmp_path / "folder")]
    assert main([*command, "--count=6"]) == 0
    assert main([*command, "--count=2"]) == 2
    assert len(list((tmp_path / "folder").iterdir())) == 6


def test_folder_without_pictures_is_filled(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine", encoding="utf-8")
    assert main(["sample", str(pool), "--out", str(tmp_path / "folder"), "--count=2"]) == 0
    names = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert names == ["notes.txt", "seed0-000000.png", "seed0-000001.png"]
