"""Real images by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.sources import load_real
from pytest_medgan.records import DataSettings


def test_load_real_phantom_name_equals_its_folder(tmp_path: Path) -> None:
    settings = DataSettings(source="phantom:3x2", size=32)
    real = load_real(settings, cache_dir=tmp_path)
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [2, 2, 2]
    assert real.settings.crop == "tumour"
    assert real.warnings == ()
    folder = next((tmp_path / "phantom").glob("3x2-*[!k]"))
    again = load_real(DataSettings(source=str(folder), size=32), cache_dir=tmp_path / "other")
    assert again.digest == real.digest  # phantoms come through the same reader as any hospital's files


def test_load_real_phantom_seed_names_other_patients(tmp_path: Path) -> None:
    real = load_real(DataSettings(source="phantom:3x2@1", size=32), cache_dir=tmp_path)
    usual = load_real(DataSettings(source="phantom:3x2", size=32), cache_dir=tmp_path)
    assert real.digest != usual.digest
    ours = {image.tobytes() for role in (real.training, real.reference, real.held_out) for image in role.pixels}
    theirs = {image.tobytes() for role in (usual.training, usual.reference, usual.held_out) for image in role.pixels}
    assert len(ours) == len(theirs) == 6
    assert not ours & theirs


def test_load_real_malformed_phantom_name_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="names no phantoms"):
        load_real(DataSettings(source="phantom:many"), cache_dir=tmp_path)
