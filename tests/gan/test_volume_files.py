"""Exported networks and bundles that draw volumes [N,1,D,H,W]: two or one at a time, with their shape."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.contract import resolve_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents
from pytest_medgan.gan.sampling import NetworkGenerator
from tests.monai_bundles import GAN, LATENT, write_bundle


class Volumes(nn.Module):
    """z [N,12] -> volumes [N,channels,4,8,8] in -1..1."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(12, channels * 256)
        self.channels = channels

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z)).reshape(-1, self.channels, 4, 8, 8)


def script(network: nn.Module, folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 12)), folder / "a-z12.pt")
    return str(folder / "a-z12.pt")


def export(network: nn.Module, folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim("batch", min=2, max=64)},)  # takes no single volume
        torch.export.save(torch.export.export(network, (torch.zeros(2, 12),), dynamic_shapes=shapes), folder / "a.pt2")
    return str(folder / "a.pt2")


def onnx(network: nn.Module, folder: Path, batch: int | str = "n") -> str:
    package = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    channels = int(network.channels)  # type: ignore[arg-type]
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    constants = {**weights, "shape": np.array([-1, channels, 4, 8, 8])}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["z", "layer.weight", "layer.bias"], ["grey"], transB=1),
            helper.make_node("Tanh", ["grey"], ["ended"]),
            helper.make_node("Reshape", ["ended", "shape"], ["volumes"]),
        ],
        "draws",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, 12])],
        [helper.make_tensor_value_info("volumes", TensorProto.FLOAT, [batch, channels, 4, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    package.save(model, str(folder / "a.onnx"))
    return str(folder / "a.onnx")


def onnx_one_by_one(network: nn.Module, folder: Path) -> str:
    return onnx(network, folder, batch=1)


@pytest.mark.parametrize("write", [script, export, onnx, onnx_one_by_one])
def test_exported_network_draws_its_volumes(write: Callable[[nn.Module, Path], str], tmp_path: Path) -> None:
    network = Volumes().eval()
    generator = load_generator(write(network, tmp_path))
    with torch.no_grad():
        expected = to_grey(network(torch.from_numpy(latents(0, 35, 3, 12))))
    volumes = generator(35, 3)
    assert volumes.shape == (35, 1, 4, 8, 8)
    assert np.abs(volumes.astype(int) - expected.astype(int)).max() <= 1
    np.testing.assert_array_equal(generator(35, 3), volumes)
    np.testing.assert_array_equal(generator.sample_range(31, 34, 3), volumes[31:34])  # type: ignore[union-attr]
    assert resolve_generator(generator).volume_shape == (4, 8, 8)


def test_volumes_that_are_asked_for_one_by_one_are_drawn_once() -> None:
    drawn = []

    class Counted(Volumes):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            drawn.append(len(z))
            return super().forward(z)

    generator = NetworkGenerator(Counted(), latent=12, identity="a", volume_shape=(4, 8, 8))
    one_by_one = np.concatenate([generator.sample_range(at, at + 1, 0) for at in range(6)])
    assert drawn == [2, 2, 2]
    np.testing.assert_array_equal(one_by_one, generator(6, 0))
    assert (generator.sample_range(5, 6, 1) != one_by_one[5:]).any()  # of another seed


@pytest.mark.parametrize("write", [script, export, onnx])
def test_volumes_of_several_channels_are_refused(write: Callable[[nn.Module, Path], str], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"returns \[2, 2, 4, 8, 8\].*volumes of one channel, \[2,1,D,H,W\]"):
        load_generator(write(Volumes(channels=2), tmp_path))


needs_monai = pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="needs monai")

GAN_OF_VOLUMES: dict[str, Any] = {
    **GAN,
    "network_def": {**GAN["network_def"], "start_shape": [8, 4, 4, 4]},
}
LATENT_OF_VOLUMES: dict[str, Any] = {
    **LATENT,
    "latent_shape": [2, 8, 8, 8],
    "autoencoder_def": {**LATENT["autoencoder_def"], "spatial_dims": 3},
    "network_def": {**LATENT["network_def"], "spatial_dims": 3},
}


@needs_monai
@pytest.mark.parametrize(
    ("content", "options", "shape"),
    [
        pytest.param(GAN_OF_VOLUMES, "", (16, 16, 16), id="GAN"),
        pytest.param(LATENT_OF_VOLUMES, ",range=-4:4,steps=2", (16, 16, 16), id="latent diffusion"),
    ],
)
def test_bundle_draws_its_volumes(
    content: dict[str, Any], options: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "bundle", content)
    generator = load_generator(f"{bundle},trust=yes{options}")
    volumes = generator(3, 1)
    assert volumes.shape == (3, 1, *shape)
    np.testing.assert_array_equal(generator(3, 1), volumes)
    np.testing.assert_array_equal(generator.sample_range(2, 3, 1), volumes[2:])  # type: ignore[union-attr]
    assert (volumes[0] != volumes[1]).any()
    assert resolve_generator(generator).volume_shape == shape
