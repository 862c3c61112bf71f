"""Phantom studies as DICOM: one CT series and one RTSTRUCT per patient, in the layout of TCIA.

Every byte follows from the seed: UIDs are hashes, dates are fixed, the implementation names itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
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
    """Return a UID under 2.25 (ITU-T X.667) from a hash of `parts`."""
    digest = hashlib.sha256("/".join(str(part) for part in ("pytest-medgan phantom", *parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def patient_id(number: int) -> str:
    """Return the PatientID: PHANTOM-001 for patient 0."""
    return f"PHANTOM-{number + 1:03d}"


def heights(anatomy: Anatomy, slices: int) -> tuple[float, tuple[float, ...]]:
    """Return the slice distance (mm) and each slice's height in mm above the lung bases, rising.

    A short series is 5 mm thick and lies round the tumour, a long one (80 slices or more) 3 mm as in NSCLC-Radiomics.
    """
    step = 3.0 if slices >= 80 else 5.0
    scale = anatomy.person.height
    low, high = _CHEST[0] * scale + 0.5 * step * slices, _CHEST[1] * scale - 0.5 * step * slices
    middle = min(max(anatomy.tumour.centre[2] * scale, low), high) if low < high else _APEX * scale
    first = float(int(middle - 0.5 * step * (slices - 1)))
    return step, tuple(first + step * index for index in range(slices))


def write_study(root: Path, anatomy: Anatomy, slices: int) -> int:
    """Write one patient's CT series and RTSTRUCT under `root`; return the number of files written."""
    name = patient_id(anatomy.number)
    key = (anatomy.seed, anatomy.number, slices)
    study, series, frame = uid(*key, "study"), uid(*key, "series"), uid(*key, "frame")
    folder = root / name / study / series
    folder.mkdir(parents=True, exist_ok=True)
    step, levels = heights(anatomy, slices)
    shared = _shared(anatomy, name, study, frame)
    template = _Template(_image(shared, series, anatomy.person.spacing, step))
    images: list[tuple[UID, float, float]] = []
    for index, level in enumerate(levels):
        number = slices - index  # InstanceNumber falls as z rises
        instance, z = uid(*key, "image", number), level - 400.0
        height = level / anatomy.person.height
        pixels = paint_slice(anatomy, height, step, index)
        (folder / f"1-{number:03d}.dcm").write_bytes(template.fill(pixels, instance, number, z))
        images.append((instance, height, z))
    structures = root / name / study / uid(*key, "structures")
    structures.mkdir(parents=True, exist_ok=True)
    dataset = _structures(shared, anatomy, series, frame, images)
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid(*key, "structures"), uid(*key, "structure set")
    dataset.file_meta = _meta(RTStructureSetStorage, dataset.SOPInstanceUID)
    dataset.save_as(structures / "1-1.dcm", enforce_file_format=True)
    return slices + 1


def _meta(kind: UID, instance: UID) -> FileMetaDataset:
    """Return the file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "PYTEST_MEDGAN"
    return meta


class _Template:
    """The bytes of a series' files, in which only few elements differ; pydicom would encode all of them each time."""

    def __init__(self, image: Dataset) -> None:
        self._dataset = {element.tag: _encode(element) for element in image}
        self._corner = image.ImagePositionPatient[:2]

    def fill(self, pixels: npt.NDArray[np.int16], instance: UID, number: int, z: float) -> bytes:
        """Return the whole file of one image, HU int16 [H,W]."""
        own = Dataset()
        own.SOPInstanceUID, own.InstanceNumber = instance, str(number)
        own.ImagePositionPatient, own.SliceLocation = [*self._corner, _decimal(z)], _decimal(z)
        own.add_new("PixelData", "OW", (pixels.astype(np.int32) - _INTERCEPT).astype("<u2").tobytes())
        elements = self._dataset | {element.tag: _encode(element) for element in own}
        meta = DicomBytesIO()
        write_file_meta_info(meta, _meta(CTImageStorage, instance))
        return b"\0" * 128 + b"DICM" + meta.getvalue() + b"".join(elements[tag] for tag in sorted(elements))


def _encode(element: DataElement) -> bytes:
    """Return an element in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    return buffer.getvalue()


def _shared(anatomy: Anatomy, name: str, study: UID, frame: UID) -> Dataset:
    """Return the elements that images and structure set share."""
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


def _image(shared: Dataset, series: UID, spacing: float, step: float) -> Dataset:
    """Return the elements that all images of a series share; `spacing` is mm per pixel, `step` mm per slice."""
    dataset = Dataset()
    dataset.update(shared)
    corner = _decimal(float(patient_axis(spacing)[0]))
    dataset.SOPClassUID, dataset.SeriesInstanceUID = CTImageStorage, series
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality = "CT"
    dataset.ManufacturerModelName = "Procedural thorax phantom"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.SeriesNumber, dataset.AcquisitionNumber = "1", "1"
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.KVP, dataset.ConvolutionKernel = "120", "PHANTOM"
    dataset.SliceThickness = _decimal(step)
    dataset.ImagePositionPatient = [corner, corner, "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing = [_decimal(spacing), _decimal(spacing)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIZE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(_INTERCEPT), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1200"]
    return dataset


def _structures(
    shared: Dataset, anatomy: Anatomy, series: UID, frame: UID, images: list[tuple[UID, float, float]]
) -> Dataset:
    """Return a structure set with GTV-1, one closed contour on each image that meets the tumour."""
    dataset = Dataset()
    dataset.update(shared)
    dataset.SOPClassUID = RTStructureSetStorage
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
    drawn = []
    outlines = contours(anatomy, [height for _, height, _ in images])
    for (instance, _, z), outline in zip(images, outlines, strict=True):
        if outline is not None:
            points = [_decimal(value) for x, y in outline for value in (float(x), float(y), z)]
            drawn.append(
                _item(
                    ContourImageSequence=Sequence([_reference(instance)]),
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=str(len(outline)),
                    ContourData=points,
                )
            )
    dataset.ROIContourSequence = Sequence(
        [_item(ROIDisplayColor=["255", "0", "0"], ContourSequence=Sequence(drawn), ReferencedROINumber="1")]
    )
    dataset.RTROIObservationsSequence = Sequence(
        [_item(ObservationNumber="1", ReferencedROINumber="1", RTROIInterpretedType="GTV", ROIInterpreter="")]
    )
    return dataset


def contours(anatomy: Anatomy, levels: Iterable[float]) -> list[Float64 | None]:
    """Return the tumour's outline at each height (mm, standard frame).

    Each is in DICOM patient coordinates, [rays,2] (x, y) mm, or None where there is no tumour.
    """
    found: list[Float64 | None] = []
    for outline in anatomy.tumour.outlines(tuple(levels)):
        if outline is None:
            found.append(None)
        else:
            found.append(np.stack(anatomy.body.to_patient(outline[:, 0], outline[:, 1]), axis=1))
    return found


def _reference(instance: UID) -> Dataset:
    """Return an item that refers to one CT image."""
    return _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=instance)


def _item(**elements: object) -> Dataset:
    """Return one sequence item, its elements named by keyword."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters, without trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.4f}"
