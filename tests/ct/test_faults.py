"""Every fault of a folder of studies: one line, the file, the remedy; none passes in silence."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from pytest_medgan.ct import load_real
from pytest_medgan.ct import store as store_module
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

SERIES = "PAT-002/study/series"


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


FAULTS = [
    pytest.param(lambda f: cut(f / "003.dcm", 0.6), "003.dcm", "truncated", id="truncated in the pixels"),
    pytest.param(lambda f: cut(f / "003.dcm", 0.05), "003.dcm", "copy it again", id="truncated in the header"),
    pytest.param(lambda f: cut(f / "005.dcm", 0.05), "005.dcm", "copy it again", id="truncated last slice"),
    pytest.param(lambda f: cut(f / "003.dcm", 0.0), "003.dcm", "is empty", id="zero bytes"),
    pytest.param(lambda f: (f / "003.dcm").write_bytes(b"x" * 999), "003.dcm", "is no DICOM", id="no DICOM"),
    pytest.param(lambda f: (f / "003.dcm").unlink(), "002.dcm", "1 missing", id="missing middle slice"),
    pytest.param(same_place, "003.dcm", "at the position of another", id="two slices at one position"),
    pytest.param(
        lambda f: edit(f / "003.dcm", PixelSpacing=[2, 2]), "003.dcm", "PixelSpacing differs", id="mixed spacing"
    ),
    pytest.param(other_matrix, "003.dcm", "matrix differs", id="mixed matrix"),
    pytest.param(lambda f: edit(f / "003.dcm", RescaleSlope=None), "003.dcm", "no RescaleSlope", id="no rescale slope"),
    pytest.param(
        lambda f: edit(f / "003.dcm", RescaleIntercept=None), "003.dcm", "no RescaleIntercept", id="no intercept"
    ),
    pytest.param(
        lambda f: edit(f / "003.dcm", RescaleIntercept=0), "003.dcm", "rescale, padding", id="another intercept"
    ),
    pytest.param(rgb, "003.dcm", "colour", id="RGB"),
    pytest.param(
        lambda f: edit(f / "005.dcm", Modality="MR", SOPClassUID=MRImageStorage),
        "005.dcm",
        "in a CT series but is modality MR",
        id="wrong modality in a series",
    ),
    pytest.param(lambda f: edit(f / "005.dcm", PatientID="PAT-001"), "005.dcm", "PatientID differs", id="patient"),
    pytest.param(other_series, "1-1.dcm", "drawn on another series", id="RTSTRUCT of another series"),
    pytest.param(other_patients, "1-1.dcm", "another patient", id="RTSTRUCT of another patient"),
    pytest.param(outside, "1-1.dcm", "outside the image volume", id="GTV outside the volume"),
    pytest.param(lambda f: cut(structures(f), 0.5), "1-1.dcm", "copy it again", id="truncated RTSTRUCT"),
]


@pytest.mark.parametrize(("fault", "file", "message"), FAULTS)
def test_one_line_with_the_file_and_the_remedy(
    *,
    cohort: Path,
    small: Callable[..., DataSettings],
    tmp_path: Path,
    fault: Callable[[Path], None],
    file: str,
    message: str,
) -> None:
    fault(cohort / SERIES)
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(cohort), cache_dir=tmp_path / "cache")
    told = str(caught.value)
    assert caught.value.file is not None
    assert caught.value.file.startswith("PAT-002/study/")
    assert caught.value.file.endswith(file)
    assert "\n" not in told
    assert ";" in told or "so its HU are unknown" in told  # the way out stands behind it
    assert not any(secret in told for secret in ("PAT-00", "Doe", str(tmp_path), ".dcm"))
    assert list((tmp_path / "cache" / "prepared").glob("*.npz")) == []


def test_the_error_is_the_same_with_workers(
    cohort: Path, small: Callable[..., DataSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 4):
        cut(cohort / f"PAT-00{number}/study/series/003.dcm", 0.6)
    monkeypatch.setattr("pytest_medgan.ct.load.worker_count", lambda files: 2)
    with pytest.raises(DataError, match="truncated") as caught:
        load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert caught.value.file == "PAT-001/study/series/003.dcm"


def test_a_wrong_modality_alone_is_skipped_and_counted(
    cohort: Path, small: Callable[..., DataSettings], tmp_path: Path
) -> None:
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
        "skipped: RTSTRUCT": 4,
        "skipped: localizer": 1,
        "skipped: modality MR": 1,
        "skipped: secondary capture": 1,
    }
    assert real.counts["slices used"] == 24


def test_a_patient_in_the_table_without_images_and_the_reverse(
    cohort: Path, small: Callable[..., DataSettings], tmp_path: Path
) -> None:
    (cohort / "clinical.csv").write_text(
        "PatientID,Histology,deadstatus.event\nPAT-001,nos,1\nPAT-777,nos,1\nPAT-778,nos,0\n"
    )
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == (
        "3 of 4 patients are not in the clinical table: label unknown",
        "2 patients of the clinical table have no images",
    )


def test_patients_without_a_contour(cohort: Path, small: Callable[..., DataSettings], tmp_path: Path) -> None:
    shutil.rmtree(cohort / "PAT-003/study/structures")
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.settings.crop == "image"
    assert real.warnings == ("1 of 4 patients have no GTV contour: all are cropped on the image",)
    with pytest.raises(DataError, match="1 of 4 patients have no GTV contour, which crop=tumour needs"):
        load_real(small(cohort, crop="tumour"), cache_dir=tmp_path / "cache")


def test_a_second_series_is_told(cohort: Path, small: Callable[..., DataSettings], tmp_path: Path) -> None:
    """Such as the last slice under a damaged SeriesInstanceUID."""
    edit(cohort / SERIES / "005.dcm", SeriesInstanceUID="1.2.3")
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == ("a patient has 2 CT series: the one with a contour is taken, 1 slices are left out",)


def test_a_slice_off_its_place_is_told(cohort: Path, small: Callable[..., DataSettings], tmp_path: Path) -> None:
    place = dcmread(cohort / SERIES / "002.dcm").ImagePositionPatient
    edit(cohort / SERIES / "002.dcm", ImagePositionPatient=[place[0], place[1], place[2] + 0.2])
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert real.warnings == ("1 series are uneven: a slice lies 0.200 mm off its place",)


def test_fewer_slices_than_asked_for_are_told(cohort: Path, small: Callable[..., DataSettings], tmp_path: Path) -> None:
    real = load_real(small(cohort, slices=64), cache_dir=tmp_path / "cache")
    assert real.warnings == ("4 of 4 patients have fewer than 64 slices, all taken",)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fills_up(
    cohort: Path, small: Callable[..., DataSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def savez(stream: Any, **arrays: Any) -> None:
        stream.write(b"half of it")
        raise OSError(code, "no")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.np, "savez", savez)
        with pytest.raises(DataError, match=r"disk is full|cannot be written") as caught:
            load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert "the prepared set was not stored" in str(caught.value)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".npz"] == []
    assert len(load_real(small(cohort), cache_dir=tmp_path / "cache").training) == 12  # and the next run recovers


def test_a_full_disk_for_real(cohort: Path, small: Callable[..., DataSettings], tmp_path: Path) -> None:
    """/dev/full takes nothing: the writer of the file itself fails, not a stand-in."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    def full(path: Path) -> Path:
        link = path.with_name(".partial-link.npz")
        link.symlink_to("/dev/full")
        return link

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "_beside", full)
        with pytest.raises(DataError, match="disk is full"):
            load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "prepared").glob(".partial*")) == []


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
def test_folders_that_are_no_source(
    tmp_path: Path, small: Callable[..., DataSettings], fill: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "data").mkdir()
    fill(tmp_path / "data")
    with pytest.raises(DataError, match=message):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_a_folder_of_structures_alone(tmp_path: Path, study_class: Any, small: Callable[..., DataSettings]) -> None:
    only_structures(tmp_path / "data", study_class)
    with pytest.raises(DataError, match="holds no CT slice"):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_no_such_source(tmp_path: Path, small: Callable[..., DataSettings]) -> None:
    with pytest.raises(DataError, match="no such folder or file"):
        load_real(small(tmp_path / "absent"), cache_dir=tmp_path / "cache")
