"""From images to features: independent of batch and order, checked, and never silent about a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.embedding import canary, embed_images, load_extractor
from pytest_medgan.embedding.canned import canned_images
from pytest_medgan.embedding.engines import Engine, make_engine
from pytest_medgan.embedding.extract import InceptionExtractor
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import Weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Extractor, Float32, ImageSet, Progress, UInt8, no_progress

SPEC = ExtractorSpec("inception_v3", weights="random", engine="folded")


def test_batch_size_and_order_do_not_matter(
    network: nn.Module,
    inception: Extractor,
    make_images: Callable[..., ImageSet],
    relative_gap: Callable[[Float32, Float32], float],
) -> None:
    images = make_images(7, seed=1)
    together, chances = inception.embed(images.pixels)
    small = InceptionExtractor(Weights(network, "", ""), replace(SPEC, batch=2), make_engine(network, SPEC, "cpu"))
    turned = np.array([3, 0, 6, 5, 1, 4, 2])
    features, others = small.embed(images.pixels[turned])
    assert relative_gap(features, together[turned]) < 1e-5
    assert chances is not None
    assert others is not None
    np.testing.assert_allclose(others, chances[turned], atol=1e-4)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)


def test_the_same_call_twice_is_the_same_to_the_bit(inception: Extractor, make_images: Callable[..., ImageSet]) -> None:
    pixels = make_images(3).pixels
    assert np.array_equal(inception.embed(pixels)[0], inception.embed(pixels)[0])


def test_probabilities_are_the_softmax_of_the_last_layer(network: nn.Module, inception: InceptionExtractor) -> None:
    features = np.random.default_rng(0).random((3, 2048)).astype(np.float32)
    with torch.inference_mode():
        expected = torch.softmax(network.get_submodule("fc")(torch.from_numpy(features)), 1).numpy()
    np.testing.assert_allclose(inception.probabilities(features), expected, rtol=1e-4, atol=1e-5)


def test_identity_names_weights_and_preparation(network: nn.Module) -> None:
    engine = Engine("none", 1, 1, lambda pixels, batch: iter(()))
    names = {
        InceptionExtractor(Weights(network, weights, ""), replace(SPEC, normalisation=normalisation), engine).identity
        for weights in ("a", "b")
        for normalisation in ("symmetric", "imagenet")
    }
    assert len(names) == 4


def test_embeddings_carry_what_they_were_made_from(make_images: Callable[..., ImageSet], quick: Any) -> None:
    images = make_images(5, size=16)
    shown: list[tuple[str, int, int]] = []
    embedded = embed_images(quick, images, progress=lambda *step: shown.append(step))
    assert embedded.features.shape == (5, 16)
    assert embedded.features.dtype == np.float32
    assert embedded.groups.tolist() == images.groups.tolist()
    assert (embedded.extractor, embedded.recipe) == ("quick", images.recipe)
    assert shown[-1] == ("embedding", 5, 5)
    assert all(total == 5 for _, _, total in shown)


# ------------------------------------------------------------------------------------------------------------ faults


@dataclass
class Wrong:
    """An extractor that answers as told."""

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
        (lambda n: (np.zeros((n, n), np.float32), None), "widths"),
    ],
)
def test_wrong_answers_are_errors(
    answer: Callable[[int], tuple[Any, Any]], word: str, make_images: Callable[..., ImageSet]
) -> None:
    with pytest.raises(ExtractorError, match=word):
        embed_images(Wrong(answer), make_images(130, size=16))


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 1, 8, 8), np.float32), np.zeros((0, 1, 8, 8), np.uint8)]
)
def test_wrong_images_are_errors(pixels: Any, quick: Any) -> None:
    images = ImageSet(pixels, np.array(["a"] * len(pixels)), "wrong")
    with pytest.raises(ExtractorError, match=r"uint8 \[N,1,H,W\]"):
        embed_images(quick, images)


def out_of_memory_over(most: int) -> Callable[[Tensor, int], Iterator[Tensor]]:
    def stream(pixels: Tensor, batch: int) -> Iterator[Tensor]:
        for part in torch.split(pixels, batch):
            if len(part) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield part.float().mean((2, 3)).expand(-1, 2048).contiguous()

    return stream


def test_the_batch_shrinks_until_memory_suffices(network: nn.Module, make_images: Callable[..., ImageSet]) -> None:
    extractor = InceptionExtractor(Weights(network, "", ""), SPEC, Engine("small", 16, 128, out_of_memory_over(3)))
    pixels = make_images(21, size=16).pixels
    features, _ = extractor.embed(pixels)
    np.testing.assert_allclose(features[:, 0], pixels.mean((1, 2, 3)), rtol=1e-5)
    assert extractor.batch == 2


def test_one_image_too_many_is_an_error(network: nn.Module, make_images: Callable[..., ImageSet]) -> None:
    extractor = InceptionExtractor(Weights(network, "", ""), SPEC, Engine("none", 4, 128, out_of_memory_over(0)))
    with pytest.raises(ExtractorError, match="single image"):
        extractor.embed(make_images(2, size=16).pixels)


def test_other_failures_of_an_engine_are_not_swallowed(network: nn.Module) -> None:
    def stream(pixels: Tensor, batch: int) -> Iterator[Tensor]:
        raise RuntimeError("a bug")

    extractor = InceptionExtractor(Weights(network, "", ""), SPEC, Engine("broken", 4, 128, stream))
    with pytest.raises(RuntimeError, match="a bug"):
        extractor.embed(np.zeros((1, 1, 16, 16), np.uint8))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ExtractorError, match="no such feature space"):
        load_extractor("inception_v4")


# ------------------------------------------------------------------------------------------------------------ canary


SUMS = [1345600, 535011, 1320055, 2080769, 2129920, 1894400, 2089292, 1434896]


def test_the_canned_images_are_pinned() -> None:
    images = canned_images()
    assert images.shape == (8, 1, 128, 128)
    assert images.dtype == np.uint8
    assert images.reshape(8, -1).sum(1, dtype=np.int64).tolist() == SUMS
    assert all(len(np.unique(image)) > 1 for image in images)


def test_the_canary_is_128_numbers_that_notice_a_change(quick: Any) -> None:
    numbers = canary(quick)
    assert len(numbers) == 128
    assert numbers == canary(quick)

    class Shifted(type(quick)):  # type: ignore[misc]
        def embed(self, pixels: UInt8, progress: Progress = no_progress) -> Any:
            features, chances = super().embed(pixels, progress)
            return features * np.float32(1.01), chances

    other = np.array(canary(Shifted()))
    assert np.linalg.norm(other - numbers) / np.linalg.norm(numbers) == pytest.approx(0.01, rel=1e-3)


def test_the_canary_refuses_nan() -> None:
    with pytest.raises(ExtractorError, match="NaN"):
        canary(Wrong(lambda n: (np.full((n, 3), np.nan, np.float32), None)))
