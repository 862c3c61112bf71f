"""Run generators that files describe in a process of their own, which is ended when it is late.

Exported models (TorchScript, torch.export, ONNX), pipelines of diffusers and bundles of MONAI may loop without an end,
or crash the library that runs them. All that reads or runs them happens in that process; images come back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import bundle_parts, onnx_files, pipelines
from pytest_medgan.gan.archives import from_archive
from pytest_medgan.gan.bundles import from_bundle
from pytest_medgan.gan.class_inputs import ClassChoice
from pytest_medgan.gan.pipelines import from_pipeline
from pytest_medgan.gan.sampling import BlockGenerator, choose_device
from pytest_medgan.gan.time_limits import SECONDS
from pytest_medgan.ground.pool import Pool, WorkerLostError
from pytest_medgan.records import Progress, UInt8, no_progress

_KEPT = 4  # models that stay open
_OPENINGS = count()
_PROCESS = Pool(1, {"TQDM_DISABLE": "1"})  # starts with the first such model and ends with this process

Order = TypeVar("Order")
Reply = TypeVar("Reply")


@dataclass(frozen=True)
class ModelChoices:
    """What a user said of a model that files describe; None where nothing was said."""

    latent: tuple[int, ...] | None = None  # shape of a latent, or how many numbers it has
    values: tuple[float, float] | None = None  # what the model returns for black and for white
    steps: int | None = None  # of a diffusion model
    label: int | None = None  # the class of every image
    prompt: str | None = None  # the words of every image
    classes: int | None = None  # that a one-hot input of an exported network has
    is_trusted: bool = False  # the code that a bundle names may run


@dataclass(frozen=True)
class ModelFile:
    """How to open a model."""

    path: str  # absolute; a file or a folder
    choices: ModelChoices
    device: str  # "cpu" or "cuda"
    folder: str  # working directory, which may have changed since the process started
    threads: int  # to compute with; the last bits of an image depend on it
    opening: int  # a number of its own for each opening, since the file may be written again between two


@dataclass(frozen=True)
class Opened:
    """What an opened model says of itself."""

    identity: str | None  # None where nothing may be stored
    size: int  # images of a block
    condition: str | None  # what it was told to draw
    volume_shape: tuple[int, int, int] | None  # of the volumes that it draws; None where it draws images


@dataclass(frozen=True)
class BlockOrder:
    """Which images to draw."""

    file: ModelFile
    identity: str | None  # of the model that was opened first
    seed: int
    block: int  # of latents, from 0


class ApartGenerator(BlockGenerator):
    """Draw images with a model that runs in another process."""

    def __init__(self, file: ModelFile, path: Path, seconds: float, progress: Progress) -> None:
        opened = _ask(_describe, file, path, seconds)
        super().__init__(identity=opened.identity, progress=progress)
        self.size, self.condition, self.volume_shape = opened.size, opened.condition, opened.volume_shape
        self._file, self._path, self._seconds = file, path, seconds

    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return the images of one block of latents, uint8 [size,C,H,W]; volumes [size,1,D,H,W]."""
        return _ask(_draw, BlockOrder(self._file, self.identity, seed, block), self._path, self._seconds)


def is_model(path: Path) -> bool:
    """Return whether a path may describe a model: a file that is no .npz, a pipeline or a bundle."""
    if path.is_dir():
        return (path / pipelines.INDEX).is_file() or bundle_parts.find_configuration(path) is not None
    return path.is_file() and path.suffix != ".npz"


def from_model_file(
    path: Path,
    choices: ModelChoices | None = None,
    *,
    seconds: float = SECONDS,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> ApartGenerator:
    """Return the generator that a TorchScript, torch.export or ONNX file, a pipeline or a bundle describes.

    Args:
        path: The file, or the folder of a pipeline of diffusers or of a bundle of MONAI.
        choices: What a user said of it.
        seconds: Time that opening it, and then each block of images, may take.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The model cannot be used or trusted (see `from_archive`, `from_onnx`, `from_pipeline` and
            `from_bundle`), crashes, or takes too long.
        SettingsError: The machine has no such device.
    """
    choose_device(device)
    file = ModelFile(
        str(path.resolve()),
        choices or ModelChoices(),
        device,
        str(Path.cwd()),
        torch.get_num_threads(),
        next(_OPENINGS),
    )
    return ApartGenerator(file, path, seconds, progress)


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


def _describe(file: ModelFile) -> Opened:
    """Open a model and return what it says of itself."""
    generator = _open(file)
    return Opened(generator.identity, generator.size, generator.condition, generator.volume_shape)


def _draw(order: BlockOrder) -> UInt8:
    """Return one block of images; raise CheckpointError where the file is not the one that was opened first."""
    generator = _open(order.file)
    if generator.identity != order.identity:
        raise CheckpointError("The file has changed since it was opened. Start again.", file=Path(order.file.path).name)
    return generator.draw_block(order.seed, order.block)


@lru_cache(_KEPT)
def _open(file: ModelFile) -> BlockGenerator:
    """Return the generator of a file or a folder."""
    os.chdir(file.folder)
    torch.set_num_threads(file.threads)
    path, said, device = Path(file.path), file.choices, file.device
    if (path / pipelines.INDEX).is_file():
        return from_pipeline(path, steps=said.steps, label=said.label, prompt=said.prompt, device=device)
    if path.is_dir():
        return from_bundle(
            path, is_trusted=said.is_trusted, latent=said.latent, values=said.values, steps=said.steps, device=device
        )
    choice = None if said.label is None else ClassChoice(said.label, said.classes)
    if path.suffix == onnx_files.SUFFIX:
        return onnx_files.from_onnx(path, latent=said.latent, values=said.values, choice=choice, device=device)
    return from_archive(path, latent=said.latent, values=said.values, choice=choice, device=device)
