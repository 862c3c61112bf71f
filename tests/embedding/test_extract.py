"""From a string to a feature space, and from images to features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding import Cache, FeatureSpace, embed_images, load_extractor, resolve_extractor
from pytest_medgan.embedding.engine import Engine
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import inception_network
from pytest_medgan.embedding.inception_space import make_space
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import Weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet, Progress, UInt8, no_progress

SPEC = ExtractorSpec("inception_v3", weights="random", engine="folded")


def test_inception_features_do_not_depend_on_batch_or_order(
    network: nn.Module,
    inception: FeatureSpace,
    make_images: Callable[..., ImageSet],
    relative_gap: Callable[[Float32, Float32], float],
) -> None:
    images = make_images(7, seed=1)
    together, chances = inception.embed(images.pixels)
    engine = make_engine(inception_network(network, "symmetric"), SPEC, "cpu")
    small = make_space(Weights(network, "", ""), replace(SPEC, batch=2), engine)
    turned = np.array([3, 0, 6, 5, 1, 4, 2])
    features, others = small.embed(images.pixels[turned])
    assert relative_gap(features, together[turned]) < 1e-5
    assert chances is not None
    assert others is not None
    np.testing.assert_allclose(others, chances[turned], atol=1e-4)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)


def test_embedding_twice_gives_equal_bits(inception: FeatureSpace, make_images: Callable[..., ImageSet]) -> None:
    pixels = make_images(3).pixels
    assert np.array_equal(inception.embed(pixels)[0], inception.embed(pixels)[0])


def test_probabilities_are_the_softmax_of_the_last_layer(network: nn.Module) -> None:
    features = np.random.default_rng(0).random((3, 2048)).astype(np.float32)
    engine = Engine("given", 3, 3, lambda pixels, batch: iter([torch.from_numpy(features)]))
    _, found = make_space(Weights(network, "", ""), SPEC, engine).embed(np.zeros((3, 1, 8, 8), np.uint8))
    with torch.inference_mode():
        expected = torch.softmax(network.get_submodule("fc")(torch.from_numpy(features)), 1).numpy()
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)


def test_identity_names_weights_and_normalisation(network: nn.Module) -> None:
    engine = Engine("none", 1, 1, lambda pixels, batch: iter(()))
    names = {
        make_space(Weights(network, weights, ""), replace(SPEC, normalisation=normalisation), engine).identity
        for weights in ("a", "b")
        for normalisation in ("symmetric", "imagenet")
    }
    assert len(names) == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_numeric_class_is_the_precision(network: nn.Module, precision: str) -> None:
    engine = Engine("none", 1, 1, lambda pixels, batch: iter(()))
    space = make_space(Weights(network, "", ""), replace(SPEC, precision=precision), engine)
    assert space.numeric_class == precision
    assert precision in space.summary


def test_embeddings_hold_groups_recipe_and_identity(make_images: Callable[..., ImageSet], quick: Any) -> None:
    images = make_images(5, size=16)
    shown: list[tuple[str, int, int]] = []
    embedded = embed_images(quick, images, progress=lambda *step: shown.append(step))
    assert embedded.features.shape == (5, 16)
    assert embedded.features.dtype == np.float32
    assert embedded.groups.tolist() == images.groups.tolist()
    assert (embedded.extractor, embedded.recipe) == ("quick", images.recipe)
    assert shown[-1] == ("embedding", 5, 5)
    assert all(total == 5 for _, _, total in shown)


def test_before_is_called_where_an_image_is_not_stored_or_always(
    make_images: Callable[..., ImageSet], quick: Any, tmp_path: Path
) -> None:
    asked: list[int] = []  # images embedded until each call

    def before() -> None:
        asked.append(quick.asked)

    images = make_images(5, size=16)
    for _ in range(2):
        embed_images(quick, images, cache=Cache(tmp_path), before=before)
        assert asked == [0]
    embed_images(quick, images, cache=Cache(tmp_path), before=before, always=True)
    assert asked == [0, 5]


def test_extractor_is_handed_whole_batches(make_images: Callable[..., ImageSet], quick: Any) -> None:
    """A block of 10 images holds two batches of 4."""
    embed_images(replace(resolve_extractor(quick), unit=4, block=10), make_images(21, size=16))
    assert quick.calls == [8, 8, 5]


# ------------------------------------------------------------------------------------------------------------ faults


@dataclass
class Wrong:
    """An extractor with a given answer."""

    answer: Callable[[int], tuple[Any, Any]]
    identity: str = "wrong"
    numeric_class: str = "float32"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Any, Any]:
        return self.answer(len(pixels))


def half(n: int) -> Float32:
    return np.full((n, 2), 0.5, np.float32)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda n: (np.full((n, 3), np.nan, np.float32), None), "NaN"),
        (lambda n: (np.full((n, 3), np.inf, np.float32), None), "infinite"),
        (lambda n: (np.zeros((n - 1, 3), np.float32), None), "images"),
        (lambda n: (np.zeros((n, 3, 1), np.float32), None), "images"),
        (lambda n: (np.zeros((n, 0), np.float32), None), "images"),
        (lambda n: (np.zeros((n, 3), np.float32), half(n + 1)), "probabilities"),
        (lambda n: (np.zeros((n, 3), np.float32), half(n) * 3), "sum to 1"),
        (lambda n: (np.zeros((n, 3), np.float32), half(n) * np.nan), "NaN"),
        (lambda n: (np.zeros((n, 3), np.float32), half(n) + np.float32([1, -1])), "negative"),
        (lambda n: (np.zeros((n, n), np.float32), None), "widths"),
    ],
)
def test_wrong_answer_of_an_extractor_is_an_error(
    answer: Callable[[int], tuple[Any, Any]], word: str, make_images: Callable[..., ImageSet]
) -> None:
    with pytest.raises(ExtractorError, match=word):
        embed_images(Wrong(answer), make_images(130, size=16))


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 4, 8, 8), np.uint8), np.zeros((2, 1, 8, 8), np.float32), np.zeros((0, 1, 8, 8), np.uint8)]
)
def test_images_of_another_form_are_an_error(pixels: Any, quick: Any) -> None:
    images = ImageSet(pixels, np.array(["a"] * len(pixels)), "wrong")
    with pytest.raises(ExtractorError, match=r"uint8 \[N,1,H,W\]"):
        embed_images(quick, images)


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(ExtractorError, match="name is unknown"):
        load_extractor("inception_v4")
