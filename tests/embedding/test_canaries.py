"""The canary notices a change in what an extractor computes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.embedding import Cache, FeatureSpace, canaries, canary, embed_images, resolve_extractor
from pytest_medgan.embedding.canaries import (
    LIBRARIES,
    check_canary,
    digest_environment,
    distance,
    project,
    stored_canary,
)
from pytest_medgan.embedding.canned import canned_images, canned_volumes
from pytest_medgan.embedding.contract import Answer
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import CANARY_TOLERANCE, ImageSet, Progress, UInt8

SUMS = [1345600, 535011, 1320055, 2080769, 2129920, 1894400, 2089292, 1434896]


@pytest.fixture
def space(quick: Any) -> FeatureSpace:
    return resolve_extractor(quick)


def scaled(space: FeatureSpace, factor: float) -> FeatureSpace:
    """The same space with all features multiplied."""

    def run(pixels: UInt8, progress: Progress) -> Answer:
        features, chances = space.run(pixels, progress)
        return features * np.float32(factor), chances

    return replace(space, run=run)


def test_canned_images_have_their_recorded_sums() -> None:
    images = canned_images()
    assert images.shape == (8, 1, 128, 128)
    assert images.dtype == np.uint8
    assert images.reshape(8, -1).sum(1, dtype=np.int64).tolist() == SUMS
    assert all(len(np.unique(image)) > 1 for image in images)


def test_canary_is_128_numbers_proportional_to_the_features(space: FeatureSpace) -> None:
    numbers = canary(space)
    assert len(numbers) == 128
    assert numbers == canary(space)
    assert distance(canary(scaled(space, 1.01)), numbers) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("width", [4, 1024])
def test_project_of_one_unit_feature_is_one_over_the_root_of_the_width(width: int) -> None:
    numbers = project(np.tile(np.eye(1, width, dtype=np.float32), (8, 1)))
    assert np.abs(numbers) == pytest.approx(1 / np.sqrt(width))


def test_canary_of_nan_is_an_error(space: FeatureSpace) -> None:
    with pytest.raises(ExtractorError, match="NaN"):
        canary(scaled(space, float("nan")))


@pytest.mark.parametrize("numeric_class", CANARY_TOLERANCE)
def test_check_allows_the_tolerance_of_the_numeric_class(space: FeatureSpace, numeric_class: str) -> None:
    space, known = replace(space, numeric_class=numeric_class), canary(space)
    tolerance = CANARY_TOLERANCE[numeric_class]
    check_canary(scaled(space, 1 + 0.9 * tolerance), known)
    with pytest.raises(ExtractorError, match="computes other features than those stored under the same identity"):
        check_canary(scaled(space, 1 + 1.1 * tolerance), known)


def test_check_refuses_a_stored_canary_of_another_length_or_with_nan(space: FeatureSpace) -> None:
    known = canary(space)
    for wrong in (known[:-1], (*known[:-1], float("nan"))):
        with pytest.raises(ExtractorError, match=r"under the same identity \(they cannot be compared\)"):
            check_canary(space, wrong)


@pytest.mark.parametrize("is_users", [True, False])
def test_refusal_names_what_the_user_can_change(is_users: bool, space: FeatureSpace) -> None:
    """Nobody can change the identity of an extractor of the package."""
    moved = replace(scaled(space, 1.1), is_users=is_users)
    with pytest.raises(ExtractorError, match="`medgan cache prune --all`") as refused:
        check_canary(moved, canary(space))
    assert ("Change its identity" in str(refused.value)) == is_users
    assert ("A library or the device has changed" in str(refused.value)) != is_users


def test_stored_canary_is_computed_once_and_again_for_another_engine(
    space: FeatureSpace, quick: Any, tmp_path: Path
) -> None:
    first, computed = stored_canary(space, Cache(tmp_path))
    assert computed
    assert quick.asked == 8
    again, computed = stored_canary(space, Cache(tmp_path))
    assert (again, computed, quick.asked) == (first, False, 8)
    _, computed = stored_canary(replace(space, engine="other"), Cache(tmp_path))
    assert computed
    _, computed = stored_canary(replace(space, identity="other"), Cache(tmp_path))
    assert computed


def test_environment_digest_follows_the_users_source(
    space: FeatureSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(sys)("users_space")
    module.__file__ = str(tmp_path / "users_space.py")
    monkeypatch.setitem(sys.modules, "users_space", module)
    space = replace(space, modules=("users_space",))
    (tmp_path / "users_space.py").write_text("first")
    first = digest_environment(space, "cpu")
    (tmp_path / "users_space.py").write_text("second")
    assert digest_environment(space, "cpu") != first
    (tmp_path / "users_space.py").unlink()
    assert digest_environment(space, "cpu") is None
    assert digest_environment(replace(space, modules=("no_such_module",)), "cpu") is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_environment_digest_follows_the_version_of_each_library(
    library: str, space: FeatureSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest_environment(space, "cpu")
    installed = canaries.version
    monkeypatch.setattr(canaries, "version", lambda name: "0.0" if name == library else installed(name))
    assert digest_environment(space, "cpu") != first


def test_canary_without_a_source_is_computed_every_time(space: FeatureSpace, quick: Any, tmp_path: Path) -> None:
    space = replace(space, modules=("no_such_module",))
    for times in (1, 2):
        _, computed = stored_canary(space, Cache(tmp_path))
        assert computed
        assert quick.asked == 8 * times


@pytest.mark.parametrize("modules", [("no_such_module",), ()])
def test_space_that_differs_from_the_first_of_its_identity_embeds_nothing(
    modules: tuple[str, ...], space: FeatureSpace, tmp_path: Path
) -> None:
    """Features are stored by identity: those of an edited function would be mixed with older ones."""
    space = replace(space, modules=modules)
    first, _ = stored_canary(space, Cache(tmp_path))
    images = ImageSet(canned_images(), np.arange(8).astype(str), "canned")
    edited = replace(scaled(space, 1.1), engine="another environment")
    for _ in range(2):
        cache = Cache(tmp_path)
        assert distance(stored_canary(edited, cache)[0], first) == pytest.approx(0.1, rel=1e-3)
        with pytest.raises(ExtractorError, match="other features than those stored under the same identity"):
            embed_images(edited, images, cache=cache)
    for sound in (replace(edited, identity="version 2"), replace(space, engine="a third environment")):
        cache = Cache(tmp_path)
        stored_canary(sound, cache)
        assert len(embed_images(sound, images, cache=cache).features) == 8


def test_canned_volumes_have_the_shape_asked_for_and_differ_from_plane_to_plane() -> None:
    volumes = canned_volumes((6, 128, 64))
    assert volumes.shape == (8, 1, 6, 128, 64)
    assert volumes.dtype == np.uint8
    np.testing.assert_array_equal(volumes[:, :, 0], canned_images()[..., ::2])
    assert all(len({plane.tobytes() for plane in volume[0]}) > 1 for volume in volumes)


@pytest.mark.parametrize(("shape", "seen"), [(None, (8, 1, 32, 32, 32)), ((4, 8, 16), (8, 1, 4, 8, 16))])
def test_canary_of_a_space_of_volumes_is_of_volumes_of_its_shape(
    shape: tuple[int, ...] | None, seen: tuple[int, ...], space: FeatureSpace, tmp_path: Path
) -> None:
    given: list[tuple[int, ...]] = []

    def run(pixels: UInt8, progress: Progress) -> Answer:
        given.append(pixels.shape)
        return pixels.reshape(len(pixels), -1)[:, :16].astype(np.float32), None

    volumes = replace(space, run=run, takes_volumes=True, volume_shape=shape, modules=())
    stored, fresh = stored_canary(volumes, Cache(tmp_path))
    assert (fresh, stored) == (True, canary(volumes))
    assert given == [seen, seen]
