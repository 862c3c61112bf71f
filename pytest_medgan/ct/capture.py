"""Generated images as DICOM: secondary captures that say they hold synthetic data, of no patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.digests import digest_array
from pytest_medgan.ground.files import new_folder
from pytest_medgan.records import UInt8


def write_captures(
    folder: Path, pixels: UInt8, groups: Sequence[str], window: tuple[float, float] | None = None
) -> None:
    """Write generated images, one file each, so that a viewer can show them and nobody takes them for a patient's.

    The files are Secondary Capture Image Storage with Synthetic Data (0008,001C) YES and Conversion Type SYN; patient
    and dates are empty. Equal images give equal files.

    Args:
        folder: Where to write; it must be new or empty.
        pixels: uint8 [N,1,H,W].
        groups: Each image's latent seed, [N].
        window: The HU of grey 0 and 255, written as slope and intercept; None for grey levels alone.

    Raises:
        SettingsError: The folder holds something, or the images have several channels.
        OutputError: The folder cannot be written.

    References:
        DICOM PS3.3 A.8.1 (Secondary Capture), C.12.1.1.1.2 (Synthetic Data)
    """
    if pixels.shape[1] != 1:
        raise SettingsError(
            f"--dicom writes grey images, and the generator draws {pixels.shape[1]} channels. Write a folder of "
            "pictures by --out."
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise SettingsError("The folder for DICOM files is not empty. Give a new one.")
    study = digest_array(pixels)
    with new_folder(folder) as fresh:
        for index, (image, group) in enumerate(zip(pixels[:, 0], groups, strict=True)):
            dataset = _capture(image, window)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(study), _uid(study, group)
            dataset.SeriesDescription = f"generated from seed {group}"[:64]
            dataset.InstanceNumber = str(index + 1)
            _save(dataset, _uid(study, group, index), fresh / f"{index:06d}.dcm")


def _capture(image: UInt8, window: tuple[float, float] | None) -> Dataset:
    """Return one image's data set without its identifiers."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.ConversionType = SecondaryCaptureImageStorage, "OT", "SYN"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SyntheticData = "YES"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, keyword, "")
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Manufacturer, dataset.SeriesNumber = "pytest-medgan", "1"
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if window is not None:
        low, high = window
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{(high - low) / 255:.12g}", f"{low:.12g}"
        dataset.RescaleType = "HU"
    content = image.tobytes()
    dataset.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
    return dataset


def _save(dataset: Dataset, instance: UID, path: Path) -> None:
    """Write one file."""
    dataset.SOPInstanceUID = instance
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def _uid(*parts: object) -> UID:
    """Return a UID under 2.25 (ITU-T X.667) from a hash of what it names."""
    digest = hashlib.sha256("/".join(str(part) for part in ("pytest-medgan generated", *parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")
