"""One file's header: what is taken, what is skipped, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Header, Skipped
from pytest_medgan.errors import DataError


@pytest.fixture
def one(tmp_path: Path, study_class: Any) -> Callable[..., str]:
    """Writes one slice, altered, and names it."""

    def write(change: Callable[[Dataset, int], None]) -> str:
        study = study_class(tmp_path, slices=1, change=change).write()
        return study.files[0].relative_to(tmp_path).as_posix()

    return write


def setter(**values: Any) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return change


def test_what_a_header_holds(tmp_path: Path, one: Callable[..., str]) -> None:
    name = one(setter(SliceLocation="-100", PixelPaddingValue=24))
    (header,) = read_headers(tmp_path, name)
    assert isinstance(header, Header)
    assert (header.file, header.patient, header.number) == (name, "PAT-001", 1)
    assert header.position == (-31.5, -31.5, -100.0)
    assert header.spacing == (1.0, 1.0)
    assert (header.pixels.slope, header.pixels.intercept, header.pixels.padding) == (1.0, -1024.0, (24, 24))
    assert header.length == 64 * 64 * 2


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_transfer_syntaxes_give_the_same_hounsfield(tmp_path: Path, study_class: Any, syntax: str) -> None:
    study = study_class(tmp_path, slices=1)
    dataset = study.image(0)
    expected = dataset.pixel_array - 1024.0
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset.save_as(tmp_path / "slice", implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    (header,) = read_headers(tmp_path, "slice")
    assert header.offset > 0
    assert (read_hounsfield(tmp_path, header) == expected).all()


def test_a_data_set_without_preamble(tmp_path: Path, study_class: Any) -> None:
    """As written before PS3.10: no preamble, no meta information, implicit VR."""
    study = study_class(tmp_path, slices=1).write()
    dataset = dcmread(study.files[0])
    expected = dataset.pixel_array
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True, enforce_file_format=False)
    (header,) = read_headers(tmp_path, "bare")
    assert (read_hounsfield(tmp_path, header) == expected - 1024.0).all()


def test_the_digest_ignores_who_wrote_the_file(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path, slices=1).write()
    name = study.files[0].relative_to(tmp_path).as_posix()
    (before,) = read_headers(tmp_path, name)
    dataset = dcmread(study.files[0])
    dataset.file_meta.ImplementationVersionName = "ANOTHER"
    dataset.save_as(study.files[0])
    (after,) = read_headers(tmp_path, name)
    assert before.digest == after.digest
    dataset.PatientName = "Roe^Jane"
    dataset.save_as(study.files[0])
    assert read_headers(tmp_path, name)[0].digest != before.digest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (setter(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer"),
        (setter(SOPClassUID=SecondaryCaptureImageStorage), "secondary capture"),
        (setter(SOPClassUID=MRImageStorage, Modality="MR"), "modality MR"),
        (setter(SOPClassUID=CTImageStorage, Modality="PT"), "modality PT"),
        (setter(SOPClassUID="1.2.3", Modality="DOE 1969"), "no image"),  # never free text
    ],
)
def test_what_is_no_slice_is_skipped_by_kind(
    tmp_path: Path, one: Callable[..., str], change: Callable[[Dataset, int], None], reason: str
) -> None:
    (found,) = read_headers(tmp_path, one(change))
    assert isinstance(found, Skipped)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setter(RescaleSlope=None), "no RescaleSlope, so its HU are unknown"),
        (setter(RescaleIntercept=None), "no RescaleIntercept, so its HU are unknown"),
        (setter(RescaleSlope=-1), "RescaleSlope is not positive"),
        (setter(RescaleType="OD"), "RescaleType is not HU"),
        (setter(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "colour or inverted"),
        (setter(PhotometricInterpretation="MONOCHROME1"), "colour or inverted"),
        (setter(ImagePositionPatient=None), "no ImagePositionPatient"),
        (setter(PixelSpacing=None), "no PixelSpacing"),
        (setter(PixelSpacing=[1, 0]), "PixelSpacing is not positive"),
        (setter(PatientID=""), "no PatientID"),
        (setter(Modality=None), "does not say what it is"),
        (setter(SeriesInstanceUID=None), "does not say what it is"),
        (setter(Rows=65), "pixel data"),
        (setter(BitsStored=17), "17 of 16 bits"),
        (setter(NumberOfFrames=2), "several frames"),
        (setter(PixelData=b"\0\0"), "pixel data end early"),
    ],
)
def test_refused_with_the_file_and_a_remedy(
    tmp_path: Path, one: Callable[..., str], change: Callable[[Dataset, int], None], message: str
) -> None:
    name = one(change)
    with pytest.raises(DataError, match=message) as caught:
        read_headers(tmp_path, name)
    assert caught.value.file == name
    assert ";" in str(caught.value) or "leave" in str(caught.value)
    assert "PAT-001" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.98])
def test_a_truncated_file(tmp_path: Path, one: Callable[..., str], keep: float) -> None:
    name = one(setter())
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError, match="copy it again"):
        read_headers(tmp_path, name)


@pytest.mark.parametrize(
    ("value", "signed", "stored"), [(63536, 1, -2000), (-2000, 1, -2000), (24, 0, 24), (-2000, 0, 63536)]
)
def test_padding_values_of_either_sign(tmp_path: Path, study_class: Any, value: int, signed: int, stored: int) -> None:
    """Writers confuse the sign of PixelPaddingValue; the two bytes are what counts."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelRepresentation = signed
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    study = study_class(tmp_path, slices=1, change=change).write()
    (header,) = read_headers(tmp_path, study.files[0].relative_to(tmp_path).as_posix())
    assert isinstance(header, Header)
    assert header.pixels.padding == (stored, stored)
