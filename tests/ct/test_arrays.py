"""Arrays of grey pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


@pytest.fixture
def small() -> Small:
    """Settings for pictures of 16 x 16 pixels, which are taken whole."""

    def settings(source: Path | str, **changes: Any) -> DataSettings:
        return DataSettings(**{"source": str(source), "size": 16, "slices": None} | changes)

    return settings


def pictures(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16)).astype(np.uint8)


@pytest.mark.parametrize("key", ["patient", "groups"])
def test_load_real_array_with_patients_is_split_by_them(small: Small, tmp_path: Path, key: str) -> None:
    owners = np.array([f"doe-{at % 4}" for at in range(12)])
    labels = (np.arange(12) % 4 == 0).astype(np.int8)
    np.savez(tmp_path / "a.npz", pixels=pictures(), labels=labels, nodule=np.arange(12), **{key: owners})
    prepared = prepare(small(tmp_path / "a.npz"), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels[:, 0], pictures()[np.argsort(np.arange(12) % 4, kind="stable")])
    assert prepared.labels.tolist() == [1, 1, 1] + [0] * 9
    assert len(set(prepared.groups.tolist())) == 4
    assert not any("doe" in group for group in prepared.groups)
    real = load_real(small(tmp_path / "a.npz"), cache_dir=tmp_path / "cache")
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [6, 3, 3]


def test_load_real_array_whose_patients_end_in_spaces_keeps_a_patient_on_one_side(small: Small, tmp_path: Path) -> None:
    owners = np.array([f"doe-{at % 4}{' ' * (at % 3)}" for at in range(12)])
    np.savez(tmp_path / "a.npz", pixels=pictures(), patient=owners)
    assert len(set(prepare(small(tmp_path / "a.npz"), cache_dir=tmp_path / "cache").groups.tolist())) == 4


def test_load_real_bare_array_with_a_channel_axis_is_read(small: Small, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pictures()[:, None])
    real = load_real(small(tmp_path / "a.npy", split="slice"), cache_dir=tmp_path / "cache")
    assert real.training.pixels.shape == (12, 1, 16, 16)
    with pytest.raises(DataError, match=r"have no patients, .* an array named patient") as caught:
        load_real(small(tmp_path / "a.npy"), cache_dir=tmp_path / "cache")
    assert "patient=" not in str(caught.value).replace("split=patient", "")


def noise() -> np.ndarray:
    values = pictures().astype(np.float32)
    values[3, 3, 3] = np.nan
    return values


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": pictures()}, "no array named pixels"),
        ({"pixels": noise()}, "NaN or infinity"),
        ({"pixels": pictures().astype(np.float64)}, "float64 from 0 to 255. Save uint8"),
        ({"pixels": pictures()[0]}, r"shape .16, 16."),
        ({"pixels": np.stack([pictures(), pictures(), pictures()[::-1]], axis=1)}, "channels differ"),
        ({"pixels": pictures(), "patient": np.arange(3)}, "12 pictures and 3 patients"),
        (
            {"pixels": pictures(), "patient": np.where(np.arange(12) < 2, np.nan, np.arange(12))},
            "The array patient of an array file is empty or NaN for 2 pictures",
        ),
        ({"pixels": pictures(), "groups": np.array(["", " ", *"abcdefghij"])}, "array groups .* for 2 pictures"),
        ({"pixels": pictures(), "labels": np.arange(12)}, "labels of an array file must be 1, 0 or -1"),
        (
            {"pixels": pictures(), "patient": np.zeros(12), "labels": np.arange(12) % 2},
            "contradict each other for one patient",
        ),
        ({"pixels": pictures(), "description": np.array("x")}, "damaged"),
    ],
)
def test_load_real_array_that_cannot_be_used_is_refused(
    small: Small, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(tmp_path / "a.npz", split="slice"), cache_dir=tmp_path / "cache")
    assert caught.value.file == "a.npz"


def test_load_real_array_of_objects_is_not_unpickled(small: Small, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        load_real(small(tmp_path / "a.npy", split="slice"), cache_dir=tmp_path / "cache")


def test_load_real_array_with_a_range_is_read(small: Small, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pictures().astype(np.float32) / 255)
    prepared = prepare(small(tmp_path / "a.npy", split="slice", range=(0.0, 1.0)), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels[:, 0], pictures())


def test_load_real_array_of_equal_channels_is_grey(small: Small, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pictures()[..., None].repeat(3, axis=3))
    prepared = prepare(small(tmp_path / "a.npy", split="slice"), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels[:, 0], pictures())


@pytest.mark.parametrize("last", [False, True])
def test_load_real_array_of_three_channels_is_read_in_colour(*, last: bool, small: Small, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)
    saved = pixels.transpose(0, 2, 3, 1) if last else pixels
    np.savez(tmp_path / "a.npz", pixels=saved, patient=np.arange(8).astype(str))
    real = load_real(small(tmp_path / "a.npz", channels=3), cache_dir=tmp_path / "cache")
    found = np.concatenate([real.training.pixels, real.reference.pixels, real.held_out.pixels])
    assert found.shape == (8, 3, 16, 16)
    assert {image.tobytes() for image in found} == {image.tobytes() for image in pixels}


@pytest.mark.parametrize(("limits", "low", "high"), [((-1000.0, 400.0), 182, 182), ((0.0, 1.0), 0, 255)])
def test_prepare_images_of_nearly_one_grey_are_warned_of(
    small: Small, tmp_path: Path, limits: tuple[float, float], low: int, high: int
) -> None:
    np.save(tmp_path / "a.npy", np.linspace(0, 1, 4 * 256).reshape(4, 16, 16))
    prepared = prepare(small(tmp_path / "a.npy", split="slice", range=limits), cache_dir=tmp_path / "cache")
    assert (prepared.pixels.min(), prepared.pixels.max()) == (low, high)
    warning = "the images hold only grey levels 182 to 182: range= or their scale is wrong"
    assert (warning in prepared.warnings) is (low == high)
