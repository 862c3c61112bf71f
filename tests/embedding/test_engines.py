"""Every float32 engine computes what torchvision's own modules compute."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding.engine import Engine, pad_batches, stream_side_by_side
from pytest_medgan.embedding.engines import make_engine, preferred_engine
from pytest_medgan.embedding.inception import inception_network, maps, prepare, to_three_channels
from pytest_medgan.embedding.inception_network import FIRST, fold
from pytest_medgan.embedding.operations import Network
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet

SPEC = ExtractorSpec("inception_v3", weights="random")
Gap = Callable[[Float32, Float32], float]


def features(engine: Engine, pixels: np.ndarray, batch: int = 2) -> np.ndarray:
    return torch.cat(list(engine.stream(torch.from_numpy(pixels), batch))).numpy()


@pytest.fixture(scope="module")
def plain(network: nn.Module, calibration: ImageSet) -> dict[str, np.ndarray]:
    """Features by torchvision's modules, contiguous, by normalisation."""
    answers = {}
    for normalisation in ("symmetric", "imagenet"):
        with torch.inference_mode():
            x = to_three_channels(prepare(torch.from_numpy(calibration.pixels[:3])), normalisation).contiguous()
            answers[normalisation] = maps(network, x).mean((2, 3)).numpy()
    return answers


@pytest.fixture(scope="module")
def ready(network: nn.Module) -> Network:
    """The network as engines take it."""
    return inception_network(network, "symmetric")


@pytest.mark.parametrize("name", ["eager", "folded", "onnxruntime"])
def test_float32_engine_agrees_with_torchvision(
    name: str, ready: Network, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    if name == "onnxruntime":
        pytest.importorskip("onnx")
        pytest.importorskip(name)
    engine = make_engine(ready, replace(SPEC, engine=name), "cpu")
    assert engine.name == name
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="torch.compile needs a compiler; CI has one on Linux")
def test_compiled_engine_agrees_with_torchvision(
    ready: Network, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(ready, replace(SPEC, engine="compiled", batch=2), "cpu")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 1e-5


def test_imagenet_normalisation_folds_into_the_first_convolution(
    network: nn.Module, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(inception_network(network, "imagenet"), replace(SPEC, engine="folded"), "cpu")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["imagenet"]) < 1e-5


def test_bfloat16_features_are_close_but_not_equal(
    ready: Network, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(ready, replace(SPEC, precision="bfloat16"), "cpu")
    assert 1e-4 < relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 0.1


def test_fold_takes_every_convolution(network: nn.Module) -> None:
    convolutions = fold(network)
    assert len(convolutions) == 94
    assert sum(c.weight.numel() for c in convolutions.values()) == sum(
        m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d)
    )
    assert inception_network(network, "symmetric").convolutions[FIRST].weight.shape == (32, 1, 3, 3)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_padded_batch_returns_the_rows_of_its_images(count: int) -> None:
    sizes = []

    def forward(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return images.flatten(1)

    images = torch.arange(4.0 * count).reshape(count, 1, 2, 2)
    assert torch.equal(pad_batches(forward, 5)(images), images.flatten(1))
    assert sizes == [5]


def test_batches_side_by_side_are_computed_together_and_yielded_in_order() -> None:
    together, second_done = threading.Barrier(2), threading.Event()

    def run(part: torch.Tensor) -> torch.Tensor:
        number = int(part[0]) // 2
        if number < 2:
            together.wait(30)  # two batches at work, or this breaks
        if number == 0:
            assert second_done.wait(30)
        if number == 1:
            second_done.set()
        return part * 10

    pixels = torch.arange(9)
    found = list(stream_side_by_side(run, 2)(pixels, 2))
    assert [part.tolist() for part in found] == [[0, 10], [20, 30], [40, 50], [60, 70], [80]]


def test_error_in_a_batch_follows_the_batches_before_it() -> None:
    def run(part: torch.Tensor) -> torch.Tensor:
        if int(part[0]) == 2:
            raise MemoryError("out of memory")
        return part

    stream = stream_side_by_side(run, 2)(torch.arange(6), 1)
    assert [int(next(stream)) for _ in range(2)] == [0, 1]
    with pytest.raises(MemoryError):
        next(stream)


def test_onnx_runtime_features_are_equal_to_the_bit_however_many_threads_compute(
    ready: Network, calibration: ImageSet
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    threads, answers = torch.get_num_threads(), []
    for count in (1, 2, 6):
        torch.set_num_threads(count)
        try:
            engine = make_engine(ready, replace(SPEC, engine="onnxruntime"), "cpu")
            answers.append(features(engine, calibration.pixels[:5], 1))
        finally:
            torch.set_num_threads(threads)
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def test_preferred_engine_is_the_fastest_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnx", "onnxruntime"}
    monkeypatch.setattr("pytest_medgan.embedding.engines.find_spec", lambda name: name in installed or None)
    assert preferred_engine("cpu", "float32") == "onnxruntime"
    assert preferred_engine("cpu", "bfloat16") == "folded"
    assert preferred_engine("cuda", "float32") == "graph"
    installed.clear()
    assert preferred_engine("cpu", "float32") == "folded"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"precision": "tf32"}, "format of CUDA"),
        ({"precision": "bfloat16", "engine": "onnxruntime"}, "float32"),
        ({"precision": "bfloat16", "engine": "eager"}, "float32"),
        ({"engine": "graph"}, "CUDA graph"),
    ],
)
def test_engine_that_cannot_run_here_is_an_error(ready: Network, settings: dict[str, str], word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        make_engine(ready, replace(SPEC, **settings), "cpu")  # type: ignore[arg-type]


def test_missing_onnx_runtime_names_the_extra(ready: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "onnx.helper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtractorError, match=r"pytest-medgan\[onnx\]"):
        make_engine(ready, replace(SPEC, engine="onnxruntime"), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_an_error(ready: Network) -> None:
    with pytest.raises(ExtractorError, match="no GPU"):
        make_engine(ready, SPEC, "cuda")


@pytest.mark.medgan_gpu
@pytest.mark.parametrize(
    ("name", "precision", "allowed"),
    [
        ("eager", "float32", 1e-5),
        ("folded", "float32", 1e-5),
        ("graph", "float32", 1e-5),
        ("graph", "tf32", 2e-2),
        ("graph", "bfloat16", 0.1),
    ],
)
def test_cuda_engine_agrees_with_the_cpu(
    name: str, precision: str, allowed: float, request: pytest.FixtureRequest
) -> None:
    ready, calibration = request.getfixturevalue("ready"), request.getfixturevalue("calibration")
    plain, relative_gap = request.getfixturevalue("plain"), request.getfixturevalue("relative_gap")
    engine = make_engine(ready, replace(SPEC, engine=name, precision=precision), "cuda")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < allowed
