"""medgan prepare on small copies of public collections, made from their documentation: the table it prints.

The layouts and quirks are those that TCIA, the Imaging Data Commons and the data sets' own pages describe; no file of
theirs is used. Each collection has few patients with few slices of 64x64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, RLELossless, generate_uid

from pytest_medgan.cli import main
from tests.ct.conftest import Study
from tests.ct.test_volumes import body, write_metaimage, write_nifti


def lidc(root: Path) -> None:
    """LIDC-IDRI: a frame of reference per slice, chest radiographs next to the scans, XML annotations, no contours."""
    for number in range(1, 4):
        patient = f"LIDC-IDRI-{number:04d}"

        def own_frame(dataset: Dataset, index: int, patient: str = patient) -> None:
            dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[patient, str(index)])
            dataset.PatientName = ""

        study = Study(root, patient, change=own_frame, names="1-{:03d}.dcm").write()
        film = dcmread(study.files[0])
        film.SOPClassUID, film.Modality = DigitalXRayImageStorageForPresentation, "DX"
        film.SeriesInstanceUID, film.SOPInstanceUID = f"1.3.6.{number}", f"1.3.6.{number}.1"
        film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
        (root / patient / "film").mkdir()
        film.save_as(root / patient / "film" / "1-1.dcm")
        (study.files[0].parent / "069.xml").write_text("<LidcReadMessage/>")


def nsclc_radiomics(root: Path) -> None:
    """NSCLC-Radiomics: an RTSTRUCT for each patient, a clinical table that has one patient more."""
    for number in range(1, 4):
        study = Study(root, f"LUNG1-{number:03d}", names="1-{:03d}.dcm").write()
        study.draw({"Lung-Left": {2: (5, 5, 40, 20)}, "GTV-1": dict.fromkeys((2, 3), (20, 25, 30, 41))})
    rows = [f"LUNG1-{n:03d},70,2,0,0,II,adenocarcinoma,male,300,{n % 2}\n" for n in range(1, 5)]
    (root / "NSCLC Radiomics Lung1.clinical-version3-Oct-2019.csv").write_text(
        "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,"
        "Survival.time,deadstatus.event\n" + "".join(rows)
    )


def rider(root: Path) -> None:
    """RIDER Lung CT: the patient scanned twice within minutes; slices thicker than their distance."""
    for number in range(1, 4):
        for scan in ("test", "retest"):

            def set_scan(dataset: Dataset, index: int, scan: str = scan, number: int = number) -> None:
                dataset.SliceThickness = "5"
                dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["rider", scan, str(number)])
                dataset.SOPInstanceUID = generate_uid(entropy_srcs=["rider", scan, str(number), str(index)])

            study = Study(root / scan, f"RIDER-{number}", slices=7 if scan == "test" else 6, change=set_scan)
            study.write()


def ricord(root: Path) -> None:
    """MIDRC-RICORD-1A: compressed slices far apart, annotations in JSON."""
    for number in range(1, 4):
        study = Study(root, f"MIDRC-RICORD-1A-{number}", step=12.5).write()
        for path in study.files:
            dataset = dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
    (root / "MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json").write_text("{}")


def nlst(root: Path) -> None:
    """NLST: several kernels per study, scouts of two slices, no frame of reference, numbers as PatientIDs."""
    for number in range(1, 4):
        for kernel, slices in (("soft", 6), ("sharp", 6), ("scout", 2)):

            def set_kernel(dataset: Dataset, index: int, kernel: str = kernel, number: int = number) -> None:
                del dataset.FrameOfReferenceUID
                dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["nlst", kernel, str(number)])
                dataset.SOPInstanceUID = generate_uid(entropy_srcs=["nlst", kernel, str(number), str(index)])
                if kernel == "scout":
                    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

            Study(root / kernel, f"{100000 + number}", slices=slices, change=set_kernel).write()


def luna16(root: Path) -> None:
    """LUNA16: subsets of MetaImage scans named by their series, candidates and annotations as tables."""
    for number in range(4):
        folder = root / f"subset{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000000000000000000000000{number}"
        write_metaimage(folder / f"{name}.mhd", body(number))
    (root / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")


def covid_ct(root: Path) -> None:
    """COVID-CT: pictures from papers, PNG and JPEG, grey in colour channels, a folder per class."""
    random = np.random.default_rng(0)
    for folder, suffix in (("CT_COVID", "png"), ("CT_NonCOVID", "jpg")):
        (root / folder).mkdir(parents=True)
        for paper in range(4):
            for figure in range(12):
                levels = random.integers(0, 256, (40 + figure, 44), np.uint8)
                picture = Image.fromarray(levels).convert("RGBA" if suffix == "png" else "RGB")
                name = f"2020.02.1{paper}.2002{paper}-p{figure}" if suffix == "png" else f"{12 * paper + figure}"
                picture.save(root / folder / f"{name}.{suffix}")
    (root / "Meta-CT.csv").write_text("image name,Patient ID\n")


def decathlon(root: Path) -> None:
    """Task06_Lung of the Medical Segmentation Decathlon."""
    for folder, numbers in (("imagesTr", range(4)), ("labelsTr", range(4)), ("imagesTs", range(4, 6))):
        (root / folder).mkdir(parents=True)
        for number in numbers:
            values = body(number) if folder != "labelsTr" else (body(number) > 60).astype(float)
            write_nifti(root / folder / f"lung_{number:03d}.nii.gz", values)
            (root / folder / f"._lung_{number:03d}.nii.gz").write_bytes(b"\0\5\x16\7")
    (root / "dataset.json").write_text(json.dumps({"name": "Lung"}))


def totalsegmentator(root: Path) -> None:
    """TotalSegmentator: a folder per subject with ct.nii.gz and a folder of segmentations."""
    for number in range(3):
        (root / f"s{number:04d}" / "segmentations").mkdir(parents=True)
        write_nifti(root / f"s{number:04d}" / "ct.nii.gz", body(number))
        for organ in ("heart", "lung_upper_lobe_left"):
            write_nifti(root / f"s{number:04d}" / "segmentations" / f"{organ}.nii.gz", (body(number) > 9).astype(float))
    (root / "meta.csv").write_text("image_id;age;gender\n")


COLLECTIONS: list[tuple[Callable[[Path], Any], str, list[str]]] = [
    (
        lidc,
        "",
        [
            "read 24 files",
            "18 slices found",
            "used 3 patients",
            "18 slices used",
            "skipped 3 file of another kind: LIDC-IDRI-0001/study/series/069.xml, "
            "LIDC-IDRI-0002/study/series/069.xml, LIDC-IDRI-0003/study/series/069.xml",
            "3 modality DX: LIDC-IDRI-0001/film/1-1.dcm, LIDC-IDRI-0002/film/1-1.dcm, LIDC-IDRI-0003/film/1-1.dcm",
            "warning 3 series have several frames of reference: their positions are taken as one frame",
            "training 6, reference 6, held out 6 images; crop image, split patient",
        ],
    ),
    (
        nsclc_radiomics,
        "",
        [
            "read 22 files",
            "18 slices found",
            "used 3 patients",
            "18 slices used",
            "3 structure sets used",
            "warning 1 patients of the clinical table have no images",
            "training 6, reference 6, held out 6 images; crop tumour, split patient",
        ],
    ),
    (
        rider,
        "",
        [
            "read 39 files",
            "39 slices found",
            "used 3 patients",
            "21 slices used",
            "3 overlapping series",
            "skipped 18 slice of another series of its patient: retest/RIDER-1/study/series/000.dcm, "
            "retest/RIDER-1/study/series/001.dcm, retest/RIDER-1/study/series/002.dcm and 15 more",
            "warning 3 patients have several CT series: the one with a contour, else the one with the most slices is "
            "used, 18 slices are left out",
            "training 7, reference 7, held out 7 images; crop image, split patient",
        ],
    ),
    (
        ricord,
        "",
        [
            "read 19 files",
            "18 slices found",
            "used 3 patients",
            "18 slices used",
            "skipped 1 file of another kind: MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json",
            "training 6, reference 6, held out 6 images; crop image, split patient",
        ],
    ),
    (
        nlst,
        "",
        [
            "read 42 files",
            "36 slices found",
            "used 3 patients",
            "18 slices used",
            "skipped 6 localizer: scout/100001/study/series/000.dcm, scout/100001/study/series/001.dcm, "
            "scout/100002/study/series/000.dcm and 3 more",
            "18 slice of another series of its patient: ",
            "warning 3 patients have several CT series: the one with a contour, else the one with the most slices is "
            "used, 18 slices are left out",
            "training 6, reference 6, held out 6 images; crop image, split patient",
        ],
    ),
    (
        luna16,
        ",patient=file",
        [
            "read 9 files",
            "4 volumes",
            "used 4 patients",
            "20 slices used",
            "named patients are identified by: the files' names",
            "training 10, reference 5, held out 5 images; crop image, split patient",
        ],
    ),
    (
        covid_ct,
        ",patient=file",
        [
            "read 97 files",
            "96 pictures",
            "used 52 patients",
            "96 slices used",
            "named patients are identified by: the file's name up to its last number",
            "warning 48 pictures were compressed with loss",
            "training 43, reference 26, held out 27 images; crop image, split patient",
        ],
    ),
    (
        covid_ct,
        ",split=slice",
        [
            "read 97 files",
            "96 pictures",
            "used 2 patients",
            "96 slices used",
            "named patients are identified by: the topmost folder of each file",
            "warning 48 pictures were compressed with loss",
            "warning split=slice: slices of one patient are in both sets, so the Real row looks too good; "
            "split=patient avoids this",
            "training 96, reference 48, held out 48 images; crop image, split slice",
        ],
    ),
    (
        decathlon,
        "",
        [
            "read 11 files",
            "6 volumes",
            "used 6 patients",
            "30 slices used",
            "skipped 1 file of another kind: dataset.json",
            "4 label map: labelsTr/lung_000.nii.gz, labelsTr/lung_001.nii.gz, labelsTr/lung_002.nii.gz and 1",
            "named patients are identified by: the files' names",
            "training 15, reference 10, held out 5 images; crop image, split patient",
        ],
    ),
    (
        totalsegmentator,
        "",
        [
            "read 10 files",
            "3 volumes",
            "used 3 patients",
            "15 slices used",
            "skipped 6 label map: s0000/segmentations/heart.nii.gz, s0000/segmentations/lung_upper_lobe_left.nii.gz, "
            "s0001/segmentations/heart.nii.gz and 3 more",
            "named patients are identified by: the topmost folder of each file",
            "training 5, reference 5, held out 5 images; crop image, split patient",
        ],
    ),
]


@pytest.mark.parametrize(
    ("build", "options", "table"), COLLECTIONS, ids=[build.__name__ + options for build, options, _ in COLLECTIONS]
)
def test_prepare_public_collection_ends_with_its_table(
    *,
    build: Callable[[Path], Any],
    options: str,
    table: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "collection"
    build(root)
    source = f"{root},crop_size=32,size=16,slices=all{options}"
    words = ["prepare", source, "--out", str(tmp_path / "out.npz"), "--cache-dir", str(tmp_path / "cache")]
    assert main(words) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1].startswith("digest ")
    assert len(lines) == len(table) + 1, lines
    for line, expected in zip(lines, table, strict=False):
        assert line.startswith(expected.strip()), (line, expected)


def test_prepare_covid_ct_by_class_warns_that_groups_look_like_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    covid_ct(tmp_path / "collection")
    words = [str(tmp_path / "collection"), "--crop-size", "32", "--size", "16"]
    out = ["--out", str(tmp_path / "out.npz"), "--cache-dir", str(tmp_path / "cache")]
    assert main(["prepare", *words, *out]) == 2
    assert "split=patient needs at least 3 patients and the source has 2" in capsys.readouterr().err
