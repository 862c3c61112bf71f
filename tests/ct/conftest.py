"""Small genuine DICOM studies to read, break and read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from pytest_medgan.records import DataSettings
from tests.shared_data import shared_data as find_shared_data


def made_uid(*parts: object) -> str:
    return generate_uid(entropy_srcs=["test", *map(str, parts)])


def picture(patient: str, index: int, rows: int) -> np.ndarray:
    """Stored values, intercept -1024: air outside a disc of soft tissue whose grain names patient and slice."""
    row, column = np.mgrid[:rows, :rows]
    disc = (row - rows / 2) ** 2 + (column - rows / 2) ** 2 < (0.4 * rows) ** 2
    grain = (row * 7 + column * 13 + index * 31 + sum(map(ord, patient)) * 3) % 97
    return np.where(disc, 1000 + grain, 24).astype(np.uint16)


@dataclass
class Study:
    """One patient's CT series under `root`; `change` alters each data set before it is written."""

    root: Path
    patient: str = "PAT-001"
    slices: int = 6
    step: float = 3.0
    rows: int = 64
    change: Callable[[Dataset, int], None] | None = None
    names: str = "{:03d}.dcm"
    files: list[Path] = field(default_factory=list)

    def image(self, index: int) -> Dataset:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SOPInstanceUID = made_uid(self.patient, "image", index)
        dataset.StudyDate = "20010203"
        dataset.Modality = "CT"
        dataset.PatientName = "Doe^Jane"
        dataset.PatientID = self.patient
        dataset.SliceThickness = "3"
        dataset.StudyInstanceUID = made_uid(self.patient, "study")
        dataset.SeriesInstanceUID = made_uid(self.patient, "series")
        dataset.FrameOfReferenceUID = made_uid(self.patient, "frame")
        dataset.InstanceNumber = str(self.slices - index)
        dataset.ImagePositionPatient = [-31.5, -31.5, -100 + self.step * index]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows = dataset.Columns = self.rows
        dataset.PixelSpacing = [1, 1]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 0
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.PixelData = picture(self.patient, index, self.rows).astype("<u2").tobytes()
        return dataset

    def write(self) -> Study:
        folder = self.root / self.patient / "study" / "series"
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(self.slices):
            dataset = self.image(index)
            if self.change is not None:
                self.change(dataset, index)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            path = folder / self.names.format(index)
            dataset.save_as(path, enforce_file_format=True)
            self.files.append(path)
        return self

    def draw(
        self, regions: dict[str, dict[int, tuple[float, float, float, float]]], change: Callable[[Dataset], None] = id
    ) -> Path:
        """An RTSTRUCT: region name -> slice index -> (top, left, bottom, right) in pixels, a rectangle's corners."""
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTStructureSetStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = made_uid(self.patient, "structures")
        dataset.Modality, dataset.PatientID, dataset.PatientName = "RTSTRUCT", self.patient, "Doe^Jane"
        dataset.StudyInstanceUID = made_uid(self.patient, "study")
        dataset.SeriesInstanceUID = made_uid(self.patient, "structure series")
        series, study, frame = Dataset(), Dataset(), Dataset()
        series.SeriesInstanceUID = made_uid(self.patient, "series")
        study.RTReferencedSeriesSequence = Sequence([series])
        frame.FrameOfReferenceUID = made_uid(self.patient, "frame")
        frame.RTReferencedStudySequence = Sequence([study])
        dataset.ReferencedFrameOfReferenceSequence = Sequence([frame])
        dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(), Sequence()
        for number, (name, boxes) in enumerate(regions.items(), start=1):
            roi, drawn = Dataset(), Dataset()
            roi.ROINumber, roi.ROIName = number, name
            drawn.ReferencedROINumber = number
            drawn.ContourSequence = Sequence()
            for index, (top, left, bottom, right) in boxes.items():
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
                corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
                z = -100 + self.step * index
                contour.ContourData = [v for row, column in corners for v in (column - 31.5, row - 31.5, z)]
                drawn.ContourSequence.append(contour)
            dataset.StructureSetROISequence.append(roi)
            dataset.ROIContourSequence.append(drawn)
        change(dataset)
        folder = self.root / self.patient / "study" / "structures"
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(folder / "1-1.dcm", enforce_file_format=True)
        return folder / "1-1.dcm"


@pytest.fixture
def study_class() -> type[Study]:
    return Study


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Four patients of six slices, each with a GTV-1, and a clinical table."""
    root = tmp_path / "cohort"
    for number in range(1, 5):
        study = Study(root, f"PAT-{number:03d}").write()
        study.draw({"GTV-1": dict.fromkeys((2, 3), (20, 25, 30, 41))})
    (root / "clinical.csv").write_text(
        "PatientID,Histology,deadstatus.event\n"
        "PAT-001,adenocarcinoma,1\nPAT-002,Squamous cell carcinoma,0\nPAT-003,adenocarcinoma,1\nPAT-004,nos,NA\n"
    )
    return root


@pytest.fixture
def small() -> Callable[..., DataSettings]:
    """Settings for the small studies."""

    def settings(source: Path | str, **changes: object) -> DataSettings:
        return DataSettings(**{"source": str(source), "crop_size": 32, "size": 16, "slices": None} | changes)

    return settings


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real studies beside the project, or the test is skipped."""
    return find_shared_data()
