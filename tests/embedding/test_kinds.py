"""A feature space is held against the kind of images before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.embedding import embed_images, load_extractor, resolve_extractor
from pytest_medgan.embedding.kinds import check_kind, try_space
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet

GREY, COLOUR = np.zeros((3, 1, 8, 8), np.uint8), np.zeros((3, 3, 8, 8), np.uint8)
VOLUMES = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 8, 8), dtype=np.uint8)


def means(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1, 8).mean(2)[:, :4]


class OfVolumes:
    identity, numeric_class, takes_volumes = "of volumes", "float32", True

    def embed(self, pixels: np.ndarray, progress: Any = None) -> tuple[np.ndarray, None]:
        assert pixels.ndim == 5
        return means(pixels).astype(np.float32), None


@pytest.fixture
def of_images() -> Any:
    return space_of_function("of images", "of images", means, 2)


def test_each_kind_is_taken_by_the_space_made_for_it(of_images: Any) -> None:
    check_kind(of_images, GREY)
    check_kind(of_images, COLOUR)
    check_kind(resolve_extractor(OfVolumes()), VOLUMES)


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_images_given_to_a_space_of_volumes_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ExtractorError, match=r"takes volumes, and .* slices or pictures\. Add planes=volume to"):
        check_kind(resolve_extractor(OfVolumes()), pixels)


def test_volumes_given_to_a_space_of_images_are_refused(of_images: Any) -> None:
    groups = np.array(["a", "b", "c"])
    with pytest.raises(ExtractorError, match="takes images, and planes=volume asks for volumes"):
        embed_images(of_images, ImageSet(VOLUMES, groups, "volumes"))
    found = embed_images(resolve_extractor(OfVolumes()), ImageSet(VOLUMES, groups, "volumes"))
    np.testing.assert_allclose(found.features, means(VOLUMES))


def test_function_named_with_volumes_takes_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_volumes.py").write_text("def embed(v):\n    return v.reshape(len(v), -1)[:, :5]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    space = load_extractor("nets_of_volumes:embed,volumes=yes")
    plain = load_extractor("nets_of_volumes:embed,volumes=no")
    assert (space.takes_volumes, plain.takes_volumes) == (True, False)
    assert space.identity == f"{plain.identity};volumes"
    assert (space.unit, plain.unit) == (4, 64)
    assert load_extractor("nets_of_volumes:embed,volumes=yes,batch=2").unit == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("compact,volumes=yes", "compact has its own weights"),
        ("inception_v3,volumes=yes", "inception_v3 takes images. Leave volumes= out"),
        ("timm:resnet18,volumes=yes", "own preparation"),
    ],
)
def test_space_that_ships_takes_no_volumes(spec: str, words: str) -> None:
    with pytest.raises(ExtractorError, match=words):
        load_extractor(spec)


def counted(answers: list[Any]) -> Callable[[np.ndarray], Any]:
    """Return a function that returns one answer after another."""
    return lambda pixels: answers.pop(0)


@pytest.mark.parametrize("pixels", [COLOUR, VOLUMES])
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([np.ones((2, 3)), np.zeros((2, 3))], "returns other features when it is given the same"),
        ([np.ones((2, 3)), np.ones((2, 4))], "returns other features when it is given the same"),
        ([np.full((2, 3), np.nan)], "NaN or infinite"),
        ([np.ones((1, 3))], r"returned \[1, 3\] for 2 images"),
        ([], r"fails on .* uint8 \[2, .*Call it on such an array"),
    ],
)
def test_space_that_does_not_stand_the_trial_is_refused(pixels: np.ndarray, answers: list[Any], words: str) -> None:
    with pytest.raises(ExtractorError, match=words):
        try_space(space_of_function("odd", "odd", counted(list(answers)), 2), pixels)


def test_trial_is_passed_by_equal_features_and_grey_images_are_not_tried(of_images: Any) -> None:
    try_space(of_images, COLOUR)
    try_space(space_of_function("odd", "odd", counted([]), 2), GREY)
