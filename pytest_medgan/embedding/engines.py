"""What runs the folded network: one name, one way from prepared greys to features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pytest_medgan.embedding.folded import FoldedInception
from pytest_medgan.embedding.inception import channel_affine, maps, prepare, to_three_channels
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.topology import Convolution, fold, fold_input
from pytest_medgan.errors import ExtractorError

FIRST = "Conv2d_1a_3x3"


@dataclass(frozen=True, eq=False)
class Engine:
    """uint8 [N,1,H,W] on the CPU => float32 [N,2048] on the CPU."""

    name: str
    batch: int  # images at once that suit it
    features: Callable[[Tensor], Tensor]


def make_engine(network: nn.Module, spec: ExtractorSpec, device: str) -> Engine:
    """The engine `spec` asks for; "auto" chooses among those whose float32 numbers agree.

    Raises ExtractorError where it cannot run here.
    """
    if spec.engine == "eager" and spec.precision == "float32":
        return Engine("eager", 16, lambda pixels: _eager(network, pixels, spec.normalisation))
    if device != "cpu" or spec.engine not in ("auto", "folded"):
        raise ExtractorError(f"engine={spec.engine} with precision={spec.precision} does not run on {device} here")
    return _folded(network, spec)


def grey_convolutions(network: nn.Module, normalisation: str) -> dict[str, Convolution]:
    """The folded network for one grey channel in (-1, 1)."""
    convolutions = fold(network)
    convolutions[FIRST] = fold_input(convolutions[FIRST], *channel_affine(normalisation))
    return convolutions


@torch.inference_mode()
def _eager(network: nn.Module, pixels: Tensor, normalisation: str) -> Tensor:
    return maps(network, to_three_channels(prepare(pixels), normalisation)).mean((2, 3))


def _folded(network: nn.Module, spec: ExtractorSpec) -> Engine:
    dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
    folded = FoldedInception(grey_convolutions(network, spec.normalisation), dtype)

    @torch.inference_mode()
    def features(pixels: Tensor) -> Tensor:
        result: Tensor = folded(prepare(pixels))
        return result

    return Engine("folded", 16, features)
