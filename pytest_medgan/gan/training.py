"""Training runs: from images to a finished generator, resumable to the bit, stopped when they go astray.

What a step computes is the business of dcgan_training.py and pggan_training.py; this is the loop around it. Everything
random is a function of the seed and the step, so weights, optimiser state and step are all that a run resumes from.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import SettingsError, TrainingError
from pytest_medgan.gan.checkpoint import Checkpoint, configuration_of
from pytest_medgan.gan.dcgan import DCGANConfig
from pytest_medgan.gan.dcgan_training import DCGANSettings, DCGANTrainer
from pytest_medgan.gan.distributed import World, join, local_device
from pytest_medgan.gan.networks import Config, architecture_of, digest
from pytest_medgan.gan.run_folder import FINISHED, RunFolder
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device, from_checkpoint, from_file
from pytest_medgan.records import ImageSet, Progress, no_progress

Settings = DCGANSettings
Trainer = DCGANTrainer
# called with the step and the generator as it stands; what it returns (a quick FID, say) joins the history
OnCheckpoint = Callable[[int, NetworkGenerator], Mapping[str, float] | None]


@dataclass(frozen=True)
class RunSettings:
    """How a run is kept, which does not touch the weights it ends with."""

    checkpoint_every: int = 1000  # steps
    keep: int = 3  # checkpoints to resume from
    log_every: int = 50  # steps between two rows of the history; also how soon divergence is noticed
    grid_every: int = 1000  # steps between sample grids; 0 draws none
    half: bool = False  # store the finished generator's weights as float16

    def __post_init__(self) -> None:
        if min(self.checkpoint_every, self.keep, self.log_every) < 1 or self.grid_every < 0:
            raise SettingsError("checkpoint_every, keep and log_every must be at least 1, grid_every at least 0")


def run_key(config: Config, settings: Settings, images: ImageSet, *, half: bool = False) -> str:
    """Hex digest of what determines a finished generator: equal keys, equal weights (on one machine)."""
    return digest(architecture_of(config), asdict(config), asdict(settings), images.recipe, len(images), half)


def train(
    config: Config,
    settings: Settings,
    images: ImageSet,
    directory: Path,
    *,
    run: RunSettings | None = None,
    device: str = "cpu",
    resume: bool = False,
    on_checkpoint: OnCheckpoint | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Trains a generator on `images` (uint8 [N,C,size,size]) and leaves it in `directory`.

    With `resume`, a run that stands in the directory is continued from its last checkpoint and ends with the weights
    it would have had. SIGINT and SIGTERM save a checkpoint and then stop.

    Raises
    ------
    TrainingError
        The images do not fit the networks, the folder is in use or holds another run, or the losses went astray; the
        last good checkpoint is kept.
    CheckpointError
        A checkpoint cannot be written, or none of those to resume from can be read.
    KeyboardInterrupt
        The run was interrupted, after it has saved.
    """
    run = run or RunSettings()
    chosen = local_device(choose_device(device))
    folder = RunFolder(directory)
    with join(chosen) as world:
        quiet = progress if world.writes else no_progress
        with _held(folder, world):
            loop = _Loop(
                config,
                settings,
                images,
                folder=folder,
                run=run,
                world=world,
                device=chosen,
                on_checkpoint=on_checkpoint,
                progress=quiet,
            )
            loop.begin(resume)
            with _interruptible() as interrupted:
                loop.run_to_end(interrupted)
        world.wait()
    return from_file(directory / FINISHED, device=str(chosen), progress=progress)


@contextmanager
def _held(folder: RunFolder, world: World) -> Iterator[None]:
    if world.writes:
        with folder.locked():
            yield
    else:
        yield


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second does what it always did."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        interrupted.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for number in before:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class _Loop:
    """One run: steps, history, checkpoints."""

    def __init__(
        self,
        config: Config,
        settings: Settings,
        images: ImageSet,
        *,
        folder: RunFolder,
        run: RunSettings,
        world: World,
        device: torch.device,
        on_checkpoint: OnCheckpoint | None,
        progress: Progress,
    ) -> None:
        self.config, self.settings, self.images, self.folder, self.run = config, settings, images, folder, run
        self.world, self.device, self.on_checkpoint, self.progress = world, device, on_checkpoint, progress
        self.trainer: Trainer = DCGANTrainer(config, settings, images, world=world, device=device)
        self.key = run_key(config, settings, images, half=run.half)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.pending: list[dict[str, Tensor | float]] = []  # losses since the last row of the history
        self.clock = (time.monotonic(), 0)

    # ------------------------------------------------------------------------------------------------ begin and end

    def begin(self, resume: bool) -> None:
        """Picks up the run in the folder, or makes sure there is none."""
        if not resume:
            if self.world.writes and (self.folder.checkpoints() or (self.folder.folder / FINISHED).exists()):
                raise TrainingError(
                    "the folder holds a run already; continue it with --resume or choose another --out",
                    file=self.folder.folder.name,
                )
            self.world.wait()
            return
        found = self.folder.latest(self.progress)
        if found is None:
            return
        self._refuse_other_run(found)
        self.trainer.restore(found.tensors, found.step)
        self.step = found.step
        self.history = [dict(row) for row in found.progress.get("history", [])]
        self.pending = [dict(row) for row in found.progress.get("pending", [])]
        self.clock = (time.monotonic(), self.step)

    def _refuse_other_run(self, found: Checkpoint) -> None:
        ours = {"architecture": architecture_of(self.config), "training set": self.images.recipe}
        theirs = {"architecture": found.architecture, "training set": found.training_recipe}
        ours |= configuration_of(self.config) | asdict(self.settings)
        theirs |= dict(found.configuration) | dict(found.settings)
        # a longer budget continues the same run
        names = [n for n in sorted({*ours, *theirs} - {"steps"}) if _plain(ours.get(n)) != _plain(theirs.get(n))]
        if names:
            raise TrainingError(
                f"the run in this folder differs in {', '.join(names)}; resume it as it was begun or choose another "
                "--out",
                file=self.folder.folder.name,
            )

    def run_to_end(self, interrupted: threading.Event) -> None:
        """Steps until the budget is spent or the losses have converged, then writes the finished generator."""
        last = self.step
        while self.step < self.trainer.steps and not self._converged():
            self.pending.append({**self.trainer.step(self.step)})
            self.step += 1
            if self.step % self.run.log_every == 0:
                self._log()
            if self.step % self.run.checkpoint_every == 0:
                self._save()
                last = self.step
            if self.run.grid_every and self.step % self.run.grid_every == 0 and self.world.writes:
                self.folder.write_grid(self._generator()(64, self.settings.seed), self.step)
            if self.world.any(interrupted.is_set(), self.device):
                if last != self.step:
                    self._save()
                raise KeyboardInterrupt
        if last != self.step or not self.folder.checkpoints():
            self._save()
        if self.world.writes:
            finished = replace(self._checkpoint(finished=True), storage="float16" if self.run.half else "float32")
            kept = {n: t for n, t in finished.tensors.items() if n.startswith("generator.")}
            self.folder.finish(replace(finished, tensors=kept))

    # --------------------------------------------------------------------------------------------- losses and files

    def _log(self) -> None:
        """Moves the losses since the last row into the history."""
        means = self._checked_losses()
        self.pending.clear()
        self.history.append({"step": self.step, **means})
        self._show(means)

    def _checked_losses(self) -> dict[str, float]:
        """The mean of the losses since the last row; raises TrainingError where they have gone astray."""
        self.pending = [{name: float(value) for name, value in losses.items()} for losses in self.pending]
        names = self.pending[0] if self.pending else {}
        means = {name: sum(float(losses[name]) for losses in self.pending) / len(self.pending) for name in names}
        for name, value in means.items():
            if not isfinite(value) or abs(value) > self.trainer.explodes:
                kept = self.folder.checkpoints()
                where = f"the checkpoint of step {int(kept[-1].stem.split('-')[1])} is kept" if kept else "none is kept"
                raise TrainingError(
                    f"the {name} loss is {value:.4g} at step {self.step}: training has diverged; {where}; lower the "
                    "learning rate or change the seed"
                )
        return means

    def _show(self, means: Mapping[str, float]) -> None:
        since, step = self.clock
        now = time.monotonic()
        seen = self.trainer.images_seen(self.step) - self.trainer.images_seen(step)
        losses = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        rate = seen / max(now - since, 1e-9)
        self.progress(
            f"{self.trainer.describe(self.step)}: {losses}, {rate:.0f} images/s", self.step, self.trainer.steps
        )
        self.clock = (now, self.step)

    def _converged(self) -> bool:
        """Whether both losses, smoothed over windows of a twentieth of the budget, have stopped moving."""
        tolerance = getattr(self.settings, "tolerance", 0.0)
        window, patience = max(1, self.trainer.steps // 20 // self.run.log_every), 4
        if not tolerance or len(self.history) < window * patience or len(self.history) % window:
            return False
        recent = self.history[-window * patience :]
        for name in ("discriminator", "generator"):
            means = np.array([row[name] for row in recent]).reshape(patience, window).mean(axis=1)
            if np.ptp(means) > tolerance * max(abs(float(means.mean())), 1e-12):
                return False
        return True

    def _generator(self) -> NetworkGenerator:
        """The generator as it stands, on copies of its weights."""
        return from_checkpoint(self._checkpoint(finished=False), device=str(self.device))

    def _save(self) -> None:
        self._checked_losses()
        if not all(bool(torch.isfinite(t).all()) for t in self.trainer.state().values()):
            raise TrainingError(
                f"the weights are not finite at step {self.step}: training has diverged; the checkpoints before it "
                "are kept; lower the learning rate or change the seed"
            )
        if not self.world.writes:
            return
        if self.on_checkpoint is not None:
            measured = self.on_checkpoint(self.step, self._generator())
            if measured and self.history:
                self.history[-1] |= {name: float(value) for name, value in measured.items()}
        self.folder.save(self._checkpoint(finished=False), keep=self.run.keep)
        self.folder.write_history(self.history)

    def _checkpoint(self, *, finished: bool) -> Checkpoint:
        return Checkpoint(
            architecture=architecture_of(self.config),
            configuration=configuration_of(self.config),
            tensors={name: tensor.detach().cpu().clone() for name, tensor in self.trainer.state().items()},
            training_recipe=self.images.recipe,
            patients=tuple(sorted(set(map(str, self.images.groups)))),
            images=len(self.images),
            window=self.images.window,
            seed=self.settings.seed,
            step=self.step,
            finished=finished,
            key=self.key,
            settings=asdict(self.settings),
            progress={"history": self.history, "pending": self.pending},
        )


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


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

    A finished one with the same key is loaded, an unfinished one resumed, a missing one trained.

    Raises
    ------
    TrainingError, CheckpointError
        As `train`.
    """
    settings = settings or DCGANSettings()
    run = run or RunSettings()
    key = run_key(config, settings, images, half=run.half)
    folder = directory / f"{architecture_of(config)}-{key[:16]}"
    if (folder / FINISHED).exists():
        return from_file(folder / FINISHED, device=device, progress=progress)
    return train(config, settings, images, folder, run=run, device=device, resume=True, progress=progress)


DEFAULT_CONFIGS: dict[str, Config] = {"dcgan": DCGANConfig()}
