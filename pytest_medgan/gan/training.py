"""Training runs: from images to a finished generator, and from a configuration to one that may exist already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.dcgan import DCGANConfig
from pytest_medgan.gan.dcgan_training import DCGANSettings, DCGANTrainer
from pytest_medgan.gan.distributed import World, join, local_device
from pytest_medgan.gan.loop import Loop, OnCheckpoint, OnLog, RunSettings, Settings, Trainer, interruptible
from pytest_medgan.gan.networks import Config, architecture_of, digest
from pytest_medgan.gan.pggan import PGGANConfig
from pytest_medgan.gan.pggan_training import PGGANSettings, PGGANTrainer
from pytest_medgan.gan.run_folder import FINISHED, RunFolder
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device, from_file
from pytest_medgan.gan.stepping import own_stream
from pytest_medgan.records import ImageSet, Progress, no_progress

# settings added since; at their defaults a run keeps the key it had
LATER = ("penalty", "penalty_every", "shift", "brightness", "contrast", "cutout", "stables")


def run_key(config: Config, settings: Settings, images: ImageSet, *, half: bool = False) -> str:
    """Hex digest of what determines a finished generator: equal keys, equal weights (on one machine)."""
    defaults = asdict(type(settings)())
    chosen = {n: v for n, v in asdict(settings).items() if n not in LATER or v != defaults[n]}
    return digest(architecture_of(config), asdict(config), chosen, images.recipe, len(images), half)


def make_trainer(
    config: Config,
    settings: Settings,
    images: ImageSet,
    *,
    world: World,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Trainer:
    """The trainer of an architecture.

    Raises
    ------
    SettingsError
        The settings are those of another architecture, or do not fit the world.
    TrainingError
        The images do not fit the networks.
    """
    if isinstance(config, DCGANConfig) and isinstance(settings, DCGANSettings):
        return DCGANTrainer(config, settings, images, world=world, device=device, dtype=dtype)
    if isinstance(config, PGGANConfig) and isinstance(settings, PGGANSettings):
        return PGGANTrainer(config, settings, images, world=world, device=device, dtype=dtype)
    raise SettingsError(f"a {architecture_of(config)} cannot be trained with {type(settings).__name__}")


def train(
    config: Config,
    settings: Settings,
    images: ImageSet,
    directory: Path,
    *,
    run: RunSettings | None = None,
    device: str = "cpu",
    resume: bool = False,
    wait: bool = False,
    on_checkpoint: OnCheckpoint | None = None,
    on_log: OnLog | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Trains a generator on `images` (uint8 [N,C,size,size]) and leaves it in `directory`.

    With `resume`, a run that stands in the directory is continued from its last checkpoint and ends with the weights
    it would have had; with `wait`, another run writing there is waited for. SIGINT and SIGTERM save a checkpoint and
    then stop. Under torchrun every process calls this with the same arguments.

    Raises
    ------
    TrainingError
        The images do not fit the networks, the folder is in use or holds another run, or the losses went astray; the
        last good checkpoint is kept.
    CheckpointError
        A checkpoint cannot be written, or none of those to resume from can be read.
    SettingsError
        The settings are those of another architecture, the device is not there, or the batch cannot be shared.
    KeyboardInterrupt
        The run was interrupted, after it has saved.
    """
    run = run or RunSettings()
    chosen = local_device(choose_device(device))
    folder = RunFolder(directory)
    with join(chosen) as world:
        shown = progress if world.writes else no_progress
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
                progress=shown,
            )
            loop.begin(resume)
            with interruptible() as interrupted, own_stream(chosen):
                loop.run_to_end(interrupted)
        world.wait()
    return from_file(directory / FINISHED, device=str(chosen), progress=progress)


@contextmanager
def _held(folder: RunFolder, world: World, wait: bool) -> Iterator[None]:
    if world.writes:
        with folder.locked(wait=wait):
            yield
    else:
        yield


def train_or_load(
    config: Config,
    images: ImageSet,
    *,
    directory: Path,
    settings: Settings | None = None,
    run: RunSettings | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """The generator that this configuration, these settings and these images lead to, kept under `directory`.

    A finished one with the same key is loaded, an unfinished one resumed, a missing one trained. While another process
    trains the same one, this waits for it.

    Raises
    ------
    TrainingError, CheckpointError, SettingsError
        As `train`.
    """
    settings = settings or (PGGANSettings() if isinstance(config, PGGANConfig) else DCGANSettings())
    run = run or RunSettings()
    key = run_key(config, settings, images, half=run.half)
    folder = directory / f"{architecture_of(config)}-{key[:16]}"
    if (folder / FINISHED).exists():
        return from_file(folder / FINISHED, device=device, progress=progress)
    return train(config, settings, images, folder, run=run, device=device, resume=True, wait=True, progress=progress)
