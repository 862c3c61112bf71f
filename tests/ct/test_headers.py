"""One file's header: what is taken, what is skipped, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from pytest_medgan.ct import encodings
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Cause, Faulty, Header, Skipped
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


def test_read_headers_returns_geometry_and_pixel_format(tmp_path: Path, one: Callable[..., str]) -> None:
    name = one(setter(SliceLocation="-100", PixelPaddingValue=24))
    (header,) = read_headers(tmp_path, name)
    assert isinstance(header, Header)
    assert (header.file, header.patient) == (name, "PAT-001")
    assert header.position == (-31.5, -31.5, -100.0)
    assert header.spacing == (1.0, 1.0)
    assert (header.pixels.slope, header.pixels.intercept, header.pixels.padding) == (1.0, -1024.0, (24, 24))
    assert header.length == 64 * 64 * 2


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_read_headers_native_syntaxes_give_the_same_hounsfield(tmp_path: Path, study_class: Any, syntax: str) -> None:
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


def test_read_headers_digest_ignores_the_writing_software(tmp_path: Path, study_class: Any) -> None:
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
def test_read_headers_other_content_is_skipped_by_kind(
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
        (setter(RescaleSlope=-1), "RescaleSlope of a CT slice is not positive"),
        (setter(RescaleType="OD"), "RescaleType of a CT slice is not HU"),
        (setter(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "holds colour"),
        (setter(ImagePositionPatient=None), "no ImagePositionPatient"),
        (setter(PixelSpacing=None), "no PixelSpacing"),
        (setter(PixelSpacing=[1, 0]), "PixelSpacing of a CT slice is not positive"),
        (setter(Modality=None), "does not say what it is"),
        (setter(SeriesInstanceUID=None), "does not say what it is"),
        (setter(Rows=65), "do not fit its Rows and Columns"),
        (setter(BitsStored=17), "17 of 16 bits"),
        (setter(NumberOfFrames=2), "several frames"),
        (setter(PixelData=b"\0\0"), "pixel data of a CT slice end early"),
    ],
)
def test_read_headers_faulty_slice_states_problem_and_action(
    tmp_path: Path, one: Callable[..., str], change: Callable[[Dataset, int], None], message: str
) -> None:
    name = one(change)
    (found,) = read_headers(tmp_path, name)
    assert isinstance(found, Faulty)
    assert re.search(message, found.message)
    assert found.file == name
    assert re.search(r"\. (Copy|Restore|Leave) ", found.message)
    assert "PAT-001" not in found.message


def test_read_headers_class_that_contradicts_the_meta_information_is_faulty(
    tmp_path: Path, one: Callable[..., str]
) -> None:
    name = one(lambda dataset, index: None)
    dataset = dcmread(tmp_path / name)
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.save_as(tmp_path / name, enforce_file_format=False)
    (found,) = read_headers(tmp_path, name)
    assert isinstance(found, Faulty)
    assert "names one SOP class in its data set and another in its file meta header" in found.message


def test_read_headers_slice_without_hounsfield_has_a_cause_of_its_own(tmp_path: Path, one: Callable[..., str]) -> None:
    causes = []
    for change in (setter(RescaleSlope=None), setter(BitsStored=17)):
        (found,) = read_headers(tmp_path, one(change))
        assert isinstance(found, Faulty)
        assert (found.patient, bool(found.series)) == ("PAT-001", True)
        causes.append(found.cause)
    assert causes == [Cause.NO_HOUNSFIELD, Cause.DAMAGED]


@pytest.mark.parametrize(
    "change",
    [
        setter(PatientID=""),
        setter(FrameOfReferenceUID=None),
        setter(PhotometricInterpretation="MONOCHROME1"),
        setter(InstanceNumber=None),
        setter(SliceThickness=None),
        setter(HighBit=None),
    ],
)
def test_read_headers_element_that_images_do_not_depend_on_may_be_absent(
    tmp_path: Path, one: Callable[..., str], change: Callable[[Dataset, int], None]
) -> None:
    (found,) = read_headers(tmp_path, one(change))
    assert isinstance(found, Header)
    expected = dcmread(tmp_path / found.file).pixel_array - 1024.0
    assert (read_hounsfield(tmp_path, found) == expected).all()


@pytest.mark.parametrize("keyword", ["SliceThickness", "InstanceNumber", "SliceLocation"])
def test_read_headers_malformed_element_that_is_not_used_is_ignored(
    tmp_path: Path, study_class: Any, keyword: str
) -> None:
    study = study_class(tmp_path, slices=1, change=setter(**{keyword: "77777"})).write()
    study.files[0].write_bytes(study.files[0].read_bytes().replace(b"77777", b"7x7e7"))
    (found,) = read_headers(tmp_path, study.files[0].relative_to(tmp_path).as_posix())
    assert isinstance(found, Header)
    assert found.thickness in (None, 3.0)


def test_read_headers_synthetic_data_of_any_class_are_faulty(tmp_path: Path, one: Callable[..., str]) -> None:
    for sop_class in (CTImageStorage, SecondaryCaptureImageStorage):
        (found,) = read_headers(tmp_path, one(setter(SyntheticData="YES", SOPClassUID=sop_class)))
        assert isinstance(found, Faulty)
        assert found.cause is Cause.SYNTHETIC
    (found,) = read_headers(tmp_path, one(setter(SyntheticData="NO")))
    assert isinstance(found, Header)


def test_read_headers_deflated_data_set_gives_the_same_hounsfield(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path, slices=1).write()
    dataset = dcmread(study.files[0])
    expected = dataset.pixel_array - 1024.0
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    (header,) = read_headers(tmp_path, "deflated.dcm")
    assert isinstance(header, Header)
    assert (read_hounsfield(tmp_path, header) == expected).all()
    assert (read_hounsfield(tmp_path, header, slice(3, 9)) == expected[3:9]).all()
    data = (tmp_path / "deflated.dcm").read_bytes()
    (tmp_path / "deflated.dcm").write_bytes(data[: len(data) // 2])
    (found,) = read_headers(tmp_path, "deflated.dcm")
    assert isinstance(found, Faulty)


def test_read_headers_deflated_data_set_above_the_size_limit_is_not_unpacked(
    tmp_path: Path, study_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_class(tmp_path, slices=1).write()
    dataset = dcmread(study.files[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    monkeypatch.setattr(encodings, "_LARGEST", 4096)
    (found,) = read_headers(tmp_path, "deflated.dcm")
    assert isinstance(found, Faulty)
    assert "unpacks to more than a slice" in found.message


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_read_headers_without_preamble_gives_the_same_hounsfield(
    tmp_path: Path, study_class: Any, implicit: bool, little: bool
) -> None:
    """As written before PS3.10: no preamble, no meta information."""
    study = study_class(tmp_path, slices=1).write()
    dataset = dcmread(study.files[0])
    expected = dataset.pixel_array
    bare = Dataset()
    bare.update(dataset)
    bare.PixelData = expected.astype("<u2" if little else ">u2").tobytes()
    bare.save_as(tmp_path / "bare", implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    (header,) = read_headers(tmp_path, "bare")
    assert isinstance(header, Header)
    assert (read_hounsfield(tmp_path, header) == expected - 1024.0).all()


def test_read_headers_pixel_data_with_surplus_bytes_are_read_as_pydicom_reads_them(
    tmp_path: Path, one: Callable[..., str]
) -> None:
    def longer(dataset: Dataset, index: int) -> None:
        dataset.PixelData = dataset.PixelData + bytes(20)

    (header,) = read_headers(tmp_path, one(longer))
    assert isinstance(header, Header)
    (tmp_path / "other").mkdir()
    assert read_hounsfield(tmp_path, header).shape == (64, 64)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.98])
def test_read_headers_truncated_file_is_damaged(tmp_path: Path, one: Callable[..., str], keep: float) -> None:
    name = one(setter())
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * keep)])
    (found,) = read_headers(tmp_path, name)
    assert isinstance(found, Faulty)
    assert found.cause is Cause.DAMAGED
    assert "Copy" in found.message


def test_read_headers_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_headers(tmp_path, "absent.dcm")


@pytest.mark.parametrize(
    ("value", "signed", "stored"), [(63536, 1, -2000), (-2000, 1, -2000), (24, 0, 24), (-2000, 0, 63536)]
)
def test_read_headers_padding_value_of_either_sign_is_the_same(
    tmp_path: Path, study_class: Any, value: int, signed: int, stored: int
) -> None:
    """Writers confuse the sign of PixelPaddingValue; the two bytes are what counts."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelRepresentation = signed
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    study = study_class(tmp_path, slices=1, change=change).write()
    (header,) = read_headers(tmp_path, study.files[0].relative_to(tmp_path).as_posix())
    assert isinstance(header, Header)
    assert header.pixels.padding == (stored, stored)


@pytest.mark.parametrize("modality", ["CT", "RTSTRUCT", "SEG"])
def test_read_headers_unknown_class_of_a_modality_that_is_read_is_faulty(tmp_path: Path, modality: str) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5", "1.2.3.6"
    dataset.Modality = modality
    dataset.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    (found,) = read_headers(tmp_path, "a.dcm")
    assert isinstance(found, Faulty)
    assert found.message == f"A DICOM file says {modality} but has no known SOP class. Copy it again, or remove it."


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    "values",
    [
        {"Modality": "ct"},
        {"Modality": "Ct "},
        {"PhotometricInterpretation": "monochrome2"},
        {"RescaleType": "hu"},
        {"ImageType": ["original", "primary", "axial"]},
    ],
)
def test_read_headers_code_in_small_letters_is_that_in_capitals(
    tmp_path: Path, one: Callable[..., str], values: dict[str, Any]
) -> None:
    (header,) = read_headers(tmp_path, one(setter(**values)))
    assert isinstance(header, Header)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("image_type", "processed"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], False),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], False),
        (["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"], True),
        (["DERIVED", "SECONDARY", "REFORMATTED", "MIN IP"], True),
        (["DERIVED", "PRIMARY", "VOLUME", "MAX_IP"], True),
        (["derived", "secondary", "minip"], True),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_IODINE"], True),
        (["DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"], True),
        (["DERIVED", "SECONDARY", "AXIAL", "MIPPED_SHIMIPS"], False),
    ],
)
def test_read_headers_tells_projections_and_maps_from_slices(
    tmp_path: Path, one: Callable[..., str], image_type: list[str], processed: bool
) -> None:
    (header,) = read_headers(tmp_path, one(setter(ImageType=image_type)))
    assert isinstance(header, Header)
    assert header.processed is processed
