"""Phantom studies as DICOM: one CT series and one RTSTRUCT a patient, laid out as TCIA lays them out.

Every byte follows from the seed: UIDs are hashes, dates are fixed, the implementation names itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

from pytest_medgan.phantom.canvas import SIZE, patient_axis
from pytest_medgan.phantom.paint import Anatomy, paint_slice
from pytest_medgan.records import Float64

_DATE, _TIME = "20220101", "120000"
_INTERCEPT = -1024
_APEX = 105.0  # height in the standard frame of the middle of the chest, mm
_CHEST = (-30.0, 216.0)  # heights worth imaging: the domes of the diaphragm to below the shoulders


def uid(*parts: object) -> UID:
    """A UID under 2.25 (ITU-T X.667) from a hash of `parts`."""
    digest = hashlib.sha256("/".join(str(part) for part in ("pytest-medgan phantom", *parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def patient_id(number: int) -> str:
    """PHANTOM-001 for patient 0."""
    return f"PHANTOM-{number + 1:03d}"


def heights(anatomy: Anatomy, slices: int) -> tuple[float, tuple[float, ...]]:
    """Slice distance (mm) and each slice's height in mm above the lung bases, rising.

    A short series is 5 mm thick and lies round the tumour, a long one (80 slices or more) 3 mm as in NSCLC-Radiomics.
    """
    step = 3.0 if slices >= 80 else 5.0
    scale = anatomy.person.height
    low, high = _CHEST[0] * scale + 0.5 * step * slices, _CHEST[1] * scale - 0.5 * step * slices
    middle = min(max(anatomy.tumour.centre[2] * scale, low), high) if low < high else _APEX * scale
    first = float(int(middle - 0.5 * step * (slices - 1)))
    return step, tuple(first + step * index for index in range(slices))


def write_study(root: Path, anatomy: Anatomy, slices: int) -> int:
    """Writes one patient's CT series and RTSTRUCT under `root`; the number of files written."""
    name = patient_id(anatomy.number)
    key = (anatomy.seed, anatomy.number, slices)
    study, series, frame = uid(*key, "study"), uid(*key, "series"), uid(*key, "frame")
    folder = root / name / study / series
    folder.mkdir(parents=True, exist_ok=True)
    step, levels = heights(anatomy, slices)
    shared = _shared(anatomy, name, study, frame)
    images: list[tuple[UID, float, float]] = []
    for index, level in enumerate(levels):
        number = slices - index  # InstanceNumber falls as z rises
        instance, z = uid(*key, "image", number), level - 400.0
        height = level / anatomy.person.height
        pixels = paint_slice(anatomy, height, step, index)
        dataset = _image(shared, pixels, (anatomy.person.spacing, step), number, z)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = series, instance
        _save(dataset, CTImageStorage, folder / f"1-{number:03d}.dcm")
        images.append((instance, height, z))
    structures = root / name / study / uid(*key, "structures")
    structures.mkdir(parents=True, exist_ok=True)
    dataset = _structures(shared, anatomy, series, frame, images)
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid(*key, "structures"), uid(*key, "structure set")
    _save(dataset, RTStructureSetStorage, structures / "1-1.dcm")
    return slices + 1


def _save(dataset: Dataset, kind: UID, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "PYTEST_MEDGAN"
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)


def _shared(anatomy: Anatomy, name: str, study: UID, frame: UID) -> Dataset:
    """What image and structure set have in common."""
    shared = Dataset()
    shared.SpecificCharacterSet = "ISO_IR 100"
    shared.StudyDate, shared.StudyTime = _DATE, _TIME
    shared.AccessionNumber = ""
    shared.ReferringPhysicianName = ""
    shared.Manufacturer = "pytest-medgan"
    shared.PatientName = shared.PatientID = name
    shared.PatientBirthDate = ""
    shared.PatientSex = "F" if anatomy.person.female else "M"
    shared.StudyInstanceUID, shared.StudyID = study, ""
    shared.FrameOfReferenceUID, shared.PositionReferenceIndicator = frame, ""
    return shared


def _image(
    shared: Dataset, pixels: npt.NDArray[np.int16], sizes: tuple[float, float], number: int, z: float
) -> Dataset:
    """One axial image; `sizes` are the mm of a pixel and of the slice."""
    dataset = Dataset()
    dataset.update(shared)
    spacing, step = sizes
    corner = float(patient_axis(spacing)[0])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality = "CT"
    dataset.ManufacturerModelName = "Procedural thorax phantom"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "1", "1", str(number)
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.KVP, dataset.ConvolutionKernel = "120", "PHANTOM"
    dataset.SliceThickness = _decimal(step)
    dataset.ImagePositionPatient = [_decimal(corner), _decimal(corner), _decimal(z)]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceLocation = _decimal(z)
    dataset.PixelSpacing = [_decimal(spacing), _decimal(spacing)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIZE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(_INTERCEPT), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1200"]
    dataset.PixelData = (pixels.astype(np.int32) - _INTERCEPT).astype("<u2").tobytes()
    return dataset


def _structures(
    shared: Dataset, anatomy: Anatomy, series: UID, frame: UID, images: list[tuple[UID, float, float]]
) -> Dataset:
    """GTV-1, one closed contour on each image that meets the tumour."""
    dataset = Dataset()
    dataset.update(shared)
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "RTSTRUCT", "2", "1"
    dataset.ManufacturerModelName = "Procedural thorax phantom"
    dataset.StructureSetLabel = dataset.StructureSetName = "PHANTOM"
    dataset.StructureSetDate, dataset.StructureSetTime = _DATE, _TIME
    referenced = _item(SeriesInstanceUID=series, ContourImageSequence=Sequence([_reference(i) for i, _, _ in images]))
    study = _item(
        ReferencedSOPClassUID=UID("1.2.840.10008.3.1.2.3.1"),
        ReferencedSOPInstanceUID=shared.StudyInstanceUID,
        RTReferencedSeriesSequence=Sequence([referenced]),
    )
    dataset.ReferencedFrameOfReferenceSequence = Sequence(
        [_item(FrameOfReferenceUID=frame, RTReferencedStudySequence=Sequence([study]))]
    )
    dataset.StructureSetROISequence = Sequence(
        [_item(ROINumber="1", ReferencedFrameOfReferenceUID=frame, ROIName="GTV-1", ROIGenerationAlgorithm="AUTOMATIC")]
    )
    contours = []
    for instance, height, z in images:
        outline = contour(anatomy, height)
        if outline is not None:
            points = [_decimal(value) for x, y in outline for value in (float(x), float(y), z)]
            contours.append(
                _item(
                    ContourImageSequence=Sequence([_reference(instance)]),
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=str(len(outline)),
                    ContourData=points,
                )
            )
    dataset.ROIContourSequence = Sequence(
        [_item(ROIDisplayColor=["255", "0", "0"], ContourSequence=Sequence(contours), ReferencedROINumber="1")]
    )
    dataset.RTROIObservationsSequence = Sequence(
        [_item(ObservationNumber="1", ReferencedROINumber="1", RTROIInterpretedType="GTV", ROIInterpreter="")]
    )
    return dataset


def contour(anatomy: Anatomy, height: float) -> Float64 | None:
    """The tumour's outline in DICOM patient coordinates, [rays,2] (x, y) mm, or None."""
    outline = anatomy.tumour.outline(height)
    if outline is None:
        return None
    x, y = anatomy.body.to_patient(outline[:, 0], outline[:, 1])
    return np.stack([x, y], axis=1)


def _reference(instance: UID) -> Dataset:
    return _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=instance)


def _item(**elements: object) -> Dataset:
    """One sequence item, its elements named by keyword."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, without trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.4f}"
