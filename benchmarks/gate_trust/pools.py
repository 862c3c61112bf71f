"""Pools of sampled images with their SqueezeNet features, embedded once and kept in a work folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchvision.models import squeezenet1_1

from benchmarks.gate_trust.sampler import CHUNK, UInt8, draw

CLASSES = 8  # ImageNet's 1,000 probabilities are added up in so many blocks for the inception score


@dataclass(frozen=True)
class Pool:
    """Images of one model, row for row."""

    features: npt.NDArray[np.float32]  # [N,512]
    probabilities: npt.NDArray[np.float32]  # [N,8]
    pixels: Sequence[UInt8]  # chunks of [1024,1,128,128], mapped from disk

    def images(self, index: npt.NDArray[np.int64]) -> UInt8:
        """The pixels at `index`, [n,1,128,128]."""
        out = np.empty((len(index), *self.pixels[0].shape[1:]), np.uint8)
        for chunk in np.unique(index // CHUNK):
            here = index // CHUNK == chunk
            out[here] = self.pixels[chunk][index[here] % CHUNK]
        return out


class SqueezeNet:
    """The 512-d mean of SqueezeNet 1.1's last feature map, and class probabilities in 8 blocks.

    Convolutions run in bfloat16 with channels last, which takes a third of the time on two cores; every pool and the
    reference are embedded alike.
    """

    def __init__(self, data: Path) -> None:
        self.network = squeezenet1_1(weights=None).eval()
        state = torch.load(data / "weights" / "squeezenet1_1_imagenet_fp16.pt", weights_only=True)
        self.network.load_state_dict({key: value.float() for key, value in state.items()})
        self.network = self.network.bfloat16().to(memory_format=torch.channels_last)
        self.mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
        self.std = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]

    @torch.inference_mode()
    def embed(self, pixels: UInt8) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """uint8 [N,1,128,128] -> float32 [N,512], [N,8]."""
        features, classes = [], []
        for start in range(0, len(pixels), 128):
            batch = torch.from_numpy(pixels[start : start + 128]).float() / 255
            inputs = ((batch.expand(-1, 3, -1, -1) - self.mean) / self.std).bfloat16()
            maps = self.network.features(inputs.contiguous(memory_format=torch.channels_last))
            features.append(maps.float().mean((2, 3)))
            scores = self.network.classifier(maps).float().flatten(1).softmax(1)
            classes.append(scores.unflatten(1, (CLASSES, -1)).sum(2))
        return torch.cat(features).numpy(), torch.cat(classes).numpy()


def fill(work: Path, name: str, training: UInt8, network: SqueezeNet, images: int) -> None:
    """Embeds chunks until the pool has `images`; what is there already stays."""
    folder = work / name.replace("/", "_").replace(":", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for chunk in range(-(-images // CHUNK)):
        target = folder / f"{chunk:04d}.npz"
        if target.exists():
            continue
        pixels = draw(training, name, chunk)
        features, probabilities = network.embed(pixels)
        np.save(folder / f"{chunk:04d}.pixels.npy", pixels)
        part = folder / f"{chunk:04d}.part.npz"
        np.savez(part, features=features, probabilities=probabilities)
        os.replace(part, target)


def load(work: Path, name: str) -> Pool:
    """The chunks that are there."""
    folder = work / name.replace("/", "_").replace(":", "_")
    files = sorted(path for path in folder.glob("????.npz"))
    parts = []
    for path in files:
        with np.load(path) as archive:
            parts.append((archive["features"], archive["probabilities"]))
    pixels = [np.load(path.with_suffix(".pixels.npy"), mmap_mode="r") for path in files]
    return Pool(np.concatenate([f for f, _ in parts]), np.concatenate([p for _, p in parts]), pixels)
