"""Every float32 engine computes what torchvision's own modules compute."""

from __future__ import annotations

import os
import sys
import threading
import time
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


def test_parts_of_a_batch_are_computed_together_and_yielded_in_order() -> None:
    together, second_done = threading.Barrier(2), threading.Event()

    def run(part: torch.Tensor) -> torch.Tensor:
        number = int(part[0]) // 2
        if number < 2:
            together.wait(30)  # two parts at work, or this breaks
        if number == 0:
            assert second_done.wait(30)
        if number == 1:
            second_done.set()
        return part * 10

    found = list(stream_side_by_side(run, 2)(torch.arange(9), 4))
    assert [part.tolist() for part in found] == [[0, 10], [20, 30], [40, 50], [60, 70], [80]]


@pytest.mark.parametrize(("size", "workers"), [(1, 4), (2, 4), (5, 2), (8, 3), (16, 4)])
def test_no_more_images_than_a_batch_are_at_work(size: int, workers: int) -> None:
    """A batch is halved when memory runs out; a batch of one must be one image at a time."""
    changing, now, most = threading.Lock(), [0], [0]

    def run(part: torch.Tensor) -> torch.Tensor:
        with changing:
            now[0] += len(part)
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with changing:
            now[0] -= len(part)
        return part

    stream = stream_side_by_side(run, workers)
    assert torch.equal(torch.cat(list(stream(torch.arange(41), size))), torch.arange(41))
    assert most[0] <= size


def test_error_in_a_part_ends_the_work_after_the_parts_before_it() -> None:
    done = []

    def run(part: torch.Tensor) -> torch.Tensor:
        if int(part[0]) == 2:
            raise MemoryError("out of memory")
        done.append(int(part[0]))
        return part

    stream = stream_side_by_side(run, 2)
    parts = stream(torch.arange(100), 2)
    assert [int(next(parts)) for _ in range(2)] == [0, 1]
    with pytest.raises(MemoryError):
        next(parts)
    assert len(done) <= 4  # nothing is left in a queue
    assert [int(part) for part in stream(torch.arange(3, 6), 2)] == [3, 4, 5]  # and the engine goes on


def test_threads_are_kept_from_call_to_call() -> None:
    names = set()

    def run(part: torch.Tensor) -> torch.Tensor:
        names.add(threading.get_ident())
        return part

    stream = stream_side_by_side(run, 2)
    for _ in range(20):
        list(stream(torch.arange(8), 2))
    assert len(names) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_process_makes_threads_of_its_own() -> None:
    stream = stream_side_by_side(lambda part: part, 2)
    assert len(list(stream(torch.arange(4), 2))) == 4
    child = os.fork()
    if child == 0:
        os._exit(len(list(stream(torch.arange(6), 2))))
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 6


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
