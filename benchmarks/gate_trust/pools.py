"""Pools of sampled images with their SqueezeNet features, drawn and embedded when first asked for, kept on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchvision.models import squeezenet1_1

from benchmarks.gate_trust.sampler import CHUNK, UInt8, draw
from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.records import ImageSet

CLASSES = 8  # ImageNet's 1,000 probabilities are added up in so many blocks for the inception score
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """Images and what the network says of them, row for row."""

    features: npt.NDArray[np.float32]  # [N,512]
    probabilities: npt.NDArray[np.float32]  # [N,8]
    pixels: UInt8  # [N,1,128,128]

    def __len__(self) -> int:
        return len(self.features)

    def replaced(self, where: Rows, other: Images) -> Images:
        """These images with `other` at the rows `where`."""
        features, probabilities, pixels = self.features.copy(), self.probabilities.copy(), self.pixels.copy()
        features[where], probabilities[where], pixels[where] = other.features, other.probabilities, other.pixels
        return Images(features, probabilities, pixels)

    def take(self, index: Rows) -> Images:
        return Images(self.features[index], self.probabilities[index], self.pixels[index])

    def save(self, path: Path) -> None:
        """Whole or not at all, whoever else writes the same."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, features=self.features, probabilities=self.probabilities, pixels=self.pixels)
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Images:
        with np.load(path) as archive:
            return cls(archive["features"], archive["probabilities"], archive["pixels"])

    @classmethod
    def joined(cls, parts: list[Images]) -> Images:
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.pixels for part in parts]),
        )


class SqueezeNet:
    """The 512-d mean of SqueezeNet 1.1's last feature map, and class probabilities in 8 blocks.

    Convolutions run with channels last, and in bfloat16 where the processor has it, which takes a third of the time
    there; every pool and the reference are embedded alike, so a work folder belongs to one kind of processor.
    """

    def __init__(self, data: Path) -> None:
        self.network = squeezenet1_1(weights=None).eval()
        state = torch.load(data / "weights" / "squeezenet1_1_imagenet_fp16.pt", weights_only=True)
        self.network.load_state_dict({key: value.float() for key, value in state.items()})
        told = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
        self.kind = torch.bfloat16 if told.get("avx512_bf16") else torch.float32
        self.network = self.network.to(self.kind).to(memory_format=torch.channels_last)
        self.mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
        self.std = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]

    @torch.inference_mode()
    def embed(self, pixels: UInt8) -> Images:
        """Of uint8 [N,1,128,128]."""
        features, classes = [], []
        for start in range(0, len(pixels), 128):
            batch = torch.from_numpy(pixels[start : start + 128]).float() / 255
            inputs = ((batch.expand(-1, 3, -1, -1) - self.mean) / self.std).to(self.kind)
            maps = self.network.features(inputs.contiguous(memory_format=torch.channels_last))
            features.append(maps.float().mean((2, 3)))
            scores = self.network.classifier(maps).float().flatten(1).softmax(1)
            classes.append(scores.unflatten(1, (CLASSES, -1)).sum(2))
        return Images(torch.cat(features).numpy(), torch.cat(classes).numpy(), pixels)


class Inception:
    """Any feature space of the product, by the string that names it; random weights are calibrated on `real`."""

    def __init__(self, spec: str, real: UInt8) -> None:
        calibration = ImageSet(real, np.full(len(real), "real"), "real")
        self.extractor = load_extractor(spec, calibration=calibration)

    def embed(self, pixels: UInt8) -> Images:
        """Of uint8 [N,1,128,128]."""
        found = embed_images(self.extractor, ImageSet(pixels, np.full(len(pixels), "sampled"), "sampled"))
        if found.probabilities is None:
            raise SystemExit("the gates need a feature space with class probabilities")
        return Images(found.features, found.probabilities, pixels)


@dataclass(frozen=True)
class Pool:
    """One model's images, without end: chunks of 1,024, each drawn from a random stream of its own."""

    folder: Path
    name: str  # as `sampler.draw` reads it
    training: UInt8
    network: SqueezeNet | Inception

    def rows(self, start: int, stop: int) -> Images:
        """Images `start` to `stop`; chunks that are not on disk yet are made."""
        chunks = range(start // CHUNK, -(-stop // CHUNK))
        first = chunks.start * CHUNK
        found = Images.joined([self._chunk(chunk) for chunk in chunks])
        return found.take(np.arange(start - first, stop - first))

    def _chunk(self, chunk: int) -> Images:
        path = self.folder / self.name.replace("/", "_").replace(":", "_") / f"{chunk:04d}.npz"
        if not path.exists():
            self.network.embed(draw(self.training, self.name, chunk)).save(path)
        return Images.load(path)
