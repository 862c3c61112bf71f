"""Run exported generators (TorchScript, torch.export, ONNX) in a process of their own, which is ended when it is late.

Such a file may hold a loop without an end, or crash the library that runs it. Everything that reads or runs it happens
in that process; images come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import onnx_files
from pytest_medgan.gan.archives import from_archive
from pytest_medgan.gan.sampling import BlockGenerator, NetworkGenerator, choose_device
from pytest_medgan.ground.pool import Pool, WorkerLostError
from pytest_medgan.records import Progress, UInt8, no_progress

SECONDS = 300.0  # that a model may take to open, and for each block of images
_KEPT = 4  # models that stay open
_OPENINGS = count()
_PROCESS = Pool(1)  # starts with the first exported model and ends with this process

Order = TypeVar("Order")
Reply = TypeVar("Reply")


@dataclass(frozen=True)
class ExportedFile:
    """How to open a model."""

    path: str  # absolute
    latent: tuple[int, ...] | None  # its shape or size; None finds it out
    values: tuple[float, float] | None  # of black and white; None stands for -1 and 1
    device: str  # "cpu" or "cuda"
    threads: int  # to compute with; the last bits of an image depend on it
    opening: int  # a number of its own for each opening, since the file may be written again between two


@dataclass(frozen=True)
class BlockOrder:
    """Which images to draw."""

    file: ExportedFile
    identity: str  # of the model that was opened first
    seed: int
    block: int  # of latents, from 0


class ExportedGenerator(BlockGenerator):
    """Draw images with a model that runs in another process."""

    identity: str

    def __init__(self, file: ExportedFile, path: Path, seconds: float, progress: Progress) -> None:
        super().__init__(identity=_ask(_identify, file, path, seconds), progress=progress)
        self._file, self._path, self._seconds = file, path, seconds

    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return the images of one block of latents, uint8 [32,C,H,W]."""
        return _ask(_draw, BlockOrder(self._file, self.identity, seed, block), self._path, self._seconds)


def from_exported(
    path: Path,
    *,
    latent: tuple[int, ...] | None = None,
    values: tuple[float, float] | None = None,
    seconds: float = SECONDS,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> ExportedGenerator:
    """Return the generator of a TorchScript, torch.export or ONNX file: z float32 [N,latent] -> images [N,C,H,W].

    Args:
        path: The file.
        latent: Shape of a latent, or how many numbers it has; None finds it out.
        values: What the model returns for black and for white; None stands for -1 and 1, and a model that returns
            nothing below 0 is then refused, since it may well mean 0 and 1.
        seconds: Time that opening the file, and then each block of 32 images, may take.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The file cannot be used or trusted (see `from_archive` and `from_onnx`), crashes, or takes too
            long.
        SettingsError: The machine has no such device.
    """
    choose_device(device)
    file = ExportedFile(str(path.resolve()), latent, values, device, torch.get_num_threads(), next(_OPENINGS))
    return ExportedGenerator(file, path, seconds, progress)


def _ask(work: Callable[[Order], Reply], order: Order, path: Path, seconds: float) -> Reply:
    """Return what the other process replies; raise CheckpointError where it is late or ends."""
    try:
        [[reply]] = _PROCESS.stream(work, [order], timeout=seconds)
    except WorkerLostError as error:
        raise CheckpointError(
            f"The model gave no answer within {seconds:g} seconds, or ended its process. Allow more time with "
            "seconds=NUMBER behind the name, or export it again.",
            file=path.name,
        ) from error
    return reply


# ----------------------------------------------------------------------------------------------- in the other process


def _identify(file: ExportedFile) -> str:
    """Open a model and return its identity."""
    return _open(file).identity


def _draw(order: BlockOrder) -> UInt8:
    """Return one block of images; raise CheckpointError where the file is not the one that was opened first."""
    generator = _open(order.file)
    if generator.identity != order.identity:
        raise CheckpointError("The file has changed since it was opened. Start again.", file=Path(order.file.path).name)
    return generator.draw_block(order.seed, order.block)


@lru_cache(_KEPT)
def _open(file: ExportedFile) -> NetworkGenerator:
    """Return the generator of a file."""
    torch.set_num_threads(file.threads)
    path = Path(file.path)
    if path.suffix == onnx_files.SUFFIX:
        return onnx_files.from_onnx(path, latent=file.latent, values=file.values, device=file.device)
    latent = None if file.latent is None else file.latent[0]
    return from_archive(path, latent=latent, values=file.values, device=file.device)
