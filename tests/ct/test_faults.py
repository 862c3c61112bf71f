"""Faults of a folder of studies: a damaged file that is used is an error; one that is not needed is passed over."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError, OutputError
from pytest_medgan.records import DataSettings

SERIES = "PAT-002/study/series"


Small = Callable[..., DataSettings]


def edit(path: Path, **values: Any) -> None:
    dataset = dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path)


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def same_place(folder: Path) -> None:
    edit(folder / "003.dcm", ImagePositionPatient=dcmread(folder / "002.dcm").ImagePositionPatient)


def other_matrix(folder: Path) -> None:
    edit(folder / "003.dcm", Rows=32, Columns=32, PixelData=bytes(32 * 32 * 2))


def rgb(folder: Path) -> None:
    edit(
        folder / "003.dcm",
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=bytes(64 * 64 * 3),
    )


def structures(folder: Path) -> Path:
    return folder.parent / "structures" / "1-1.dcm"


def other_series(folder: Path) -> None:
    dataset = dcmread(structures(folder))
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    dataset.save_as(structures(folder))


def other_patients(folder: Path) -> None:
    edit(structures(folder), PatientID="PAT-003")


def outside(folder: Path) -> None:
    dataset = dcmread(structures(folder))
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [float(value) + 500 for value in contour.ContourData]
    dataset.save_as(structures(folder))


def nameless(folder: Path) -> None:
    edit(structures(folder), StructureSetROISequence=None)


FAULTS = [  # what is used and damaged: one line with the file and the remedy
    pytest.param(lambda f: cut(f / "003.dcm", 0.6), "003.dcm", "end early", id="truncated in the pixels"),
    pytest.param(lambda f: cut(f / "003.dcm", 0.05), "003.dcm", "Copy", id="truncated in the header"),
    pytest.param(lambda f: cut(f / "003.dcm", 0.0), "003.dcm", "is empty", id="zero bytes"),
    pytest.param(lambda f: (f / "003.dcm").write_bytes(b"x" * 999), "003.dcm", "is not a DICOM", id="not DICOM"),
    pytest.param(lambda f: (f / "003.dcm").unlink(), "002.dcm", "1 missing", id="missing middle slice"),
    pytest.param(same_place, "003.dcm", "at the position of another", id="two slices at one position"),
    pytest.param(
        lambda f: edit(f / "003.dcm", PixelSpacing=[2, 2]), "003.dcm", "PixelSpacing of .* differs", id="mixed spacing"
    ),
    pytest.param(other_matrix, "003.dcm", "matrix of .* differs", id="mixed matrix"),
    pytest.param(lambda f: edit(f / "003.dcm", RescaleSlope=None), "003.dcm", "no RescaleSlope", id="no rescale slope"),
    pytest.param(
        lambda f: edit(f / "003.dcm", RescaleIntercept=None), "003.dcm", "no RescaleIntercept", id="no intercept"
    ),
    pytest.param(
        lambda f: edit(f / "003.dcm", RescaleIntercept=0),
        "003.dcm",
        "differs so much from its neighbours",
        id="intercept",
    ),
    pytest.param(
        lambda f: [edit(p, RescaleSlope=10, RescaleIntercept=1e9) for p in sorted(f.iterdir())],
        "000.dcm",
        r"give 1e\+09 to 1e\+09 HU",
        id="rescale of no scanner",
    ),
    pytest.param(rgb, "003.dcm", "colour", id="RGB"),
    pytest.param(
        lambda f: edit(f / "003.dcm", Modality="MR", SOPClassUID=MRImageStorage),
        "003.dcm",
        "in a CT series but is modality MR",
        id="wrong modality in a series",
    ),
    pytest.param(lambda f: edit(f / "005.dcm", PatientID="PAT-001"), "005.dcm", "PatientID of", id="patient"),
    pytest.param(
        lambda f: edit(f / "005.dcm", SyntheticData="YES"), "005.dcm", "not a real image", id="generated image"
    ),
]


@pytest.mark.parametrize(("fault", "file", "message"), FAULTS)
def test_load_real_damaged_file_that_is_used_is_an_error_with_file_and_action(
    *,
    cohort: Path,
    small: Small,
    tmp_path: Path,
    fault: Callable[[Path], None],
    file: str,
    message: str,
) -> None:
    fault(cohort / SERIES)
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(cohort), cache_dir=tmp_path / "cache")
    text = str(caught.value)
    assert caught.value.file is not None
    assert caught.value.file.startswith("PAT-002/study/")
    assert caught.value.file.endswith(file)
    assert "\n" not in text
    assert re.search(r"\. (Copy|Add|Remove|Restore|Leave|Correct|Move) ", text)
    assert not any(secret in text for secret in ("PAT-00", "Doe", str(tmp_path), ".dcm"))
    assert list((tmp_path / "cache" / "prepared").glob("*.npz")) == []


def second_gtv(folder: Path) -> None:
    dataset = dcmread(structures(folder))
    name, drawn = deepcopy(dataset.StructureSetROISequence[0]), deepcopy(dataset.ROIContourSequence[0])
    name.ROINumber, name.ROIName, drawn.ReferencedROINumber = 2, "GTV-2", 2
    dataset.StructureSetROISequence.append(name)
    dataset.ROIContourSequence.append(drawn)
    dataset.save_as(structures(folder))


def tiny_first(folder: Path) -> None:
    second_gtv(folder)
    dataset = dcmread(structures(folder))
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        middle = np.array(contour.ContourData, float).reshape(-1, 3).mean(axis=0)
        contour.ContourData = (middle + np.array([[0.1, 0.1, 0], [0.1, 0.3, 0], [0.3, 0.3, 0]])).ravel().tolist()
    dataset.save_as(structures(folder))


PASSED_OVER = [  # what is damaged and not needed: the rest is read, the fact is counted and named
    pytest.param(lambda f: cut(f / "005.dcm", 0.05), "1 damaged DICOM file", "005.dcm", id="truncated last slice"),
    pytest.param(lambda f: (f / "x.dcm").touch(), "1 empty file", "x.dcm", id="empty file"),
    pytest.param(
        lambda f: (f / "x.dcm").write_text("notes"),
        "1 file among DICOM files that is not DICOM",
        "x.dcm",
        id="text named like a slice",
    ),
    pytest.param(
        lambda f: edit(f / "005.dcm", Modality="MR", SOPClassUID=MRImageStorage),
        "1 other content inside a CT series",
        "005.dcm",
        id="other modality at the end",
    ),
    pytest.param(tiny_first, "1 GTV that does not fit its series", "1-1.dcm", id="GTV below a pixel"),
]


@pytest.mark.parametrize(("fault", "warning", "file"), PASSED_OVER)
def test_prepare_damaged_file_that_is_not_needed_is_passed_over_and_counted(
    *,
    cohort: Path,
    small: Small,
    tmp_path: Path,
    fault: Callable[[Path], None],
    warning: str,
    file: str,
) -> None:
    fault(cohort / SERIES)
    prepared = prepare(small(cohort), cache_dir=tmp_path / "cache")
    assert prepared.settings.crop == "tumour"
    assert prepared.counts["slices used"] in (23, 24)
    assert prepared.warnings == (f"passed over: {warning}",)
    assert [name for names in prepared.named.values() for name in names if name.endswith(file)] != []
    assert file.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*.npz"))
    with pytest.raises(DataError) as caught:
        prepare(small(cohort, strict=True), cache_dir=tmp_path / "cache")
    assert (caught.value.file or "").endswith(file)


UNDRAWN = [  # a structure set that cannot be used costs its patient the contour, and so all patients the crop
    pytest.param(other_series, "1 structure set of a series that is not here", id="RTSTRUCT of another series"),
    pytest.param(other_patients, "1 structure set of another patient than its images", id="of another patient"),
    pytest.param(outside, "1 GTV that does not fit its series", id="GTV outside the volume"),
    pytest.param(lambda f: cut(structures(f), 0.5), "1 damaged DICOM file", id="truncated RTSTRUCT"),
    pytest.param(nameless, "1 damaged RTSTRUCT or SEG", id="RTSTRUCT without names"),
]


@pytest.mark.parametrize(("fault", "warning"), UNDRAWN)
def test_prepare_unusable_structure_set_is_passed_over_and_the_crop_is_warned_of(
    cohort: Path, small: Small, tmp_path: Path, fault: Callable[[Path], None], warning: str
) -> None:
    fault(cohort / SERIES)
    prepared = prepare(small(cohort), cache_dir=tmp_path / "cache")
    assert prepared.settings.crop == "image"
    assert prepared.warnings[0] == f"passed over: {warning}"
    assert any("1 of 4 patients have no GTV contour" in warning for warning in prepared.warnings)
    with pytest.raises(DataError, match="1 of 4 patients have no GTV contour, which crop=tumour needs"):
        prepare(small(cohort, crop="tumour"), cache_dir=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        prepare(small(cohort, strict=True), cache_dir=tmp_path / "cache")
    assert (caught.value.file or "").endswith("structures/1-1.dcm")
    if "DICOM" not in warning:  # where the crop needs no contour, nobody looks into the structure set
        for _ in range(2):
            assert prepare(small(cohort, crop="image"), cache_dir=tmp_path / "cache").warnings == ()


def test_load_real_error_is_the_same_with_workers(
    cohort: Path, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 4):
        cut(cohort / f"PAT-00{number}/study/series/003.dcm", 0.6)
    monkeypatch.setattr("pytest_medgan.ct.load.worker_count", lambda files: 2)
    with pytest.raises(DataError, match="end early") as caught:
        load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert caught.value.file == "PAT-001/study/series/003.dcm"


def test_load_real_series_of_other_kinds_are_skipped_and_counted(cohort: Path, small: Small, tmp_path: Path) -> None:
    for number, (values, _) in enumerate(
        [
            ({"Modality": "MR", "SOPClassUID": MRImageStorage}, "modality MR"),
            ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
            ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ]
    ):
        other = cohort / "PAT-001" / "study" / f"other-{number}.dcm"
        shutil.copy(cohort / "PAT-001/study/series/000.dcm", other)
        edit(other, SeriesInstanceUID=f"1.2.{number}", SOPInstanceUID=f"1.3.{number}", **values)
    (cohort / "notes.txt").write_text("read me")
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    skipped = {name: count for name, count in real.counts.items() if name.startswith("skipped")}
    assert skipped == {
        "skipped: file of another kind": 1,
        "skipped: localizer": 1,
        "skipped: modality MR": 1,
        "skipped: secondary capture": 1,
    }
    assert real.counts["slices used"] == 24


def test_load_real_patients_missing_from_table_or_images_are_warned_of(
    cohort: Path, small: Small, tmp_path: Path
) -> None:
    (cohort / "clinical.csv").write_text(
        "PatientID,Histology,deadstatus.event\nPAT-001,nos,1\nPAT-777,nos,1\nPAT-778,nos,0\n"
    )
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == (
        "3 of 4 patients are not in the clinical table: label unknown",
        "2 patients of the clinical table have no images",
    )


def test_load_real_patient_without_a_contour_changes_the_crop_with_a_warning(
    cohort: Path, small: Small, tmp_path: Path
) -> None:
    shutil.rmtree(cohort / "PAT-003/study/structures")
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.settings.crop == "image"
    assert real.warnings == (
        "1 of 4 patients have no GTV contour: all are cropped on the image; roi=NAME picks a region by its name",
    )
    with pytest.raises(DataError, match="1 of 4 patients have no GTV contour, which crop=tumour needs"):
        load_real(small(cohort, crop="tumour"), cache_dir=tmp_path / "cache")


def test_load_real_second_series_is_warned_of(cohort: Path, small: Small, tmp_path: Path) -> None:
    """Such as the last slice under a damaged SeriesInstanceUID."""
    edit(cohort / SERIES / "005.dcm", SeriesInstanceUID="1.2.3")
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == (
        "1 patients have several CT series: the one with a contour, else the one with the most slices is used, "
        "1 slices are left out",
    )
    assert real.counts["skipped: slice of another series of its patient"] == 1


def test_load_real_displaced_slice_is_warned_of(cohort: Path, small: Small, tmp_path: Path) -> None:
    place = dcmread(cohort / SERIES / "002.dcm").ImagePositionPatient
    edit(cohort / SERIES / "002.dcm", ImagePositionPatient=[place[0], place[1], place[2] + 0.2])
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == ("1 series are uneven: a slice lies 0.200 mm from its expected position",)


def test_load_real_fewer_slices_than_asked_for_are_warned_of(cohort: Path, small: Small, tmp_path: Path) -> None:
    renamed = cohort.rename(cohort.with_name("phantom-study"))  # not the phantoms of this project
    real = load_real(small(renamed, slices=64), cache_dir=tmp_path / "cache")
    assert real.warnings == ("4 of 4 patients have fewer than 64 slices: all of them are used",)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_load_real_on_a_full_disk_leaves_no_partial_file(
    cohort: Path, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def savez(stream: Any, **arrays: Any) -> None:
        stream.write(b"half of it")
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(OutputError, match="cannot be written"):
            load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.suffix in (".npz", ".part")] == []
    assert len(load_real(small(cohort), cache_dir=tmp_path / "cache").training) == 12  # and the next run recovers


def no_dicom(root: Path) -> None:
    (root / "a.txt").write_text("x")


def pictures_and_volumes(root: Path) -> None:
    (root / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "b.nii").write_bytes(b"\x5c\x01\0\0")


def only_structures(root: Path, study_class: Any) -> None:
    study_class(root, slices=1).draw({"GTV-1": {0: (1, 1, 5, 5)}})


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda root: None, "holds no DICOM file and no other image"),
        (no_dicom, "holds no DICOM file and no other image"),
        (pictures_and_volumes, "pictures and volumes"),
    ],
)
def test_load_real_folder_without_images_is_refused(
    tmp_path: Path, small: Small, fill: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "data").mkdir()
    fill(tmp_path / "data")
    with pytest.raises(DataError, match=message):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_load_real_folder_with_only_structures_is_refused(tmp_path: Path, study_class: Any, small: Small) -> None:
    only_structures(tmp_path / "data", study_class)
    with pytest.raises(DataError, match="holds no CT slice"):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_load_real_absent_source_is_refused(tmp_path: Path, small: Small) -> None:
    with pytest.raises(DataError, match="is not a folder or file"):
        load_real(small(tmp_path / "absent"), cache_dir=tmp_path / "cache")
