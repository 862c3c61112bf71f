"""Generated volumes of the finished size are taken whole in every format, and others are cropped as the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, UInt8

HEAD, BACK, LEFT = np.mgrid[:6, :64, :64]
HOUNSFIELD = (LEFT * 10 + BACK * 5 - 1000 + HEAD * 3).astype(np.int16)


def generated(source: Path, **options: Any) -> DataSettings:
    """Return the settings with which the gate reads a folder of generated volumes."""
    fixed = {"source": str(source), "split": "slice", "slices": None, "strict": True, "generated": True}
    return DataSettings(**fixed | {"crop": "image", "size": 64} | options)


def write_dicom(root: Path, study_class: Any, contour: bool = False) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.SyntheticData = "YES"
        dataset.PixelData = (HOUNSFIELD[index] + 1024).astype("<u2").tobytes()

    for number in range(2):
        study = study_class(root, patient=f"made-{number}", change=change).write()
        if contour:
            study.draw({"GTV-1": dict.fromkeys((2, 3), (20, 25, 30, 41))})


def write_nifti(root: Path, study_class: Any) -> None:
    nibabel = pytest.importorskip("nibabel")
    root.mkdir()
    for number in range(2):
        image = nibabel.Nifti1Image(HOUNSFIELD.transpose(2, 1, 0), np.diag([-1.0, -1.0, 3.0, 1.0]))
        nibabel.save(image, root / f"made-{number}.nii.gz")


WRITERS = [write_dicom, write_nifti]


def pixels(settings: DataSettings, tmp_path: Path) -> UInt8:
    return prepare(settings, cache_dir=tmp_path / "cache").pixels


@pytest.mark.parametrize("crop", ["image", "tumour", "auto"])
@pytest.mark.parametrize("write", WRITERS)
def test_slices_of_the_finished_size_are_taken_whole(tmp_path: Path, study_class: Any, write: Any, crop: str) -> None:
    """The usual case: real images are cut to 160 pixels and finished at 128, and a model draws 128."""
    write(tmp_path / "made", study_class)
    made = pixels(generated(tmp_path / "made", crop=crop, crop_size=80), tmp_path)
    whole = np.clip(np.floor((HOUNSFIELD + 1000.0) * 255 / 1400 + 0.5), 0, 255).astype(np.uint8)
    assert np.array_equal(made[:, 0], np.concatenate([whole, whole]))


@pytest.mark.parametrize("write", WRITERS)
def test_slices_smaller_than_the_crop_are_refused(tmp_path: Path, study_class: Any, write: Any) -> None:
    write(tmp_path / "made", study_class)
    with pytest.raises(DataError, match="64x64, smaller than crop_size=80"):
        pixels(generated(tmp_path / "made", size=40, crop_size=80), tmp_path)


@pytest.mark.parametrize("write", WRITERS)
def test_volumes_without_contours_are_not_cropped_on_the_middle_where_real_ones_are_on_the_tumour(
    tmp_path: Path, study_class: Any, write: Any
) -> None:
    write(tmp_path / "made", study_class)
    with pytest.raises(DataError, match="real images are cropped on the tumour, and the generated volumes do not say"):
        pixels(generated(tmp_path / "made", crop="tumour", size=16, crop_size=32), tmp_path)
    assert pixels(generated(tmp_path / "made", crop="image", size=16, crop_size=32), tmp_path).shape[-1] == 16


def test_generated_series_with_contours_are_cropped_on_them(tmp_path: Path, study_class: Any) -> None:
    write_dicom(tmp_path / "made", study_class, contour=True)
    options = {"size": 32, "crop_size": 32}
    tumour = pixels(generated(tmp_path / "made", crop="tumour", **options), tmp_path)
    middle = pixels(generated(tmp_path / "made", crop="image", **options), tmp_path)
    assert not np.array_equal(tumour, middle)


def test_real_slices_smaller_than_the_crop_are_warned_of(tmp_path: Path, study_class: Any) -> None:
    study_class(tmp_path / "real").write()
    settings = DataSettings(source=str(tmp_path / "real"), split="slice", slices=None, size=64, crop_size=80)
    warnings = prepare(settings, cache_dir=tmp_path / "cache").warnings
    assert warnings == ("1 series have slices smaller than crop_size=80: air fills the rest",)
    study_class(tmp_path / "large").write()
    settings = DataSettings(source=str(tmp_path / "large"), split="slice", slices=None, size=64, crop_size=64)
    assert prepare(settings, cache_dir=tmp_path / "cache").warnings == ()
