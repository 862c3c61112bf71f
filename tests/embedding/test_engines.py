"""Every float32 engine computes what plain eager torchvision computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding import topology
from pytest_medgan.embedding.engines import Engine, choose, grey_convolutions, make_engine
from pytest_medgan.embedding.inception import maps, prepare, to_three_channels
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet

SPEC = ExtractorSpec("inception_v3", weights="random")
Gap = Callable[[Float32, Float32], float]


def features(engine: Engine, pixels: np.ndarray, batch: int = 2) -> np.ndarray:
    return torch.cat(list(engine.stream(torch.from_numpy(pixels), batch))).numpy()


@pytest.fixture(scope="module")
def plain(network: nn.Module, calibration: ImageSet) -> dict[str, np.ndarray]:
    """torchvision's modules as they come, contiguous, by normalisation."""
    answers = {}
    for normalisation in ("symmetric", "imagenet"):
        with torch.inference_mode():
            x = to_three_channels(prepare(torch.from_numpy(calibration.pixels[:3])), normalisation).contiguous()
            answers[normalisation] = maps(network, x).mean((2, 3)).numpy()
    return answers


@pytest.mark.parametrize("name", ["eager", "folded", "onnxruntime", "openvino"])
def test_float32_engines_agree(
    name: str, network: nn.Module, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    if name in ("onnxruntime", "openvino"):
        pytest.importorskip("onnx")
        pytest.importorskip(name)
    engine = make_engine(network, replace(SPEC, engine=name), "cpu")
    assert engine.name == name
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="torch.compile needs a compiler; CI has one on Linux")
def test_the_compiled_engine_agrees(
    network: nn.Module, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(network, replace(SPEC, engine="compiled", batch=2), "cpu")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 1e-5


def test_folding_imagenets_normalisation_into_the_first_layer_is_exact(
    network: nn.Module, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(network, replace(SPEC, engine="folded", normalisation="imagenet"), "cpu")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["imagenet"]) < 1e-5


def test_bfloat16_is_near_and_not_the_same(
    network: nn.Module, calibration: ImageSet, plain: dict[str, np.ndarray], relative_gap: Gap
) -> None:
    engine = make_engine(network, replace(SPEC, precision="bfloat16"), "cpu")
    assert 1e-4 < relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < 0.1


def test_folding_takes_every_convolution(network: nn.Module) -> None:
    convolutions = topology.fold(network)
    assert len(convolutions) == 94
    assert sum(c.weight.numel() for c in convolutions.values()) == sum(
        m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d)
    )
    assert grey_convolutions(network, "symmetric")[topology.FIRST].weight.shape == (32, 1, 3, 3)


def test_auto_takes_the_fastest_float32_engine_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnx", "onnxruntime"}
    monkeypatch.setattr("pytest_medgan.embedding.engines.find_spec", lambda name: name in installed or None)
    assert choose("cpu", "float32") == "onnxruntime"
    assert choose("cpu", "bfloat16") == "folded"
    assert choose("cuda", "float32") == "graph"
    installed.clear()
    assert choose("cpu", "float32") == "folded"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"precision": "tf32"}, "CUDA format"),
        ({"precision": "bfloat16", "engine": "onnxruntime"}, "float32"),
        ({"precision": "bfloat16", "engine": "eager"}, "float32"),
        ({"engine": "graph"}, "CUDA graph"),
    ],
)
def test_what_cannot_run_here_is_said(network: nn.Module, settings: dict[str, str], word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        make_engine(network, replace(SPEC, **settings), "cpu")  # type: ignore[arg-type]


def test_a_missing_runtime_is_named(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "onnx.helper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtractorError, match=r"pytest-medgan\[onnx\]"):
        make_engine(network, replace(SPEC, engine="onnxruntime"), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_one_line(network: nn.Module) -> None:
    with pytest.raises(ExtractorError, match="no GPU"):
        make_engine(network, SPEC, "cuda")


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
def test_cuda_engines_agree(name: str, precision: str, allowed: float, request: pytest.FixtureRequest) -> None:
    network, calibration = request.getfixturevalue("network"), request.getfixturevalue("calibration")
    plain, relative_gap = request.getfixturevalue("plain"), request.getfixturevalue("relative_gap")
    engine = make_engine(network, replace(SPEC, engine=name, precision=precision), "cuda")
    assert relative_gap(features(engine, calibration.pixels[:3]), plain["symmetric"]) < allowed
