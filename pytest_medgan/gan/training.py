"""Training runs: from images to a finished generator, one or several runs of a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import architecture_of
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.distributed import World, join
from pytest_medgan.gan.loop import Loop, OnCheckpoint, OnLog, RunSettings, interruptible
from pytest_medgan.gan.recipes import run_key
from pytest_medgan.gan.run_folder import FINISHED, RunFolder
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device, from_file
from pytest_medgan.gan.stepping import own_stream
from pytest_medgan.ground.processes import local_device
from pytest_medgan.records import ImageSet, Progress, no_progress

if TYPE_CHECKING:
    from pytest_medgan.gan.architecture import Trainer


def make_trainer(
    config: NetworkConfig,
    settings: TrainingSettings,
    images: ImageSet,
    *,
    world: World,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Trainer:
    """Return the trainer of an architecture, its networks initialised.

    Args:
        config: Shape of the networks.
        settings: How they are trained.
        images: uint8 [N,C,size,size].
        world: The processes that train together.
        device: Where the networks are.
        dtype: Of the weights.

    Raises:
        SettingsError: The settings belong to another architecture, or do not fit the world.
        TrainingError: The images do not fit the networks.
    """
    row = architecture_of(config)
    if type(settings) is not row.settings:
        raise SettingsError(
            f"A {row.title} cannot be trained with {type(settings).__name__}. Give the settings of a {row.title}."
        )
    return row.networks.trainer(config, settings, images, world=world, device=device, dtype=dtype)


def train(
    config: NetworkConfig,
    settings: TrainingSettings,
    images: ImageSet,
    directory: Path,
    *,
    run: RunSettings | None = None,
    device: str = "cpu",
    resume: bool = False,
    wait: bool = False,
    together: bool = True,
    on_checkpoint: OnCheckpoint | None = None,
    on_log: OnLog | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Train a generator and leave it in a folder.

    SIGINT and SIGTERM save a checkpoint and then stop. Under torchrun every process calls this with the same
    arguments.

    Args:
        config: Shape of the networks.
        settings: How they are trained.
        images: uint8 [N,C,size,size].
        directory: Folder of the run.
        run: How the run is stored.
        device: "cpu" or "cuda".
        resume: Continue a run in the folder from its last checkpoint; it ends with the weights it would have had.
        wait: Wait while another run writes the folder.
        together: Under torchrun, train one generator on all processes; otherwise this process trains alone.
        on_checkpoint: Called with the step and the generator as it is; what it returns joins the history.
        on_log: Called with the step and a row of the history.
        progress: Called with what is done, how far, and of how much.

    Returns:
        The finished generator.

    Raises:
        TrainingError: The images do not fit the networks, the folder is in use or holds another run, or the training
            diverged; the last good checkpoint is kept.
        CheckpointError: The folder holds checkpoints to resume from, and none can be read.
        OutputError: A file cannot be written.
        SettingsError: The settings belong to another architecture, the device does not exist, or the batch cannot be
            divided by the processes.
        KeyboardInterrupt: The run was interrupted, after it has saved.
    """
    run = run or RunSettings()
    chosen = choose_device(local_device(device))
    folder = RunFolder(directory)
    with join(chosen) if together else _alone() as world:
        with _held(folder, world, wait):
            loop = Loop(
                config,
                settings,
                images,
                trainer=make_trainer(config, settings, images, world=world, device=chosen),
                key=run_key(config, settings, images, half=run.half),
                folder=folder,
                run=run,
                world=world,
                device=chosen,
                on_checkpoint=on_checkpoint,
                on_log=on_log,
                progress=progress if world.writes else no_progress,
            )
            loop.begin(resume)
            with interruptible() as interrupted, own_stream(chosen):
                loop.run_to_end(interrupted)
        world.wait()
    return from_file(directory / FINISHED, device=str(chosen), progress=progress)


@contextmanager
def _alone() -> Iterator[World]:
    """Give a world of one process."""
    yield World()


@contextmanager
def _held(folder: RunFolder, world: World, wait: bool) -> Iterator[None]:
    """Hold the folder's lock in the process that writes."""
    if world.writes:
        with folder.locked(wait=wait):
            yield
    else:
        yield


def train_runs(
    config: NetworkConfig,
    settings: TrainingSettings,
    images: ImageSet,
    directory: Path,
    *,
    seeds: range,
    run: RunSettings | None = None,
    device: str = "cpu",
    resume: bool = False,
    on_log: OnLog | None = None,
    progress: Progress = no_progress,
) -> list[Path]:
    """Train a recipe several times, each run with a seed of its own.

    Args:
        config: Shape of the networks.
        settings: How they are trained; the seed is replaced.
        images: uint8 [N,C,size,size].
        directory: Folder of the runs; each has a folder `seed-SEED` in it.
        seeds: The seeds that this process trains, one after another. Under torchrun each process gets its own part
            and trains it alone.
        run: How the runs are stored.
        device: "cpu" or "cuda".
        resume: Leave finished runs as they are, and continue the others.
        on_log: Called with the step and a row of the history.
        progress: Called with what is done, how far, and of how much.

    Returns:
        The finished generators' files, one for each seed.

    Raises:
        MedganError: As `train`.
    """
    run = run or RunSettings()
    finished: list[Path] = []
    for seed in seeds:
        seeded = reseeded(settings, seed)
        folder = directory / f"seed-{seed}"
        path = folder / FINISHED
        key = run_key(config, seeded, images, half=run.half)
        if not (resume and path.exists() and load(path, prefixes=()).key == key):
            train(
                config,
                seeded,
                images,
                folder,
                run=run,
                device=device,
                resume=resume,
                together=False,
                on_log=on_log,
                progress=progress,
            )
        finished.append(path)
    return finished


def reseeded(settings: TrainingSettings, seed: int) -> TrainingSettings:
    """Return the settings with another seed."""
    dataclass_instance: Any = settings
    other: TrainingSettings = replace(dataclass_instance, seed=seed)
    return other


def train_or_load(
    config: NetworkConfig,
    images: ImageSet,
    *,
    directory: Path,
    settings: TrainingSettings | None = None,
    run: RunSettings | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator that this configuration, these settings and these images lead to.

    A finished one with the same key is loaded, an unfinished one resumed, a missing one trained. While another process
    trains the same one, this waits for it.

    Args:
        config: Shape of the networks.
        images: uint8 [N,C,size,size].
        directory: Folder where the runs are kept, one folder for each key.
        settings: How the networks are trained; None takes the architecture's defaults.
        run: How the run is stored.
        device: "cpu" or "cuda".
        progress: Called with what is done, how far, and of how much.

    Raises:
        MedganError: As `train`.
    """
    row = architecture_of(config)
    settings = settings or row.settings()
    run = run or RunSettings()
    key = run_key(config, settings, images, half=run.half)
    folder = directory / f"{row.name}-{key[:16]}"
    if (folder / FINISHED).exists():
        return from_file(folder / FINISHED, device=device, progress=progress)
    return train(config, settings, images, folder, run=run, device=device, resume=True, wait=True, progress=progress)
