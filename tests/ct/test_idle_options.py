"""Options of the data that cannot change the images of their source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.ct.idle_options import is_given
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.store import save_prepared
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.evaluate.settings import parse_data
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]
GREYS = np.add.outer(np.arange(16) * 7, np.arange(16)).astype(np.uint8)
OTHER_VALUES: dict[str, Any] = {
    "window": (-160.0, 240.0),
    "range": (0.0, 200.0),
    "roi": "GTV 2",
    "patient": "file",
    "crop_size": 12,
}


def write_pictures(folder: Path, values: np.ndarray, suffix: str = "png") -> Path:
    """Write three patients of one picture."""
    for patient in range(3):
        (folder / f"p{patient}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(folder / f"p{patient}" / f"{patient}.{suffix}")
    return folder


def write_table(folder: Path, columns: str = "", cells: str = "") -> None:
    """Write a table of the files of `write_pictures`."""
    lines = [f"p{patient}/{patient}.png,case {patient}{cells}" for patient in range(3)]
    (folder / "files.csv").write_text("\n".join([f"file,patient{columns}", *lines]))


def make_source(kind: str, folder: Path, cohort: Path) -> Path:
    """Return a source of one kind."""
    if kind == "studies":
        return cohort
    if kind == "array":
        np.savez(folder / "a.npz", pixels=np.stack([GREYS] * 6), patient=np.arange(6))
        return folder / "a.npz"
    if kind == "volumes":
        nibabel = pytest.importorskip("nibabel")
        (folder / "v").mkdir()
        for patient in range(3):
            scan = np.full((16, 16, 6), -900, np.int16)
            nibabel.Nifti1Image(scan, np.diag([1.0, 1.0, 2.0, 1.0])).to_filename(folder / "v" / f"{patient}.nii")
        return folder / "v"
    if kind == "colour":
        return write_pictures(folder / "p", np.stack([GREYS, GREYS.T, GREYS], axis=2))
    source = write_pictures(folder / "p", GREYS.astype(np.uint16) * 200 if kind == "16 bits" else GREYS)
    if kind == "table":
        write_table(source)
    elif kind == "rescaled":
        write_pictures(folder / "p", GREYS.astype(np.uint16))
        write_table(source, ",slope,intercept", ",10,-1000")
    return source


REFUSED = [
    ("8 bits", "window", "on pictures of grey levels. Leave window= out, or give slope"),
    ("8 bits", "range", "on pictures of 8 bits, whose black is 0 and white 255. Leave range= out."),
    ("8 bits", "roi", "on pictures, which have no structure sets. Leave roi= out."),
    ("8 bits", "crop_size", "on pictures of 16x16 pixels, which size=16 takes whole. Leave crop_size= out"),
    ("16 bits", "window", "on pictures of grey levels"),
    ("16 bits", "roi", "on pictures"),
    ("colour", "window", "on pictures in colour. Leave window= out."),
    ("colour", "range", "on pictures of 8 bits"),
    ("table", "patient", "where a table of files names the patients"),
    ("rescaled", "range", "on pictures whose slope and intercept a table gives"),
    ("array", "window", "on an array, which holds grey levels"),
    ("array", "roi", "on an array"),
    ("array", "patient", "on an array, which names the patients itself"),
    ("array", "crop_size", "on pictures of 16x16 pixels"),
    ("volumes", "range", "on volumes, whose values are HU"),
    ("volumes", "roi", "on volumes"),
    ("volumes", "crop_size", "on volumes with planes of 16x16 pixels"),
    ("studies", "range", "on DICOM files, which say how their values become HU"),
    ("studies", "patient", "on DICOM files, which name their patients"),
]


@pytest.mark.parametrize(("kind", "option", "reason"), REFUSED)
def test_option_without_effect_on_a_kind_of_data_is_refused(
    *, kind: str, option: str, reason: str, cohort: Path, small: Small, tmp_path: Path
) -> None:
    channels = 3 if kind == "colour" else 1
    settings = small(make_source(kind, tmp_path, cohort), channels=channels, crop_size=16)
    prepare(settings, cache_dir=tmp_path / "cache")
    with pytest.raises(SettingsError) as caught:
        prepare(replace(settings, **{option: OTHER_VALUES[option]}), cache_dir=tmp_path / "cache")
    assert str(caught.value).startswith(f"{option}= has no effect {reason}")


EFFECTIVE = [
    ("16 bits", "range", (0.0, 65535.0 / 2)),
    ("rescaled", "window", (-160.0, 240.0)),
    ("array", "range", (0.0, 240.0)),
    ("volumes", "window", (-950.0, 240.0)),
    ("studies", "window", (-160.0, 240.0)),
]


@pytest.mark.parametrize(("kind", "option", "value"), EFFECTIVE)
def test_option_that_is_accepted_changes_the_images(
    *, kind: str, option: str, value: object, cohort: Path, small: Small, tmp_path: Path
) -> None:
    settings = small(make_source(kind, tmp_path, cohort), crop_size=16)
    before, after = (
        prepare(one, cache_dir=tmp_path / "cache").pixels for one in (settings, replace(settings, **{option: value}))
    )
    assert not np.array_equal(before, after)


def test_crop_size_cuts_pictures_of_8_bits(small: Small, tmp_path: Path) -> None:
    large = np.add.outer(np.arange(24) * 7, np.arange(24)).astype(np.uint8)
    prepared = prepare(small(write_pictures(tmp_path / "p", large), crop_size=16), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels[0, 0], large[4:20, 4:20])


def test_default_is_refused_where_it_was_written(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", GREYS)
    plain = parse_data(f"{tmp_path / 'p'},size=16,slices=all")
    prepare(plain, cache_dir=tmp_path / "cache")
    written = parse_data(f"{tmp_path / 'p'},size=16,slices=all,window=-1000:400")
    assert written == plain
    assert is_given(written, "window")
    assert not is_given(plain, "window")
    with pytest.raises(SettingsError, match="window= has no effect"):
        prepare(written, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "slice", "fractions": (0.4, 0.3, 0.3)}, "fractions= has no effect with split=slice"),
        ({"planes": "volume", "slices": 4}, "slices= has no effect with planes=volume"),
        ({"crop": "image", "roi": "GTV-1"}, "roi= has no effect with crop=image"),
    ],
)
def test_option_without_effect_beside_another_is_refused(
    *, changes: dict[str, Any], message: str, cohort: Path, small: Small, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        prepare(small(cohort, **changes), cache_dir=tmp_path / "cache")


def test_region_that_not_every_patient_has_is_refused(cohort: Path, small: Small, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4 of 4 patients have no contour of the region that roi= names"):
        prepare(small(cohort, roi="left lung"), cache_dir=tmp_path / "cache")


def test_region_is_refused_for_studies_without_structure_sets(study_class: Any, small: Small, tmp_path: Path) -> None:
    for patient in ("A", "B", "C"):
        study_class(tmp_path / "data", patient=patient).write()
    with pytest.raises(SettingsError, match="roi= has no effect on studies without RTSTRUCT or SEG"):
        prepare(small(tmp_path / "data", roi="GTV-1"), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("option", "value"),
    [("size", 32), ("window", (-160.0, 240.0)), ("slices", 3), ("patients", 3), ("channels", 3), ("planes", "three")],
)
def test_option_that_a_prepared_set_contradicts_is_refused(
    *, option: str, value: object, cohort: Path, small: Small, tmp_path: Path
) -> None:
    save_prepared(tmp_path / "set.npz", prepare(small(cohort), cache_dir=tmp_path / "cache"))
    settings = DataSettings(source=str(tmp_path / "set.npz"))
    assert prepare(settings, cache_dir=tmp_path / "cache").settings.size == 16
    with pytest.raises(SettingsError, match=f"^{option}= has no effect on a set that medgan prepare wrote, .* with"):
        prepare(replace(settings, **{option: value}), cache_dir=tmp_path / "cache")


def test_option_that_a_prepared_set_was_made_with_is_accepted(cohort: Path, small: Small, tmp_path: Path) -> None:
    save_prepared(tmp_path / "set.npz", prepare(small(cohort), cache_dir=tmp_path / "cache"))
    prepare(parse_data(f"{tmp_path / 'set.npz'},size=16,crop_size=32,crop=auto"), cache_dir=tmp_path / "cache")
    with pytest.raises(SettingsError, match=r"made with size=16\. Leave size= out, or prepare the set again"):
        prepare(parse_data(f"{tmp_path / 'set.npz'},size=128"), cache_dir=tmp_path / "cache")


def test_patients_of_volumes_are_the_topmost_folders_where_that_was_written(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for patient in range(3):
        (tmp_path / "v" / f"p{patient}").mkdir(parents=True)
        for number in range(4):
            scan = nibabel.Nifti1Image(np.full((16, 16, 6), -900, np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))
            scan.to_filename(tmp_path / "v" / f"p{patient}" / f"{patient}{number}.nii")
    text = f"{tmp_path / 'v'},size=16,slices=all,split=slice"
    assert prepare(parse_data(text), cache_dir=tmp_path / "cache").counts["patients"] == 12  # each file, where unsaid
    with pytest.raises(DataError, match=r"12 volumes lie in 3 folders\. Set patient=file where"):
        prepare(parse_data(f"{text},patient=top"), cache_dir=tmp_path / "cache")
