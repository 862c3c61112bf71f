"""Generated images as DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from pytest_medgan.ct.capture import write_captures
from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.records import DataSettings

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 1, 15, 17), np.uint8)
SEEDS = ["0", "0", "0", "7", "7"]


def test_write_captures_files_hold_the_pixels_and_no_patient(tmp_path: Path) -> None:
    write_captures(tmp_path / "out", PIXELS, SEEDS)
    found = [dcmread(path) for path in sorted((tmp_path / "out").iterdir())]
    assert len(found) == 5
    for dataset, image in zip(found, PIXELS[:, 0], strict=True):
        assert np.array_equal(dataset.pixel_array, image)
        assert (dataset.SyntheticData, dataset.ConversionType, dataset.Modality) == ("YES", "SYN", "OT")
        assert str(dataset.SOPClassUID) == "1.2.840.10008.5.1.4.1.1.7"
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            assert str(dataset[keyword].value) == ""
        assert "RescaleSlope" not in dataset
    assert len({str(dataset.StudyInstanceUID) for dataset in found}) == 1
    assert len({str(dataset.SeriesInstanceUID) for dataset in found}) == 2
    assert len({str(dataset.SOPInstanceUID) for dataset in found}) == 5


def test_write_captures_with_a_window_rescales_to_hounsfield(tmp_path: Path) -> None:
    write_captures(tmp_path / "out", PIXELS, SEEDS, window=(-1000.0, 400.0))
    dataset = dcmread(tmp_path / "out" / "000000.dcm")
    hounsfield = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    np.testing.assert_allclose(hounsfield, -1000 + PIXELS[0, 0] * (1400 / 255), atol=1e-6)


def test_write_captures_equal_images_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_captures(tmp_path / name, PIXELS, SEEDS)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_write_captures_into_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(SettingsError, match="not empty"):
        write_captures(tmp_path, PIXELS, SEEDS)
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_prepare_captures_are_refused_as_real_images(tmp_path: Path) -> None:
    write_captures(tmp_path / "out", PIXELS, SEEDS)
    for strict in (False, True):
        settings = DataSettings(source=str(tmp_path / "out"), split="slice", strict=strict)
        with pytest.raises(DataError, match=r"synthetic data \(0008,001C\), so it is not a real image"):
            prepare(settings, cache_dir=tmp_path / "cache")


def test_write_captures_of_colours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--dicom writes grey images, and the generator draws 3 channels"):
        write_captures(tmp_path / "new", np.zeros((1, 3, 8, 8), np.uint8), ["0"], None)
    assert not (tmp_path / "new").exists()
