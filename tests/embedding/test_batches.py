"""Batches shrink when memory runs out, and float32 means float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding.arithmetic import arithmetic, release_memory
from pytest_medgan.embedding.batches import Batches
from pytest_medgan.embedding.engine import pad_batches
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import inception_network, prepare
from pytest_medgan.embedding.inception_space import make_space
from pytest_medgan.embedding.spaces import space_of_function
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


def test_batch_too_large_for_memory_is_halved_until_it_fits(make_images: MakeImages) -> None:
    pixels, seen = make_images(21, size=16).pixels, list[int]()
    space = space_of_function("means", "means", means_of_at_most(3, seen), batch=16)
    features, _ = space.embed(pixels)
    np.testing.assert_allclose(features, pixels.mean((2, 3)), rtol=1e-6)
    assert space.unit == 16  # processes share work by it, so it must not shrink
    assert seen[:4] == [16, 8, 4, 2]
    assert sum(n for n in seen if n <= 2) == 21
    space.embed(pixels[:2])
    assert seen[-1] == 2


def test_second_attempt_after_memory_ran_out_embeds_the_images_as_they_were(make_images: MakeImages) -> None:
    """A user's function may have written to the images before it ran out of memory."""
    pixels, answer = make_images(6, size=16).pixels, means_of_at_most(2, [])

    def darkening(given: UInt8) -> Float32:
        before = given.copy()
        given //= 2
        return answer(before)

    features, _ = space_of_function("darkening", "darkening", darkening, batch=4).embed(pixels.copy())
    np.testing.assert_allclose(features, pixels.mean((2, 3)), rtol=1e-6)


def test_error_that_is_not_about_memory_is_raised_as_it_came() -> None:
    def stream(pixels: UInt8, batch: int) -> Any:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Batches(stream, 4).embed(np.zeros((1, 1, 16, 16), np.uint8), lambda *_: None)


def test_images_embedded_before_memory_ran_out_are_not_embedded_again(make_images: MakeImages) -> None:
    pixels, asked = make_images(12, size=16).pixels, list[int]()

    def answer(given: UInt8) -> Float32:
        asked.append(len(given))
        if len(asked) == 2:
            raise MemoryError
        return given.mean((2, 3)).astype(np.float32)

    features, _ = space_of_function("means", "means", answer, batch=4).embed(pixels)
    np.testing.assert_allclose(features, pixels.mean((2, 3)), rtol=1e-6)
    assert asked == [4, 4, 2, 2, 2, 2]


def test_single_image_too_large_for_memory_is_an_error(make_images: MakeImages) -> None:
    with pytest.raises(ExtractorError, match="out of memory with one image"):
        space_of_function("means", "means", means_of_at_most(0, []), batch=4).embed(make_images(2, size=16).pixels)


def test_compiled_engine_pads_to_the_halved_batch(
    network: nn.Module, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    engine = make_engine(inception_network(network, "symmetric"), spec, "cpu")
    extractor = make_space(Weights(network, "", ""), spec, engine)
    pixels = make_images(5, size=16).pixels
    features, _ = extractor.embed(pixels)
    np.testing.assert_allclose(features[:, 0], prepare(torch.from_numpy(pixels)).mean((1, 2, 3)), rtol=1e-5)
    assert sizes == [8, 4, 2, 2, 2]  # the last batch is padded


def test_pad_batches_changes_no_row() -> None:
    images = torch.arange(12.0).reshape(3, 1, 2, 2)
    assert torch.equal(pad_batches(lambda x: x * 2, 8)(images), images * 2)


def test_function_runs_in_float32_whatever_torch_is_set_to(make_images: MakeImages) -> None:
    modes: list[tuple[str, bool]] = []

    def answer(pixels: UInt8) -> Float32:
        modes.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        return pixels.mean((2, 3)).astype(np.float32)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        space_of_function("means", "means", answer, batch=4).embed(make_images(4, size=16).pixels)
        assert modes == [("highest", False)]
        assert torch.get_float32_matmul_precision() == "high"
        with arithmetic("tf32"):
            assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


def test_release_memory_keeps_arrays() -> None:
    kept = np.arange(10)
    release_memory()
    assert kept.sum() == 45


@pytest.mark.medgan_gpu
def test_function_on_a_gpu_computes_without_tf32() -> None:
    """TF32 would round 1 + 2**-12."""
    value = torch.full((64, 64), 1 + 2.0**-12, device="cuda")

    def answer(pixels: UInt8) -> torch.Tensor:
        return (value @ torch.eye(64, device="cuda"))[: len(pixels)]

    torch.set_float32_matmul_precision("high")
    try:
        features, _ = space_of_function("product", "product", answer, batch=4).embed(np.zeros((4, 1, 8, 8), np.uint8))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (features == np.float32(1 + 2.0**-12)).all()


@pytest.mark.medgan_gpu
@pytest.mark.parametrize("name", ["graph", "compiled"])
def test_cuda_engine_with_a_smaller_batch_gives_the_same_features(
    name: str, network: nn.Module, make_images: MakeImages
) -> None:
    spec = ExtractorSpec("inception_v3", weights="random", engine=name, batch=8)
    engine = make_engine(inception_network(network, "symmetric"), spec, "cuda")
    pixels = make_images(5).pixels
    whole = make_space(Weights(network, "", ""), spec, engine).embed(pixels)[0]
    small = torch.cat(list(engine.stream(torch.from_numpy(pixels), 2))).numpy()
    assert np.linalg.norm(small - whole) / np.linalg.norm(whole) < 1e-5
