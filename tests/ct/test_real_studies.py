"""Real studies: NSCLC-Radiomics, and slices of many scanners."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.ct import load_real
from pytest_medgan.ct.cohort import PROTOCOL_HISTOLOGIES, read_table
from pytest_medgan.ct.contours import read_structures
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.regions import choose_region
from pytest_medgan.ct.series import Series, build_series, read_volume
from pytest_medgan.ct.slices import Header, Skipped
from pytest_medgan.ct.tumour import sum_masks
from pytest_medgan.ground.listing import list_files
from pytest_medgan.records import DataSettings

# shared/data/README.md: checked by hand
EXPECTED = {
    "LUNG1-001": (134, (-681.5, -282.5), (-1024, 3034), (21, 65, 85), (74.89, 265.25, 339.78)),
    "LUNG1-002": (111, (-133.4, 196.6), (-1024, 3071), (26, 28, 53), (38.22, 272.74, 179.78)),
}


def read_folder(root: Path) -> tuple[dict[str, Series], list[Skipped]]:
    headers: dict[str, list[Header]] = defaultdict(list)
    others = []
    for file in list_files(root):
        if file.kind == "dicom":
            for item in read_headers(root, file.name):
                if isinstance(item, Header):
                    headers[item.patient].append(item)
                else:
                    others.append(item)
    return {patient: build_series(own) for patient, own in headers.items()}, others


@pytest.mark.parametrize("patient", EXPECTED)
def test_nsclc_radiomics_geometry_hounsfield_and_tumour_equal_values_checked_by_hand(
    shared_data: Path, patient: str
) -> None:
    root = shared_data / "NSCLC-Radiomics" / patient
    found, others = read_folder(root)
    series = found[patient]
    slices, ends, hounsfield, extent, centroid = EXPECTED[patient]
    assert len(series) == slices
    assert (series.positions[0], series.positions[-1]) == pytest.approx(ends, abs=1e-6)
    assert series.step == pytest.approx(3.0)
    assert not series.overlapping
    assert series.largest_offset == 0
    volume = read_volume(root, series)
    assert (volume.min(), volume.max()) == hounsfield
    choice = choose_region(read_structures(root, others[0].file, others[0].digest), series)
    tumour = sum_masks(choice.name, choice.masks)
    assert tumour.name == "GTV-1"
    assert (len(tumour.indices), tumour.indices[0], tumour.indices[-1]) == extent
    assert [float(place) for place in tumour.centroid] == pytest.approx(centroid, abs=0.01)


def test_read_table_of_nsclc_radiomics_counts_the_papers_patients(shared_data: Path) -> None:
    table = next((shared_data / "NSCLC-Radiomics").glob("*.csv"))
    rows = read_table(table, table.name, Findings(strict=True))
    assert rows is not None
    assert len(rows) == 422
    eligible = [row for row in rows.values() if row.histology in PROTOCOL_HISTOLOGIES]
    counts = [sum(row.histology == name for row in eligible) for name in PROTOCOL_HISTOLOGIES]
    assert counts == [51, 152]
    assert sum(row.label == 1 for row in eligible) == 184


def test_load_real_nsclc_radiomics_by_slice_is_centred_on_the_tumours(shared_data: Path, tmp_path: Path) -> None:
    settings = DataSettings(source=str(shared_data / "NSCLC-Radiomics"), split="slice", slices=None)
    real = load_real(settings, cache_dir=tmp_path)
    assert (len(real.training), len(real.reference), len(real.held_out)) == (245, 122, 123)
    assert real.settings.crop == "tumour"
    assert sorted(np.unique(real.training.groups, return_counts=True)[1]) == [111, 134]
    assert sum("split=slice" in warning for warning in real.warnings) == 1
    grey = real.training.pixels
    assert grey.shape == (245, 1, 128, 128)
    assert grey.min() == 0
    assert grey.max() == 255
    # each patient's tumour is in the middle of the images: soft tissue, neither air nor bone
    assert 150 < np.median(grey[:, 0, 60:68, 60:68]) < 230


def test_read_volume_of_many_scanners_is_in_hounsfield(shared_data: Path) -> None:
    """Air, fat, soft tissue and bone lie where they belong, whatever the scanner, sign, padding or compression."""
    pytest.importorskip("gdcm", reason="JPEG Lossless needs the codecs extra")
    root = shared_data / "mixed-scanners"
    found, others = read_folder(root)
    assert others == []
    assert sum(len(series) for series in found.values()) == 52
    for series in found.values():
        values = read_volume(root, series).ravel()
        counts, edges = np.histogram(values, bins=np.arange(-1100, 1600, 10))
        middle = edges[:-1] + 5

        def peak(low: int, high: int, counts: np.ndarray = counts, middle: np.ndarray = middle) -> float:
            inside = (middle >= low) & (middle < high)
            return float(middle[inside][counts[inside].argmax()])

        assert -1030 <= peak(-1100, -850) <= -860
        fat, between = counts[(middle > -120) & (middle < -60)].sum(), counts[(middle > -250) & (middle < -190)].sum()
        assert fat > 1.5 * between  # fat stands out of the partial volume between lung and tissue
        assert 20 <= peak(0, 200) <= 160  # contrast agent brightens the liver
        assert 0.003 < np.mean(values > 250) < 0.15  # bone


def test_build_series_of_overlapping_slices_keeps_their_distance(shared_data: Path) -> None:
    found, _ = read_folder(shared_data / "mixed-scanners" / "1.3.6.1.4.1.9328.50.1.0117")
    (series,) = found.values()
    assert len(series) == 24
    assert series.step == pytest.approx(0.8, abs=1e-3)
    assert series.slices[0].thickness == 1.25
    assert series.overlapping


def test_prepare_prone_scan_is_turned_upright(shared_data: Path, tmp_path: Path) -> None:
    """A scanner stores a prone patient turned by 180 degrees; the spine must still lie below the middle."""
    for patient in ("TCGA-34-5234", "TCGA-50-6595"):  # prone, supine
        source = shared_data / "mixed-scanners" / patient
        settings = DataSettings(source=str(source), split="slice", slices=None, crop_size=512, size=256)
        (image,) = prepare(settings, cache_dir=tmp_path).pixels[:, 0]
        bone = np.argwhere(image[:, 96:160] > 228)  # above 250 HU, in the middle third
        assert np.median(bone[:, 0]) > 128


def test_load_real_nodule_patches_by_patient(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "lidc-patches" / "patches_128.npz"
    real = load_real(DataSettings(source=str(source), slices=4, patients=40), cache_dir=tmp_path)
    sides = [set(side.groups.tolist()) for side in (real.training, real.reference, real.held_out)]
    assert [len(side) for side in sides] == [20, 10, 10]
    assert not (sides[0] & sides[1]) | (sides[0] & sides[2]) | (sides[1] & sides[2])
    with np.load(source) as stored:
        assert any(np.array_equal(real.training.pixels[0, 0], picture) for picture in stored["pixels"])
        assert not set(map(str, stored["patient"])) & set.union(*sides)
    assert real.training.window is None


def test_prepare_each_scanner_gives_no_warning(shared_data: Path, tmp_path: Path) -> None:
    """Strict reading raises no error and no warning for any of these archives."""
    pytest.importorskip("gdcm", reason="JPEG Lossless needs the codecs extra")
    for folder in sorted((shared_data / "mixed-scanners").iterdir()):
        if folder.is_dir():
            settings = DataSettings(source=str(folder), split="slice", slices=None, strict=True)
            assert prepare(settings, cache_dir=tmp_path).warnings == ()
