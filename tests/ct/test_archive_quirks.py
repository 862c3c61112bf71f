"""Archives that deviate from the textbook: each row is one quirk, with the images and warnings it must give.

Rows are grouped by kind. The study is four patients of six axial slices, each with a GTV-1 on slices 2 and 3; a row
changes patient PAT-002 (or all of them), and the images must stay those of the unchanged studies unless it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.store import Prepared
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

SERIES = "PAT-002/study/series"
Small = Callable[..., DataSettings]


def slices(root: Path, patient: str = "PAT-002") -> list[Path]:
    return sorted((root / patient / "study" / "series").glob("*.dcm"))


def everyone(root: Path) -> Iterator[Path]:
    for patient in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from slices(root, patient.name)


def alter(path: Path, change: Callable[[Dataset], Any], to: Path | None = None) -> None:
    dataset = dcmread(path)
    change(dataset)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    (to or path).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(to or path)


def setting(**values: Any) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                if keyword in dataset:
                    delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return change


def second_series(root: Path, change: Callable[[Dataset, int], Any], count: int = 12) -> None:
    """Another CT series of the same scan beside the good one, with more slices than that."""
    for index in range(count):

        def other(dataset: Dataset, index: int = index) -> None:
            dataset.SeriesInstanceUID = "1.2.840.1"
            dataset.SOPInstanceUID = f"1.2.840.1.{index}"
            dataset.ImagePositionPatient = [-31.5, -31.5, -100 + 3 * index]
            change(dataset, index)

        alter(slices(root)[index % 6], other, root / "PAT-002" / "study" / "other" / f"{index:03d}.dcm")


def structures(root: Path, patient: str = "PAT-002") -> Path:
    return root / patient / "study" / "structures" / "1-1.dcm"


def roi(dataset: Dataset, at: int = 0) -> Dataset:
    drawn: Dataset = dataset.ROIContourSequence[at]
    return drawn


def add_roi(dataset: Dataset, name: str, boxes: dict[int, tuple[float, float, float, float]]) -> None:
    number = len(dataset.StructureSetROISequence) + 1
    named, drawn = Dataset(), Dataset()
    named.ROINumber, named.ROIName, drawn.ReferencedROINumber = number, name, number
    drawn.ContourSequence = Sequence()
    for index, (top, left, bottom, right) in boxes.items():
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
        contour.ContourData = [v for r, c in corners for v in (c - 31.5, r - 31.5, -100 + 3.0 * index)]
        drawn.ContourSequence.append(contour)
    dataset.StructureSetROISequence.append(named)
    dataset.ROIContourSequence.append(drawn)


BOX = dict.fromkeys((2, 3), (20, 25, 30, 41))  # the cohort's GTV-1


def replace_gtv(first: Callable[[Dataset], Any], name: str = "GTV-1") -> Callable[[Path], None]:
    """The drawn GTV becomes GTV-2, behind a GTV-1 that `first` spoils."""

    def change(root: Path) -> None:
        def spoil(dataset: Dataset) -> None:
            dataset.StructureSetROISequence[0].ROIName = name
            first(dataset)
            add_roi(dataset, "GTV-2", BOX)

        alter(structures(root), spoil)

    return change


def tiny(dataset: Dataset) -> None:
    for contour in roi(dataset).ContourSequence:
        z = contour.ContourData[2]
        contour.ContourData = [0.1, 0.1, z, 0.1, 0.3, z, 0.3, 0.3, z]


def points(dataset: Dataset) -> None:
    for contour in roi(dataset).ContourSequence:
        contour.ContourGeometricType = "POINT"


def rename_rois(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for patient in ("PAT-001", "PAT-002", "PAT-003", "PAT-004"):
            alter(
                structures(root, patient), lambda dataset: setattr(dataset.StructureSetROISequence[0], "ROIName", name)
            )

    return change


def sagittal(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    dataset.ImagePositionPatient = [-31.5 + 3 * index, -31.5, -82]
    dataset.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]


def coronal(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.ImagePositionPatient = [-31.5, -31.5 + 3 * index, -82]


def projection(dataset: Dataset, index: int) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]


def bolus(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [-31.5, -31.5, -91]


def phases(dataset: Dataset, index: int) -> None:
    """A perfusion scan: three places, four times each."""
    dataset.ImagePositionPatient = [-31.5, -31.5, -100 + 3 * (index % 3)]


def render(dataset: Dataset, index: int) -> None:
    """A coloured rendering under the class of CT."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = bytes(64 * 64 * 3)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)


def damaged_series(root: Path) -> None:
    second_series(root, lambda dataset, index: None, 5)
    for path in (root / "PAT-002" / "study" / "other").iterdir():
        path.write_bytes(path.read_bytes()[:2000])


def reformats_of_everyone(root: Path) -> None:
    """A note per patient would bury the table."""
    for number, patient in enumerate(("PAT-001", "PAT-002", "PAT-003", "PAT-004")):
        for index in range(3):

            def other(dataset: Dataset, number: int = number, index: int = index) -> None:
                dataset.SeriesInstanceUID = f"1.2.840.{number + 1}"
                dataset.SOPInstanceUID = f"1.2.840.{number + 1}.{index}"

            alter(slices(root, patient)[index], other, root / patient / "study" / "kernel" / f"{index}.dcm")


def without_suffix(root: Path) -> None:
    for path in slices(root):
        path.rename(path.with_suffix(""))
    (root / SERIES / "README").write_text("CT of the chest")


def save_as(syntax: str, **options: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in slices(root):
            read = dcmread(path)
            dataset = Dataset()
            dataset.update(read)
            if syntax == ExplicitVRBigEndian:
                dataset.PixelData = read.pixel_array.astype(">u2").tobytes()
            dataset.file_meta = read.file_meta
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.save_as(path, enforce_file_format=True, **options)

    return change


def bare(implicit: bool) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in slices(root):
            dataset = dcmread(path)
            del dataset.file_meta
            dataset.preamble = None
            dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)

    return change


def compressed(root: Path) -> None:
    for path in slices(root):
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)


def intercept_per_slice(root: Path) -> None:
    """The stored values shift with the intercept, so the HU stay."""
    for number, path in enumerate(slices(root)):

        def change(dataset: Dataset, number: int = number) -> None:
            dataset.RescaleIntercept = -1024 - 10 * number
            dataset.PixelData = (dataset.pixel_array + 10 * number).astype("<u2").tobytes()

        alter(path, change)


def slope_per_slice(root: Path) -> None:
    for number, path in enumerate(slices(root)):

        def change(dataset: Dataset, number: int = number) -> None:
            if number % 2:
                dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, -1024
                dataset.PixelData = (dataset.pixel_array * 2).astype("<u2").tobytes()

        alter(path, change)


def padding_per_slice(root: Path) -> None:
    for number, path in enumerate(slices(root)):
        if number % 2:
            alter(path, lambda dataset: dataset.add_new("PixelPaddingValue", "US", 60000))


def own_frames(root: Path) -> None:
    """LIDC-IDRI: every slice of a series has a FrameOfReferenceUID of its own."""
    for path in everyone(root):
        alter(path, setting(FrameOfReferenceUID=generate_uid(entropy_srcs=[str(path)])))


def jitter(keyword: str, size: float) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        random = np.random.default_rng(0)
        for path in slices(root):

            def shake(dataset: Dataset) -> None:
                values = np.array(getattr(dataset, keyword), float)
                setattr(dataset, keyword, [f"{v:.9f}" for v in values + random.uniform(-size, size, len(values))])

            alter(path, shake)

    return change


def empty_patient(root: Path) -> None:
    for path in [*slices(root), structures(root)]:
        alter(path, setting(PatientID=""))


def unreferenced(root: Path) -> None:
    alter(structures(root), setting(ReferencedFrameOfReferenceSequence=None))


def label_map(root: Path) -> None:
    """A label map (Supplement 243) without what a reader would need: the crop on the image does not need it either."""
    dataset = dcmread(slices(root)[0])
    dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.66.7", "SEG"
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.4", "1.2.3.4.5"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(root / "PAT-002" / "study" / "labels.dcm")


def other_modalities(root: Path) -> None:
    kinds = {
        "pet": setting(Modality="PT", SOPClassUID=PositronEmissionTomographyImageStorage),
        "capture": setting(SOPClassUID=SecondaryCaptureImageStorage),
        "scout": setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "surface": setting(Modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.5"),
    }
    for number, (name, change) in enumerate(kinds.items()):

        def other(dataset: Dataset, number: int = number, change: Callable[[Dataset], None] = change) -> None:
            dataset.SeriesInstanceUID = f"1.2.840.2.{number}"
            dataset.SOPInstanceUID = f"1.2.840.2.{number}.1"
            change(dataset)

        alter(slices(root)[0], other, root / "PAT-002" / f"{name}.dcm")


def exported_again(root: Path) -> None:
    alter(slices(root)[3], setting(InstitutionName="Another"), root / "PAT-002" / "study" / "again" / "3.dcm")


def surplus_bytes(root: Path) -> None:
    for path in slices(root):
        alter(path, lambda dataset: setattr(dataset, "PixelData", dataset.PixelData + bytes(16)))


def undecodable_table(root: Path) -> None:
    (root / "export.csv").write_bytes(b"\xff\xfePatientID,x")


def doubtful_table(root: Path) -> None:
    text = (root / "clinical.csv").read_text()
    (root / "clinical.csv").write_text(text + "PAT-001,adenocarcinoma,1\n,,\nPAT-009,nos,maybe\n")


@dataclass(frozen=True)
class Quirk:
    """One row."""

    name: str
    make: Callable[[Path], Any]
    warnings: tuple[str, ...] = ()  # beginnings, in order
    counts: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    patients: int = 4


PASSED = "passed over: "
SEVERAL = "1 patients have several CT series"
OTHER = "skipped: slice of another series of its patient"
NOT_AXIAL, ONE_PLACE = "slice of a series that is not axial", "slice of a series with many images at one position"
CHANGING = "1 series change their rescale, sign or padding"

QUIRKS = [
    # 1: unused or damaged items do not condemn the rest
    Quirk("a sagittal reformat beside the scan", lambda r: second_series(r, sagittal), (f"{PASSED}12 {NOT_AXIAL}",),
          {f"skipped: {NOT_AXIAL}": 12}),
    Quirk("a coronal reformat beside the scan", lambda r: second_series(r, coronal), (f"{PASSED}12 {NOT_AXIAL}",)),
    Quirk("bolus monitoring at one position", lambda r: second_series(r, bolus), (f"{PASSED}12 {ONE_PLACE}",)),
    Quirk("a perfusion series", lambda r: second_series(r, phases), (f"{PASSED}12 {ONE_PLACE}",)),
    Quirk("a coloured rendering under the class of CT", lambda r: second_series(r, render),
          (f"{PASSED}12 slice without Hounsfield units",)),
    Quirk("a longer series of another kernel without contour", lambda r: second_series(r, lambda d, i: None),
          (SEVERAL,), {OTHER: 12}),
    Quirk("a longer series of projections", lambda r: second_series(r, projection), (SEVERAL,), {OTHER: 12},
          {"crop": "image"}),
    Quirk("a second series, cut off in every file", damaged_series, (f"{PASSED}5 damaged DICOM file",)),
    Quirk("a second series of every patient", reformats_of_everyone,
          ("4 patients have several CT series: the one with a contour, else the one with the most slices is used, "
           "12 slices are left out",)),
    Quirk("an empty file named like a slice", lambda r: (r / SERIES / "x.dcm").touch(), (f"{PASSED}1 empty file",)),
    Quirk("an empty slice in a folder of its own", lambda r: [(r / "a").mkdir(), (r / "a" / "x.dcm").touch()],
          (f"{PASSED}1 empty file",)),
    Quirk("a README without extension among such slices", without_suffix,
          (f"{PASSED}1 file among DICOM files that is not DICOM",)),
    Quirk("a PDF named like a slice", lambda r: (r / SERIES / "report.dcm").write_bytes(b"%PDF-1.4"),
          (f"{PASSED}1 file among DICOM files that is not DICOM",)),
    Quirk("GTV-1 below a pixel and a filled GTV-2", replace_gtv(tiny), (f"{PASSED}1 GTV that does not fit",)),
    Quirk("GTV-1 of points and a filled GTV-2", replace_gtv(points), (f"{PASSED}1 GTV that does not fit",)),
    Quirk("GTV-1 without ContourData",
          replace_gtv(lambda d: [delattr(c, "ContourData") for c in roi(d).ContourSequence]),
          (f"{PASSED}1 GTV that does not fit",)),
    Quirk("GTV-1 with an empty contour sequence", replace_gtv(lambda d: setattr(roi(d), "ContourSequence", [])),
          (f"{PASSED}1 GTV that does not fit",)),
    Quirk("GTV-1 without a contour sequence", replace_gtv(lambda d: delattr(roi(d), "ContourSequence")),
          (f"{PASSED}1 GTV that does not fit",)),
    Quirk("an ROI that no name belongs to",
          lambda r: alter(structures(r), lambda d: d.ROIContourSequence.append(setting_number(99)))),
    Quirk("an outline of the heart without contours",
          lambda r: alter(structures(r), lambda d: add_roi(d, "Heart", {}))),
    Quirk("a table in no encoding", undecodable_table, (f"{PASSED}1 table that cannot be read",)),
    Quirk("a clinical table with doubtful lines", doubtful_table,
          (f"{PASSED}1 outcome in a clinical table that is neither 0 nor 1", "1 patients of the clinical table")),
    Quirk("other modalities, captures and scouts", other_modalities, (),
          {"skipped: localizer": 1, "skipped: modality PT": 1, "skipped: modality SEG": 1,
           "skipped: secondary capture": 1}),
    # 2: what the standard leaves optional, or archives do differently
    Quirk("a frame of reference for each slice", own_frames, ("4 series have several frames of reference",)),
    Quirk("no frame of reference at all", lambda r: [alter(p, setting(FrameOfReferenceUID=None)) for p in slices(r)]),
    Quirk("RTSTRUCT without references", unreferenced),
    Quirk("a label map that the crop does not need", label_map, (), {"skipped: SEG": 1}, {"crop": "image"}),
    Quirk("an intercept for each slice", intercept_per_slice, (CHANGING,)),
    Quirk("a slope for every second slice", slope_per_slice, (CHANGING,)),
    Quirk("a padding value in some slices", padding_per_slice, (CHANGING,)),
    Quirk("regions called iGTV", rename_rois("iGTV")),
    Quirk("regions called Primary tumor", rename_rois("Primary tumor")),
    Quirk("regions that only roi= picks", rename_rois("Boost 2"), (), {}, {"roi": "boost-2"}),
    Quirk("no PatientID", empty_patient,
          ("1 studies have no PatientID", "1 of 4 patients are not in the clinical", "1 patients of the clinical")),
    Quirk("no InstanceNumber, no SliceThickness",
          lambda r: [alter(p, setting(InstanceNumber=None, SliceThickness=None)) for p in slices(r)]),
    Quirk("MONOCHROME1", lambda r: [alter(p, setting(PhotometricInterpretation="MONOCHROME1")) for p in slices(r)]),
    Quirk("a slice exported again with another header", exported_again, (), {"identical copies left out": 1}),
    # 3: sound encodings
    Quirk("deflated", save_as(DeflatedExplicitVRLittleEndian)),
    Quirk("big endian", save_as(ExplicitVRBigEndian, implicit_vr=False, little_endian=False)),
    Quirk("implicit", save_as(ImplicitVRLittleEndian, implicit_vr=True, little_endian=True)),
    Quirk("explicit without preamble", bare(implicit=False)),
    Quirk("implicit without preamble", bare(implicit=True)),
    Quirk("run-length encoded", compressed),
    Quirk("surplus bytes behind the pixels", surplus_bytes),
    # 4: tolerance where equality was meant
    Quirk("orientation that jitters by 1e-4", jitter("ImageOrientationPatient", 1e-4)),
    Quirk("spacing that jitters by 1e-5", jitter("PixelSpacing", 1e-5)),
    Quirk("positions that jitter by a hundredth", jitter("ImagePositionPatient", 0.01),
          ("1 series are uneven: a slice lies 0.0",)),
]  # fmt: skip


def setting_number(number: int) -> Dataset:
    drawn = Dataset()
    drawn.ReferencedROINumber = number
    return drawn


def read(root: Path, small: Small, cache: Path, **settings: Any) -> Prepared:
    return prepare(small(root, **settings), cache_dir=cache)


@pytest.mark.parametrize("quirk", QUIRKS, ids=[quirk.name for quirk in QUIRKS])
def test_prepare_archive_quirk_gives_the_expected_images_and_warnings(
    quirk: Quirk, cohort: Path, small: Small, tmp_path: Path
) -> None:
    expected = read(cohort, small, tmp_path / "one", crop=quirk.settings.get("crop", "auto"))
    quirk.make(cohort)
    found = read(cohort, small, tmp_path / "two", **quirk.settings)
    assert found.settings.crop == expected.settings.crop
    assert len(found.warnings) == len(quirk.warnings), found.warnings
    for warning, beginning in zip(found.warnings, quirk.warnings, strict=True):
        assert warning.startswith(beginning)
    assert {name: found.counts.get(name) for name in quirk.counts} == quirk.counts
    assert found.counts["patients"] == quirk.patients
    if quirk.name == "no PatientID":  # its study stands for it, which changes the order of patients
        assert sorted(image.tobytes() for image in found.pixels) == sorted(i.tobytes() for i in expected.pixels)
    else:
        assert np.array_equal(found.pixels, expected.pixels)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "two").rglob("*") if path.is_file())
    assert not [secret for secret in (b"PAT-", b"Doe", b".dcm", b"2001", b"1.2.840", b"Boost") if secret in kept]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: [alter(p, setting(RescaleSlope=10, RescaleIntercept=1e9)) for p in slices(r)], "give 1e"),
        (lambda r: [alter(p, setting(RescaleIntercept=-32768)) for p in slices(r)], "give -3"),
        (lambda r: [alter(p, setting(RescaleIntercept=2000)) for p in slices(r)], "neither air nor soft tissue"),
        (lambda r: alter(slices(r)[2], setting(SyntheticData="YES")), "synthetic data"),
    ],
)
def test_prepare_tags_that_no_scanner_writes_are_refused(
    cohort: Path, small: Small, tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    make(cohort)
    with pytest.raises(DataError, match=message) as caught:
        read(cohort, small, tmp_path / "cache")
    assert (caught.value.file or "").startswith("PAT-002/study/series/")


def test_prepare_patient_without_an_axial_series_is_left_out_with_a_warning(
    cohort: Path, small: Small, tmp_path: Path
) -> None:
    for index, path in enumerate(slices(cohort)):
        alter(path, lambda dataset, index=index: sagittal(dataset, index))
    found = read(cohort, small, tmp_path / "cache")
    assert found.warnings == (
        "passed over: 6 slice of a series that is not axial",
        "1 patients have no axial CT series and are left out",
        "1 patients of the clinical table have no images",
    )
    assert found.counts["patients"] == 3


@pytest.mark.parametrize("name", ["000-scout.dcm", "999-scout.dcm"])
def test_prepare_scout_without_its_label_leaves_the_patient_in(
    cohort: Path, small: Small, tmp_path: Path, name: str
) -> None:
    """Whichever file of the series is read first, its six axial slices are used as they are without the scout."""
    expected = read(cohort, small, tmp_path / "one")
    scout = dcmread(slices(cohort)[0])
    sagittal(scout, 0)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    scout.save_as(slices(cohort)[0].with_name(name))
    found = read(cohort, small, tmp_path / "two")
    assert found.warnings == expected.warnings
    assert found.counts["skipped: image of another orientation than its series"] == 1
    np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_prepare_patient_whose_only_series_is_damaged_is_an_error(cohort: Path, small: Small, tmp_path: Path) -> None:
    for path in slices(cohort):
        alter(path, setting(RescaleSlope=None))
    with pytest.raises(DataError, match="A CT slice has no RescaleSlope, so its HU are unknown") as caught:
        read(cohort, small, tmp_path / "cache")
    assert caught.value.file == f"{SERIES}/000.dcm"


def test_prepare_regions_with_other_names_are_listed_on_the_terminal(
    cohort: Path, small: Small, tmp_path: Path
) -> None:
    rename_rois("Boost 2")(cohort)
    found = read(cohort, small, tmp_path / "cache")
    assert found.settings.crop == "image"
    assert found.warnings[0].startswith("4 of 4 patients have no GTV contour")
    assert found.named["regions of the structure sets"] == ("Boost 2",)


def test_prepare_seg_without_references_is_matched_by_position(cohort: Path, small: Small, tmp_path: Path) -> None:
    expected = read(cohort, small, tmp_path / "one")
    structures(cohort).unlink()
    dataset = dcmread(slices(cohort)[0])
    dataset.SOPClassUID, dataset.Modality = SegmentationStorage, "SEG"
    dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.4", "1.2.3.4.5"
    del dataset.FrameOfReferenceUID
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "Neoplasm, Primary"
    dataset.SegmentSequence = [segment]
    dataset.SegmentationType, dataset.NumberOfFrames = "BINARY", 2
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    mask = np.zeros((2, 64, 64), np.uint8)
    mask[:, 20:30, 25:41] = 1
    dataset.PixelData = np.packbits(mask, bitorder="little").tobytes()
    frames = []
    for index in (2, 3):
        groups, number, plane = Dataset(), Dataset(), Dataset()
        number.ReferencedSegmentNumber = 1
        plane.ImagePositionPatient = [-31.5, -31.5, -100 + 3.0 * index]
        groups.SegmentIdentificationSequence, groups.PlanePositionSequence = [number], [plane]
        frames.append(groups)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.save_as(cohort / "PAT-002" / "seg.dcm")
    found = read(cohort, small, tmp_path / "two")
    assert found.settings.crop == "tumour"
    assert found.counts["structure sets used"] == 4
    assert np.array_equal(found.pixels, expected.pixels)
