"""Feature spaces as a user would write them; test_spaces.py names them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch.nn import functional

from pytest_medgan.records import Float32, Progress, UInt8, no_progress


def block_means(pixels: UInt8) -> Float32:
    """uint8 [N,1,H,W] => float32 [N,16]."""
    n, _, height, width = pixels.shape
    return pixels.reshape(n, 4, height // 4, 4, width // 4).mean((2, 4)).reshape(n, 16).astype(np.float32)


def named(pixels: UInt8) -> tuple[Float32, Float32]:
    """Features and probabilities, with an identity of its own."""
    return block_means(pixels), np.full((len(pixels), 2), 0.5, np.float32)


named.identity = "my space, version 2"  # type: ignore[attr-defined]


class SqueezeNet:
    """The 512-d mean of SqueezeNet 1.1's last maps, ImageNet weights (Iandola et al. 2016)."""

    identity = "squeezenet1_1;imagenet fp16;mean of features;128;ImageNet mean and sd"
    numeric_class = "float32"

    def __init__(self) -> None:
        file = Path(os.environ["MEDGAN_SHARED_DATA"]) / "weights" / "squeezenet1_1_imagenet_fp16.pt"
        self.network = torchvision.models.squeezenet1_1(weights=None).eval()
        self.network.load_state_dict({k: v.float() for k, v in torch.load(file, weights_only=True).items()})

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        mean, sd = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        parts = []
        with torch.inference_mode():
            for part in torch.split(torch.from_numpy(pixels), 32):
                x = (part.float() / 255).expand(-1, 3, -1, -1)
                parts.append(functional.adaptive_avg_pool2d(self.network.features((x - mean) / sd), 1).flatten(1))
        return torch.cat(parts).numpy(), None


class Nameless:
    """An object that embeds and has no identity."""

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        return block_means(pixels), None


SHARED = np.empty((128, 16), np.float32)


def reusing(pixels: UInt8) -> Float32:
    """Return one array each time, filled anew."""
    SHARED[: len(pixels)] = block_means(pixels)
    return SHARED[: len(pixels)]


class Reusing:
    """The same as an object."""

    identity, numeric_class = "reusing", "float32"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        return reusing(pixels), None


def rows(pixels: UInt8) -> list[Float32]:
    """Return a list with one row of features for each image."""
    return list(block_means(pixels))


def plain_rows(pixels: UInt8) -> list[list[float]]:
    """The same in plain numbers."""
    plain: list[list[float]] = block_means(pixels).tolist()
    return plain


def complex_numbers(pixels: UInt8) -> object:
    return block_means(pixels) + 1j


class OfItsWeights:
    """A callable object whose identity follows from its weights."""

    weight = 1.0

    @property
    def identity(self) -> str:
        return f"weight {self.weight}"

    def __call__(self, pixels: UInt8) -> Float32:
        return block_means(pixels) * np.float32(self.weight)


of_its_weights = OfItsWeights()


class Network(torch.nn.Module):
    """A network as an extractor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, pixels: UInt8) -> torch.Tensor:
        return torch.from_numpy(block_means(pixels)) * self.scale


network = Network()


def wrong_count(pixels: UInt8) -> Float32:
    return block_means(pixels)[1:]


NUMBER = 3
