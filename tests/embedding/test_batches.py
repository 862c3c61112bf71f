"""Batches shrink when memory runs out, whatever embeds, and float32 means float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding.arithmetic import arithmetic, give_back
from pytest_medgan.embedding.engines import Engine, make_engine, padded
from pytest_medgan.embedding.extract import InceptionExtractor
from pytest_medgan.embedding.inception import prepare
from pytest_medgan.embedding.spaces import OtherExtractor
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import Weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet, UInt8

MakeImages = Callable[..., ImageSet]


def means_of_at_most(most: int, seen: list[int]) -> Callable[[UInt8], Float32]:
    def answer(pixels: UInt8) -> Float32:
        seen.append(len(pixels))
        if len(pixels) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels.mean((2, 3)).astype(np.float32)

    return answer


def test_a_space_of_ones_own_shrinks_its_batch_too(make_images: MakeImages) -> None:
    """A function, a file and a model of timm go the same way; what was answered before is not asked again."""
    pixels, seen = make_images(21, size=16).pixels, list[int]()
    extractor = OtherExtractor("means", "means", means_of_at_most(3, seen), batch=16)
    features, _ = extractor.embed(pixels)
    np.testing.assert_allclose(features, pixels.mean((2, 3)), rtol=1e-6)
    assert (extractor.batch, extractor.unit) == (2, 16)
    assert seen[:4] == [16, 8, 4, 2]
    assert sum(n for n in seen if n <= 2) == 21


def test_memory_that_ends_midway_costs_no_second_answer(make_images: MakeImages) -> None:
    pixels, asked = make_images(12, size=16).pixels, list[int]()

    def answer(given: UInt8) -> Float32:
        asked.append(len(given))
        if len(asked) == 2:
            raise MemoryError
        return given.mean((2, 3)).astype(np.float32)

    features, _ = OtherExtractor("means", "means", answer, batch=4).embed(pixels)
    np.testing.assert_allclose(features, pixels.mean((2, 3)), rtol=1e-6)
    assert asked == [4, 4, 2, 2, 2, 2]


def test_one_image_too_many_of_ones_own_is_an_error(make_images: MakeImages) -> None:
    with pytest.raises(ExtractorError, match="single image"):
        OtherExtractor("means", "means", means_of_at_most(0, []), batch=4).embed(make_images(2, size=16).pixels)


def test_the_compiled_engine_shrinks(
    network: nn.Module, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compiled for one size at a time, and no longer fills every batch up to the first one's."""
    sizes: list[int] = []

    def fake(module: nn.Module, **_: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        def forward(grey: torch.Tensor) -> torch.Tensor:
            sizes.append(len(grey))
            if len(grey) > 3:
                raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
            return grey.mean((2, 3)).expand(-1, 2048).contiguous()

        return forward

    monkeypatch.setattr(torch, "compile", fake)
    spec = ExtractorSpec("inception_v3", weights="random", engine="compiled", batch=8)
    extractor = InceptionExtractor(Weights(network, "", ""), spec, make_engine(network, spec, "cpu"))
    pixels = make_images(5, size=16).pixels
    features, _ = extractor.embed(pixels)
    np.testing.assert_allclose(features[:, 0], prepare(torch.from_numpy(pixels)).mean((1, 2, 3)), rtol=1e-5)
    assert sizes == [8, 4, 2, 2, 2]  # the last of them filled up


def test_padding_changes_no_row() -> None:
    images = torch.arange(12.0).reshape(3, 1, 2, 2)
    assert torch.equal(padded(lambda x: x * 2, 8)(images), images * 2)


def test_float32_is_float32_whatever_torch_was_told(make_images: MakeImages) -> None:
    told: list[tuple[str, bool]] = []

    def answer(pixels: UInt8) -> Float32:
        told.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        return pixels.mean((2, 3)).astype(np.float32)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        OtherExtractor("means", "means", answer, batch=4).embed(make_images(4, size=16).pixels)
        assert told == [("highest", False)]
        assert torch.get_float32_matmul_precision() == "high"
        with arithmetic("tf32"):
            assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


def test_giving_memory_back_is_harmless() -> None:
    kept = np.arange(10)
    give_back()
    assert kept.sum() == 45


@pytest.mark.medgan_gpu
def test_a_space_of_ones_own_is_in_float32_on_a_gpu() -> None:
    """A product that TF32 would round: 1 + 2**-12 has more digits than TF32 keeps."""
    value = torch.full((64, 64), 1 + 2.0**-12, device="cuda")

    def answer(pixels: UInt8) -> torch.Tensor:
        return (value @ torch.eye(64, device="cuda"))[: len(pixels)]

    torch.set_float32_matmul_precision("high")
    try:
        features, _ = OtherExtractor("product", "product", answer, batch=4).embed(np.zeros((4, 1, 8, 8), np.uint8))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (features == np.float32(1 + 2.0**-12)).all()


@pytest.mark.medgan_gpu
@pytest.mark.parametrize("name", ["graph", "compiled"])
def test_cuda_engines_shrink(name: str, network: nn.Module, make_images: MakeImages) -> None:
    spec = ExtractorSpec("inception_v3", weights="random", engine=name, batch=8)
    engine = make_engine(network, spec, "cuda")
    pixels = make_images(5).pixels
    whole = InceptionExtractor(Weights(network, "", ""), spec, engine)
    small = InceptionExtractor(Weights(network, "", ""), spec, Engine(name, 2, engine.block, engine.stream))
    small.batch = 2
    ours, theirs = small.embed(pixels)[0], whole.embed(pixels)[0]
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 1e-5
