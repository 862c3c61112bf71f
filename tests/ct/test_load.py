"""A folder of studies to the three sets, and everything that must stop on the way."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import pytest_medgan.ct.load as load_module
from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError, LeakageError, SettingsError
from pytest_medgan.records import DataSettings, RealSets

Small = Callable[..., DataSettings]


def same(one: RealSets, other: RealSets) -> bool:
    sides = [(a, b) for a, b in zip(roles(one), roles(other), strict=True)]
    return one.digest == other.digest and all(
        np.array_equal(a.pixels, b.pixels) and np.array_equal(a.groups, b.groups) and a.recipe == b.recipe
        for a, b in sides
    )


def roles(real: RealSets) -> tuple[Any, ...]:
    return real.training, real.reference, real.held_out


def test_load_real_returns_three_roles(cohort: Path, small: Small, tmp_path: Path) -> None:
    real = load_real(small(cohort), cache_dir=tmp_path / "cache")
    assert [side.pixels.shape for side in roles(real)] == [(12, 1, 16, 16), (6, 1, 16, 16), (6, 1, 16, 16)]
    assert all(side.pixels.dtype == np.uint8 and side.window == (-1000.0, 400.0) for side in roles(real))
    assert len({side.recipe for side in roles(real)}) == 3
    assert real.settings.crop == "tumour"
    assert real.warnings == ()
    assert real.counts["files"] == 29
    assert real.counts["slices used"] == 24
    labels = {
        str(group): int(label) for side in roles(real) for group, label in zip(side.groups, side.labels, strict=True)
    }
    assert sorted(labels.values()) == [-1, 0, 1, 1]


def test_prepare_slices_lie_around_the_tumour_and_the_crop_on_it(cohort: Path, small: Small, tmp_path: Path) -> None:
    """GTV-1 lies on slices 2 and 3, rows 20 to 29 and columns 25 to 40: of two slices these are taken, cut round
    row 24.5 and column 32.5."""
    prepared = prepare(small(cohort, slices=2, size=32), cache_dir=tmp_path / "cache")
    first = dcmread(cohort / "PAT-001" / "study" / "series" / "002.dcm").pixel_array - 1024.0
    expected = np.floor((np.clip(first, -1000, 400) + 1000) * 255 / 1400 + 0.5)[9:41, 17:49]
    assert len(prepared.pixels) == 8
    assert np.array_equal(prepared.pixels[0, 0], expected)
    middle = prepare(small(cohort, slices=2, size=32, crop="image"), cache_dir=tmp_path / "cache")
    expected = np.floor((np.clip(first, -1000, 400) + 1000) * 255 / 1400 + 0.5)[16:48, 16:48]
    assert np.array_equal(middle.pixels[0, 0], expected)


def test_load_real_names_and_order_of_files_change_nothing(cohort: Path, small: Small, tmp_path: Path) -> None:
    expected = load_real(small(cohort), cache_dir=tmp_path / "one")
    moved = tmp_path / "moved"
    moved.mkdir()
    paths = sorted(path for path in cohort.rglob("*") if path.is_file())
    for number, path in enumerate(reversed(paths)):
        shutil.copy(path, moved / (f"{number:03d}" + (".csv" if path.suffix == ".csv" else "")))
    assert same(load_real(small(moved), cache_dir=tmp_path / "two"), expected)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_load_real_number_of_workers_changes_nothing(
    cohort: Path, small: Small, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_real(small(cohort), cache_dir=tmp_path / "one")
    monkeypatch.setattr(load_module, "worker_count", lambda files: workers)
    assert same(load_real(small(cohort), cache_dir=tmp_path / "two"), expected)


def test_load_real_second_call_reads_no_study(
    cohort: Path, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_real(small(cohort), cache_dir=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(load_module, "plan_source", None)  # would raise where it is called
        assert same(load_real(small(cohort), cache_dir=tmp_path / "cache"), first)
        # another split of the same images needs no study either
        load_real(small(cohort, seed=3), cache_dir=tmp_path / "cache")
    touched = cohort / "PAT-001" / "study" / "series" / "000.dcm"
    touched.write_bytes(touched.read_bytes())  # read again, found to be the same
    assert same(load_real(small(cohort), cache_dir=tmp_path / "cache"), first)
    assert len(list((tmp_path / "cache" / "prepared").glob("*.npz"))) == 1


def test_load_real_slice_with_other_pixels_and_the_same_identifiers_is_another_data_set(
    cohort: Path, small: Small, tmp_path: Path
) -> None:
    one = prepare(small(cohort), cache_dir=tmp_path / "cache")
    path = cohort / "PAT-001" / "study" / "series" / "002.dcm"
    dataset = dcmread(path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(path)
    other = prepare(small(cohort), cache_dir=tmp_path / "cache")
    assert other.digest != one.digest
    assert not np.array_equal(other.pixels, one.pixels)


def test_load_real_damaged_store_is_made_again(cohort: Path, small: Small, tmp_path: Path) -> None:
    first = load_real(small(cohort), cache_dir=tmp_path / "cache")
    (stored,) = (tmp_path / "cache" / "prepared").glob("*.npz")
    good = stored.read_bytes()
    for damage in (good[:-100], b"", bytes([*good[:2000], good[2000] ^ 255, *good[2001:]])):
        stored.write_bytes(damage)
        assert same(load_real(small(cohort), cache_dir=tmp_path / "cache"), first)
        assert stored.read_bytes() == good


@pytest.mark.parametrize(
    "changes",
    [
        {"window": (-900.0, 400.0)},
        {"size": 8},
        {"crop_size": 30},
        {"crop": "image"},
        {"slices": 3},
        {"patients": 3},
        {"histologies": ("adenocarcinoma", "squamous cell carcinoma")},
        {"seed": 1},
        {"fractions": (0.4, 0.3, 0.3)},
        {"split": "slice"},
        {"roi": "GTV-1"},
    ],
)
def test_load_real_every_setting_changes_the_digest(
    cohort: Path, small: Small, tmp_path: Path, changes: dict[str, Any]
) -> None:
    one = load_real(small(cohort), cache_dir=tmp_path / "cache")
    other = load_real(small(cohort, **changes), cache_dir=tmp_path / "cache")
    assert one.digest != other.digest
    assert not {side.recipe for side in roles(one)} & {side.recipe for side in roles(other)}


def test_load_real_by_slice_warns_of_leakage(cohort: Path, small: Small, tmp_path: Path) -> None:
    real = load_real(small(cohort, split="slice"), cache_dir=tmp_path / "cache")
    assert (len(real.training), len(real.reference), len(real.held_out)) == (24, 12, 12)
    assert "slices of one patient are in both sets" in real.warnings[-1]


def test_load_real_prepared_file_is_a_source_of_the_same_digest(cohort: Path, small: Small, tmp_path: Path) -> None:
    expected = load_real(small(cohort), cache_dir=tmp_path / "one")
    (stored,) = (tmp_path / "one" / "prepared").glob("*.npz")
    given = tmp_path / "images.npz"
    shutil.copy(stored, given)
    real = load_real(DataSettings(source=str(given)), cache_dir=tmp_path / "two")
    assert same(real, expected)
    assert (real.settings.crop_size, real.settings.size, real.settings.slices) == (32, 16, None)
    data = bytearray(given.read_bytes())
    data[3000] ^= 1
    given.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        load_real(DataSettings(source=str(given)), cache_dir=tmp_path / "two")


def test_load_real_without_vector_instructions_is_the_same(cohort: Path, small: Small, tmp_path: Path) -> None:
    """numpy's vector paths switched off: every pixel of studies and of phantoms, and the digests, stay the same."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    vector = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    if not vector:
        pytest.skip("this processor has no vector path that can be switched off")
    code = (
        "import hashlib, pathlib, sys\n"
        "from pytest_medgan.evaluate.sources import load_real\n"
        "from pytest_medgan.records import DataSettings\n"
        "for source in (sys.argv[1], 'phantom:3x1'):\n"
        "    settings = DataSettings(source=source, crop_size=33, size=16, slices=None)\n"
        "    real = load_real(settings, cache_dir=pathlib.Path(sys.argv[2]))\n"
        "    print(real.digest, hashlib.sha256(real.training.pixels.tobytes()).hexdigest())\n"
    )
    outputs = []
    for name, off in (("with", ""), ("without", " ".join(vector))):
        environment = os.environ | ({"NPY_DISABLE_CPU_FEATURES": off} if off else {})
        command = [sys.executable, "-c", code, str(cohort), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": "lung"}, "crop is 'lung'"),
        ({"slices": 0}, "slices is 0"),
        ({"patients": -1}, "patients is -1"),
        ({"window": (1.0, 1.0)}, "window is 1.0 to 1.0"),
        ({"range": (1.0, 0.0)}, "range does not ascend"),
        ({"patient": "name"}, "patient is 'name'. Give top, folder, file"),
    ],
)
def test_load_real_invalid_settings_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_real(DataSettings(**changes), cache_dir=tmp_path)


def change_all(folder: Path, change: Callable[[Dataset], None]) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        dataset = dcmread(path)
        if dataset.Modality == "CT":
            change(dataset)
            dataset.save_as(path)


def test_load_real_one_person_under_two_names_is_leakage(cohort: Path, small: Small, tmp_path: Path) -> None:
    """The same pixels under another PatientID, with identifiers of its own."""
    source, copy = cohort / "PAT-001", cohort / "PAT-009"
    shutil.copytree(source, copy)

    def rename(dataset: Dataset) -> None:
        dataset.PatientID = "PAT-009"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, f"{str(dataset[keyword].value)[:-3]}999")
        dataset.SOPInstanceUID = f"1.2.{dataset.InstanceNumber}"

    change_all(copy, rename)
    shutil.rmtree(copy / "study" / "structures")
    with pytest.raises(LeakageError, match="identical"):
        load_real(small(cohort, crop="image", seed=0), cache_dir=tmp_path / "cache")
    real = load_real(small(cohort, crop="image", split="slice"), cache_dir=tmp_path / "cache")
    assert any("identical" in warning for warning in real.warnings)


def test_load_real_two_names_on_one_study_are_leakage(cohort: Path, small: Small, tmp_path: Path) -> None:
    study = dcmread(cohort / "PAT-001" / "study" / "series" / "000.dcm").StudyInstanceUID
    change_all(cohort / "PAT-002", lambda dataset: setattr(dataset, "StudyInstanceUID", study))
    with pytest.raises(LeakageError, match="2 PatientIDs share a study"):
        load_real(small(cohort), cache_dir=tmp_path / "cache")
    real = load_real(small(cohort, split="slice"), cache_dir=tmp_path / "cache")
    assert any("share a study" in warning for warning in real.warnings)


def test_load_real_two_names_on_one_image_are_leakage(cohort: Path, small: Small, tmp_path: Path) -> None:
    """A patient under two names and two studies, whose images kept their identifiers."""
    images = iter([dcmread(path).SOPInstanceUID for path in sorted((cohort / "PAT-001").rglob("0*.dcm"))])
    change_all(cohort / "PAT-002", lambda dataset: setattr(dataset, "SOPInstanceUID", next(images, "1.2.3")))
    with pytest.raises(LeakageError, match="2 PatientIDs share a study or an image"):
        load_real(small(cohort, crop="image"), cache_dir=tmp_path / "cache")


def test_load_real_no_identifier_is_stored_logged_or_reported(
    cohort: Path, small: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    change_all(cohort, lambda dataset: setattr(dataset, "PatientBirthDate", "19690721"))
    activities: list[str] = []
    real = load_real(
        small(cohort), cache_dir=tmp_path / "cache", progress=lambda what, done, total: activities.append(what)
    )
    secrets = ["PAT-00", "Doe", "Jane", "20010203", "19690721", cohort.name, str(cohort)]
    secrets.append(str(dcmread(cohort / "PAT-001" / "study" / "series" / "000.dcm").SOPInstanceUID))
    texts = [*activities, *real.warnings, *real.counts, real.digest, caplog.text, *real.training.groups.tolist()]
    for path in (tmp_path / "cache").rglob("*"):
        texts.append(path.name)
        if path.is_file():
            texts.append(path.read_bytes().decode("latin-1"))
    assert [secret for secret in secrets for text in texts if secret in text] == []


def test_load_real_from_a_script_without_a_main_guard_works(cohort: Path, tmp_path: Path) -> None:
    """Workers must not import the caller's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import json, pathlib\n"
        "import pytest_medgan.ct.load as load\n"
        "from pytest_medgan.records import DataSettings\n"
        "load.worker_count = lambda files: 2\n"
        f"settings = DataSettings(source={str(cohort)!r}, crop_size=32, size=16, slices=None)\n"
        f"real = load.load_real(settings, cache_dir=pathlib.Path({str(tmp_path / 'cache')!r}))\n"
        "print(json.dumps([len(real.training), len(real.reference)]))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [12, 6]
    assert done.stderr == ""


def test_prepare_folder_of_archives_says_that_they_must_be_unpacked(small: Small, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "README.txt").write_text("one archive a patient")
    shutil.make_archive(str(tmp_path / "studies" / "PAT-001"), "zip", tmp_path / "studies")
    for source in (tmp_path / "studies", tmp_path / "studies" / "PAT-001.zip"):
        with pytest.raises(DataError, match="archives and no image outside of them"):
            prepare(small(source), cache_dir=tmp_path / "cache")
