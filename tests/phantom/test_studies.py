"""Phantom studies: genuine DICOM, equal bytes everywhere, anatomy where it belongs."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from scipy.ndimage import binary_fill_holes, binary_opening

from pytest_medgan.errors import DataError, OutputError, SettingsError
from pytest_medgan.ground.pool import WorkerLostError
from pytest_medgan.phantom import studies as module
from pytest_medgan.phantom.dicom import contours, heights
from pytest_medgan.phantom.paint import draw_anatomy, draw_disease, paint_slice
from pytest_medgan.phantom.studies import TABLE, version, write_studies
from pytest_medgan.records import Progress

# of the bytes of every file of one patient, three slices, seed 0; a change of this line is a change of every phantom
GOLDEN = "8e5cd763db40cd969fd52b9e5348775b5856133d03f1963b34bd3a6ae7b35e65"


def tree_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, eight slices."""
    root = tmp_path_factory.mktemp("phantom")
    write_studies(root, patients=2, slices=8, seed=3)
    return root


def series(root: Path, patient: str) -> tuple[list[FileDataset], FileDataset]:
    """CT images in order of z, and the structure set."""
    datasets = [pydicom.dcmread(path) for path in sorted((root / patient).rglob("*.dcm"))]
    images = sorted((d for d in datasets if d.Modality == "CT"), key=lambda d: float(d.ImagePositionPatient[2]))
    (structures,) = (d for d in datasets if d.Modality == "RTSTRUCT")
    return images, structures


def hounsfield(image: FileDataset) -> np.ndarray:
    return image.pixel_array.astype(float) * float(image.RescaleSlope) + float(image.RescaleIntercept)


def inside(points: np.ndarray, spacing: float) -> np.ndarray:
    """Pixels within a closed contour in mm, by the even-odd rule; the image is centred on 0."""
    axis = (np.arange(512) - 255.5) * spacing
    x, y = axis[None, :], axis[:, None]
    mask = np.zeros((512, 512), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            mask ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return mask


def test_write_studies_bytes_equal_the_golden_digests(tmp_path: Path) -> None:
    write_studies(tmp_path, patients=1, slices=3)
    assert tree_digest(tmp_path) == GOLDEN


# every organ that a study may show: abdomen, effusion, cavity, hilum, shoulders, neck
PLACES = [(0, -25.0), (0, 40.0), (2, 70.0), (3, 125.0), (22, 131.0), (1, 205.0), (1, 245.0)]

CHILD = """
import hashlib, sys
from pathlib import Path
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
left = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
if left:
    sys.exit(f"still enabled: {left}")
from pytest_medgan.phantom.studies import write_studies
from pytest_medgan.phantom.paint import draw_anatomy, paint_slice
write_studies(Path(sys.argv[1]), patients=1, slices=3)
for number, height in eval(sys.argv[2]):
    print(hashlib.sha256(paint_slice(draw_anatomy(0, number), height, 5.0, 0).tobytes()).hexdigest())
"""


def test_write_studies_without_vector_units_gives_the_same_bytes(tmp_path: Path) -> None:
    """A child whose numpy may use nothing beyond its baseline instructions paints the same."""
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())}
    command = [sys.executable, "-c", CHILD, str(tmp_path), repr(PLACES)]
    child = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert tree_digest(tmp_path) == GOLDEN
    here = [paint_slice(draw_anatomy(0, number), height, 5.0, 0) for number, height in PLACES]
    assert child.stdout.split() == [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in here]


def dispatched() -> list[str]:
    """The CPU features beyond the baseline that numpy was built to use and this machine has."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    found = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    if not found:
        pytest.skip("this machine has no vector unit beyond numpy's baseline to switch off")
    return found


def test_write_studies_patient_is_the_same_in_any_number_of_patients_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_medgan.phantom.studies.available_cores", lambda: 2)
    monkeypatch.setattr("pytest_medgan.phantom.studies._WORTH_A_PROCESS", 2)
    write_studies(tmp_path / "processes", patients=2, slices=2)
    monkeypatch.setattr("pytest_medgan.phantom.studies.available_cores", lambda: 0)
    write_studies(tmp_path / "here", patients=2, slices=2)
    assert tree_digest(tmp_path / "processes") == tree_digest(tmp_path / "here")
    write_studies(tmp_path / "one", patients=1, slices=2)
    name = "PHANTOM-001"
    assert tree_digest(tmp_path / "one" / name) == tree_digest(tmp_path / "here" / name)


def test_write_studies_patients_and_seeds_differ_in_anatomy(studies: Path, tmp_path: Path) -> None:
    write_studies(tmp_path, patients=1, slices=8, seed=4)
    first, second = (hounsfield(series(studies, f"PHANTOM-00{n}")[0][4]) for n in (1, 2))
    other = hounsfield(series(tmp_path, "PHANTOM-001")[0][4])
    for a, b in ((first, second), (first, other)):
        assert np.mean(np.abs(a - b) > 300) > 0.03, "the same anatomy but for noise"


def test_write_studies_slices_differ_along_z(studies: Path) -> None:
    images, _ = series(studies, "PHANTOM-001")
    assert np.mean(np.abs(hounsfield(images[0]) - hounsfield(images[-1])) > 300) > 0.01


def test_write_studies_files_read_back_with_consistent_geometry(studies: Path) -> None:
    """Warnings are errors here, so this also shows that pydicom has none."""
    for patient in ("PHANTOM-001", "PHANTOM-002"):
        images, structures = series(studies, patient)
        assert len(images) == 8
        assert {str(d.SOPClassUID) for d in images} == {"1.2.840.10008.5.1.4.1.1.2"}
        assert {str(d.file_meta.TransferSyntaxUID) for d in images} == {"1.2.840.10008.1.2.1"}
        assert {d.pixel_array.shape for d in images} == {(512, 512)}
        assert all(float(v) == -255.5 * float(d.PixelSpacing[0]) for d in images for v in d.ImagePositionPatient[:2])
        assert {d.pixel_array.dtype for d in images} == {np.dtype("uint16")}
        z = np.asarray([float(d.ImagePositionPatient[2]) for d in images])
        assert np.all(np.diff(z) == float(images[0].SliceThickness))
        assert [int(d.InstanceNumber) for d in images] == list(range(8, 0, -1))
        assert len({str(d.SOPInstanceUID) for d in images}) == 8
        for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PixelSpacing"):
            assert len({str(d[name].value) for d in images}) == 1
        assert structures.StudyInstanceUID == images[0].StudyInstanceUID
        assert all(uid.is_valid for d in images for uid in (d.SOPInstanceUID, d.SeriesInstanceUID, d.StudyInstanceUID))


def test_write_studies_layout_is_that_of_tcia(studies: Path) -> None:
    images, structures = series(studies, "PHANTOM-002")
    for dataset, name in ((images[-1], "1-001.dcm"), (images[0], "1-008.dcm"), (structures, "1-1.dcm")):
        path = Path(dataset.filename).relative_to(studies)
        assert path.parts == ("PHANTOM-002", dataset.StudyInstanceUID, dataset.SeriesInstanceUID, name)


def test_paint_slice_tissues_have_their_hounsfield_units(studies: Path) -> None:
    """Share of the body's pixels in each tissue's range, and air outside."""
    for patient in ("PHANTOM-001", "PHANTOM-002"):
        volume = np.stack([hounsfield(image) for image in series(studies, patient)[0]])
        assert volume.min() >= -1024
        assert -1010 < np.median(volume[:, :20, :20]) < -990
        body = np.mean(volume > -500)
        for low, high, least, most in (
            (-960, -700, 0.15, 2.0),  # lung
            (-150, -60, 0.05, 0.8),  # fat
            (20, 90, 0.2, 0.9),  # muscle
            (250, 1500, 0.01, 0.2),  # bone
        ):
            share = np.mean((volume > low) & (volume < high)) / body
            assert least < share < most, (patient, low, high, share)


def test_paint_slice_noise_is_correlated_and_strongest_in_the_middle() -> None:
    anatomy = draw_anatomy(0, 1)
    a, b = (paint_slice(anatomy, 100.0, 5.0, index).astype(float) for index in (1, 2))
    noise = (a - b) / np.sqrt(2.0)
    middle, rim = noise[246:266, 236:276], noise[:40]
    assert 5.0 < middle.std() < 40.0
    assert middle.std() > 1.3 * rim[rim > -24].std()
    flat = noise[200:312, 200:312]
    assert np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1] > 0.3
    assert abs(np.corrcoef(flat[:, :-8].ravel(), flat[:, 8:].ravel())[0, 1]) < 0.1


def test_write_studies_structure_set_refers_to_its_series(studies: Path) -> None:
    images, structures = series(studies, "PHANTOM-001")
    instances = {str(d.SOPInstanceUID): d for d in images}
    (roi,) = structures.StructureSetROISequence
    assert roi.ROIName == "GTV-1"
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    assert frame.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    referenced = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert {str(r.ReferencedSOPInstanceUID) for r in referenced.ContourImageSequence} == set(instances)
    contours = structures.ROIContourSequence[0].ContourSequence
    assert len(contours) >= 3
    for item in contours:
        image = instances[str(item.ContourImageSequence[0].ReferencedSOPInstanceUID)]
        assert {float(v) for v in item.ContourData[2::3]} == {float(image.ImagePositionPatient[2])}
        assert len(item.ContourData) == 3 * int(item.NumberOfContourPoints)


@pytest.mark.parametrize(("seed", "number"), [(0, 1), (0, 2), (0, 5), (3, 1), (3, 2), (3, 7)])
def test_contours_lie_on_the_painted_tumour(seed: int, number: int) -> None:
    """The tumour is what differs between a slice painted with and without it; compared where there was lung."""
    anatomy = draw_anatomy(seed, number)
    height, spacing = anatomy.tumour.centre[2], anatomy.person.spacing
    painted, without = (paint_slice(anatomy, height, 5.0, 0, tumour=shown).astype(float) for shown in (True, False))
    points, beyond = contours(anatomy, (height, height + 500.0))
    assert points is not None
    lung = without < -500
    # the filling closes cavities, the opening takes away the spicules, which belong to no contour
    drawn = binary_opening(binary_fill_holes(painted - without > 400), np.ones((5, 5))) & lung
    mask = inside(points, spacing) & lung
    overlap = 2.0 * np.sum(mask & drawn) / (np.sum(mask) + np.sum(drawn))
    gap = np.argwhere(mask).mean(axis=0) - np.argwhere(drawn).mean(axis=0)
    assert overlap > 0.9
    assert np.abs(gap).max() < 1.0, "pixels"
    assert 0 < np.percentile(painted[mask], 75) < 110
    assert beyond is None


def test_write_studies_structure_set_holds_the_contours(studies: Path) -> None:
    anatomy = draw_anatomy(3, 0)
    images, structures = series(studies, "PHANTOM-001")
    _, levels = heights(anatomy, 8)
    height_of = {
        str(image.SOPInstanceUID): level / anatomy.person.height for image, level in zip(images, levels, strict=True)
    }
    for item in structures.ROIContourSequence[0].ContourSequence:
        (expected,) = contours(anatomy, [height_of[str(item.ContourImageSequence[0].ReferencedSOPInstanceUID)]])
        points = np.asarray([float(v) for v in item.ContourData]).reshape(-1, 3)[:, :2]
        np.testing.assert_allclose(points, expected, atol=1e-6)


def test_write_studies_clinical_table_can_be_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_medgan.phantom.studies.write_patient", lambda *_, **__: None)
    monkeypatch.setattr("pytest_medgan.phantom.studies.available_cores", lambda: 0)
    write_studies(tmp_path, patients=40, slices=1, seed=1)
    with (tmp_path / TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = "PatientID age clinical.T.Stage Clinical.N.Stage Clinical.M.Stage Overall.Stage Histology gender"
    assert list(rows[0]) == [*columns.split(), "Survival.time", "deadstatus.event"]
    assert [row["PatientID"] for row in rows] == [f"PHANTOM-{n:03d}" for n in range(1, 41)]
    assert {row["Histology"] for row in rows} == {"adenocarcinoma", "squamous cell carcinoma"}
    assert {row["gender"] for row in rows} == {"male", "female"}
    dead = np.asarray([int(row["deadstatus.event"]) for row in rows])
    radius = np.asarray([draw_disease(1, number)[1].radius for number in range(40)])
    assert 0.25 < dead.mean() < 0.75
    assert radius[dead == 1].mean() > radius[dead == 0].mean() + 5.0
    assert all(45 <= float(row["age"]) <= 86 and int(row["Survival.time"]) > 0 for row in rows)


@pytest.mark.parametrize(("patients", "slices", "seed"), [(0, 3, 0), (1, 0, 0), (1, 3, -1)])
def test_write_studies_counts_below_one_are_settings_errors(
    tmp_path: Path, patients: int, slices: int, seed: int
) -> None:
    with pytest.raises(SettingsError, match=r"phantom \w+ is -?\d; give"):
        write_studies(tmp_path, patients=patients, slices=slices, seed=seed)


def test_write_studies_into_a_file_is_an_output_error_without_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_studies(tmp_path / "file", patients=1, slices=1)
    assert str(tmp_path) not in str(caught.value)


def test_write_studies_on_a_full_disk_of_a_worker_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORTH_A_PROCESS", 1)
    write_studies(tmp_path, patients=1, slices=1)
    study = next(path for path in (tmp_path / "PHANTOM-001").iterdir())
    for folder in study.iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        folder.write_text("in the way of the series")
    with pytest.raises(OutputError, match="cannot be written"):
        write_studies(tmp_path, patients=2, slices=1)


def test_write_studies_with_a_lost_worker_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        raise WorkerLostError(0, 1)

    monkeypatch.setattr(module, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(module, "map_in_processes", lose)
    with pytest.raises(DataError, match="ended early"):
        write_studies(tmp_path, patients=2, slices=1)


def test_version_changes_with_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "phantom"
    shutil.copytree(Path(module.__file__).parent, sources)
    monkeypatch.setattr(module, "__file__", str(sources / "studies.py"))
    before = version()
    with (sources / "scan.py").open("a") as stream:
        stream.write("# changed\n")
    assert version() != before


def test_write_studies_progress_counts_patients(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report: Progress = lambda what, done, total: seen.append((done, total))  # noqa: E731
    write_studies(tmp_path, patients=2, slices=1, progress=report)
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_heights_of_long_series_are_thin_and_of_short_ones_lie_round_the_tumour() -> None:
    spread: Callable[[int], tuple[float, tuple[float, ...]]] = lambda slices: heights(anatomy, slices)  # noqa: E731
    for number in range(6):
        anatomy = draw_anatomy(5, number)
        step, levels = spread(4)
        assert step == 5.0
        assert levels[0] < anatomy.tumour.centre[2] * anatomy.person.height < levels[-1]
        step, levels = spread(100)
        assert step == 3.0
        assert len(levels) == 100
        assert np.all(np.diff(levels) == 3.0)
