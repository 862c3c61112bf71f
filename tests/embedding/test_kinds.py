"""A feature space is held against the kind of images before anything is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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
        ([np.ones((3, 3)), np.zeros((3, 3))], "returns other features when it is given the same"),
        ([np.ones((3, 3)), np.ones((3, 4))], "returns other features when it is given the same"),
        ([np.full((3, 3), np.nan)], "NaN or infinite"),
        ([np.ones((1, 3))], r"returned \[1, 3\] for 3 images"),
        ([], r"fails on .* uint8 \[3, .*Call it on such an array"),
    ],
)
def test_space_that_does_not_stand_the_trial_is_refused(pixels: np.ndarray, answers: list[Any], words: str) -> None:
    with pytest.raises(ExtractorError, match=words):
        try_space(space_of_function("odd", "odd", counted(list(answers)), 4), pixels)


def test_trial_is_passed_by_equal_features_and_a_space_that_ships_is_not_tried_with_grey_images(of_images: Any) -> None:
    try_space(of_images, COLOUR)
    try_space(space_of_function("odd", "odd", counted([]), 4), GREY)


def darkening_means(pixels: np.ndarray) -> np.ndarray:
    """Return means, and change the images in place."""
    found = means(pixels).astype(np.float32)
    pixels //= 2
    return found


class Darkening:
    identity, numeric_class = "darkening", "float32"

    def __init__(self, *, takes_volumes: bool) -> None:
        self.takes_volumes = takes_volumes

    def embed(self, pixels: np.ndarray, progress: Any = None) -> tuple[np.ndarray, None]:
        return darkening_means(pixels), None


@pytest.mark.parametrize("kind", ["function", "object"])
@pytest.mark.parametrize("shape", [(6, 1, 8, 8), (6, 3, 8, 8), (6, 1, 4, 8, 8)])
def test_extractor_that_writes_to_its_images_leaves_the_real_ones_as_they_were(
    kind: str, shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before, volumes = pixels.copy(), len(shape) == 5
    space = resolve_extractor(Darkening(takes_volumes=volumes))
    if kind == "function":
        space = replace(
            space_of_function("darkening", "darkening", darkening_means, 2), is_users=True, takes_volumes=volumes
        )
    try_space(space, pixels)
    found = embed_images(space, ImageSet(pixels, np.arange(6).astype(str), "six"))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_allclose(found.features, means(before))


BATCHED = """
import torch
from torch import nn

torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Space:
    identity, numeric_class = "space", "float32"

    def embed(self, pixels, progress):
        return embed(pixels), None


def embed(pixels):
    with torch.no_grad():
        return network(torch.as_tensor(pixels).float() / 255).numpy()
"""


@pytest.mark.parametrize("name", ["embed", "Space"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_features_that_depend_on_the_batch_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    (tmp_path / f"batched_{mode}.py").write_text(f"{BATCHED}\n\nnetwork.{mode}()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    space = load_extractor(f"batched_{mode}:{name}")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 16, 16), dtype=np.uint8)
    if mode == "eval":
        try_space(space, pixels)
        return
    with pytest.raises(ExtractorError, match="other features for the same grey images when others are embedded with"):
        try_space(space, pixels)


def test_features_of_a_file_that_depend_on_the_batch_are_refused(tmp_path: Path) -> None:
    class Standardised(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            means = pixels.float().mean((2, 3))
            return means - means.mean(0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch announces the end of TorchScript
        torch.jit.script(Standardised()).save(str(tmp_path / "space.pt"))
    space = load_extractor(str(tmp_path / "space.pt"))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8)
    with pytest.raises(ExtractorError, match="when others are embedded with them"):
        try_space(space, pixels)
