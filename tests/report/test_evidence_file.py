from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Evidence
from pytest_medgan.report.evidence_file import bundle_bytes, load_evidence, read_bundle, save_evidence


def full() -> Evidence:
    """Return evidence with every field set, each array of another length."""
    given: dict[str, object] = {}
    for place, field in enumerate(fields(Evidence)):
        given[field.name] = np.arange(place + 1)
    return Evidence(
        **{**given, "sweep": {"density": np.array([0.5])}, "window": (-1000.0, 400.0), "ties": 7, "count": 9}
    )  # type: ignore[arg-type]


def test_every_field_is_read_back(tmp_path: Path) -> None:
    """A field that was added to the record but not to the file would be lost silently."""
    given = full()
    save_evidence(tmp_path / "model.npz", given)
    again = load_evidence(tmp_path / "model.npz")
    for field in fields(Evidence):
        ours, theirs = getattr(again, field.name), getattr(given, field.name)
        if field.name == "sweep":
            assert {k: list(v) for k, v in ours.items()} == {k: list(v) for k, v in theirs.items()}
        elif field.name in ("window", "ties", "count"):
            assert ours == theirs
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_absent_fields_stay_absent(tmp_path: Path) -> None:
    save_evidence(tmp_path / "model.npz", Evidence(ties=0))
    again = load_evidence(tmp_path / "model.npz")
    assert again.ties == 0
    assert again.copies is None
    assert again.sweep == {}


def test_bundle_keeps_models_apart(tmp_path: Path) -> None:
    (tmp_path / "evidence.npz").write_bytes(bundle_bytes({0: Evidence(ties=1), 2: Evidence(ties=3)}))
    assert {place: ev.ties for place, ev in read_bundle(tmp_path / "evidence.npz").items()} == {0: 1, 2: 3}


def test_bundle_with_an_array_of_no_model_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "evidence.npz", ties=np.array(1))
    with pytest.raises(SettingsError, match="cannot be read"):
        read_bundle(tmp_path / "evidence.npz")


def test_pixels_are_compressed(tmp_path: Path) -> None:
    save_evidence(tmp_path / "model.npz", Evidence(thumbnails_fake=np.zeros((100, 64, 64), np.uint8)))
    assert (tmp_path / "model.npz").stat().st_size < 20_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not a zip"])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        load_evidence(path)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.file == "model.npz"


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, copies=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SettingsError, match="cannot be read"):
        load_evidence(path)


def test_no_partial_file_is_left_behind(tmp_path: Path) -> None:
    save_evidence(tmp_path / "deep" / "model.npz", Evidence(ties=0))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model.npz"]
