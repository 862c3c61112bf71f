"""The loop around a step: history, checkpoints, resumption, divergence, interruption.

The trainer of an architecture computes the step. Everything random is a function of the seed and the step, so weights,
optimiser state and step are all that a run resumes from.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pytest_medgan.errors import SettingsError, TrainingError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import architecture_of
from pytest_medgan.gan.checkpoint import Checkpoint, current_versions, load
from pytest_medgan.gan.described import added_fields, plain_values
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.latents import BLOCK
from pytest_medgan.gan.recipes import pseudonyms
from pytest_medgan.gan.run_folder import FINISHED, RunFolder
from pytest_medgan.gan.sampling import NetworkGenerator, from_checkpoint
from pytest_medgan.gan.stepping import stepper
from pytest_medgan.records import ImageSet, Progress

if TYPE_CHECKING:
    from pytest_medgan.gan.architecture import Trainer

COLLAPSED = 0.1  # a finished generator whose diversity is below this is reported as collapsed

OnLog = Callable[[int, Mapping[str, float]], None]  # the step; the losses, images_per_second and seconds_left
# called with the step and the generator as it is; what it returns (a quick FID, say) joins the history
OnCheckpoint = Callable[[int, NetworkGenerator], Mapping[str, float] | None]


@dataclass(frozen=True)
class RunSettings:
    """Say how a run is stored; none of this changes the weights that it ends with."""

    checkpoint_every: int = 1000  # steps
    keep: int = 3  # checkpoints to resume from
    log_every: int = 50  # steps between two rows of the history; also how soon divergence is noticed
    grid_every: int = 1000  # steps between sample grids; 0 draws none
    half: bool = False  # store the finished generator's weights as float16
    graph: bool = True  # on one GPU, replay steps as CUDA graphs
    # called before the first step with the folder, whose lock is held, and the seed; in the process that writes
    on_begin: Callable[[Path, int], None] | None = None

    def __post_init__(self) -> None:
        if min(self.checkpoint_every, self.keep, self.log_every) < 1 or self.grid_every < 0:
            raise SettingsError(
                "checkpoint_every, keep, log_every or grid_every is out of range. Choose 1 or more (grid_every: 0)."
            )


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; the second acts as without this."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        """Set the event and restore the signal's usual effect."""
        interrupted.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for number in before:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class Loop:
    """Take the steps of one run, with their history and checkpoints."""

    def __init__(
        self,
        config: NetworkConfig,
        settings: TrainingSettings,
        images: ImageSet,
        *,
        trainer: Trainer,
        key: str,
        folder: RunFolder,
        run: RunSettings,
        world: World,
        device: torch.device,
        on_checkpoint: OnCheckpoint | None,
        on_log: OnLog | None,
        progress: Progress,
    ) -> None:
        self.config, self.settings, self.images, self.folder, self.run = config, settings, images, folder, run
        self._patients = pseudonyms(images)
        self.trainer, self.key, self.world, self.device = trainer, key, world, device
        self.on_checkpoint, self.on_log, self.progress = on_checkpoint, on_log, progress
        self._stepper = stepper(trainer, graph=run.graph and world.size == 1)
        self._saved = 0  # step of the last checkpoint
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.pending: list[dict[str, Tensor | float]] = []  # losses since the last row of the history
        self.clock = (time.monotonic(), 0)

    def begin(self, resume: bool) -> None:
        """Continue the run in the folder, or make sure that it holds none.

        Raises:
            TrainingError: The folder holds a run that is not to be continued, or another run.
            CheckpointError: The folder holds checkpoints, and none can be read, or a damaged generator alone.
        """
        if not resume:
            if self.world.writes and (self.folder.checkpoints() or (self.folder.folder / FINISHED).exists()):
                raise TrainingError(
                    "The folder holds a run already. Continue it with --resume, or choose another --out.",
                    file=self.folder.folder.name,
                )
            self.world.wait()
        elif (found := self.folder.latest(self.progress)) is not None:
            self._refuse_other_run(found)
            self._continue(found)
        elif (path := self.folder.folder / FINISHED).exists():
            other = "" if load(path, prefixes=()).key == self.key else " of other settings, images or code"
            raise TrainingError(
                f"The folder holds a finished generator{other}, and no checkpoint to continue from. Choose another "
                "--out, or move the generator away to train anew.",
                file=self.folder.folder.name,
            )
        if self.run.on_begin is not None and self.world.writes:
            self.run.on_begin(self.folder.folder, self.settings.seed)

    def _continue(self, found: Checkpoint) -> None:
        """Restore the trainer, the step and the history of a checkpoint."""
        self.trainer.restore(found.tensors)
        self.step = found.step
        self.history = [dict(row) for row in found.progress.get("history", [])]
        self.pending = [dict(row) for row in found.progress.get("pending", [])]
        self.clock = (time.monotonic(), self.step)
        self._saved = self.step

    def _refuse_other_run(self, found: Checkpoint) -> None:
        """Raise TrainingError where a checkpoint belongs to a run of other settings, networks or images."""
        row = architecture_of(self.config)
        own: dict[str, object] = {"architecture": row.name, "training set": self.images.recipe}
        written: dict[str, object] = {"architecture": found.architecture, "training set": found.training_recipe}
        own |= plain_values(self.config) | plain_values(self.settings)
        # a field that was added later had its default then
        added = added_fields(row.config) | added_fields(row.settings)
        written |= added | dict(found.configuration) | dict(found.settings)
        names = sorted({*own, *written} - self.settings.extendable)
        if different := [name for name in names if own.get(name) != written.get(name)]:
            raise TrainingError(
                f"The run in this folder differs in {', '.join(different)}. Resume it with the settings that it was "
                "begun with, or choose another --out.",
                file=self.folder.folder.name,
            )
        if found.revision != row.revision:
            raise TrainingError(
                "The run in this folder was begun with another revision of the training code, and would not end as it "
                "would have. Continue it with the version that it was begun with, or choose another --out.",
                file=self.folder.folder.name,
            )
        if found.step > self.trainer.steps:  # a recipe names the steps
            raise TrainingError(
                f"The run in this folder is at step {found.step}, and {self.trainer.steps} were asked for. Ask for at "
                "least as many, or choose another --out.",
                file=self.folder.folder.name,
            )

    def run_to_end(self, interrupted: threading.Event) -> None:
        """Step until the budget is spent or the losses have converged; write the finished generator.

        Raises:
            TrainingError: The training diverged.
            KeyboardInterrupt: The run was interrupted; a checkpoint is written first.
        """
        while self.advance():
            if self.world.any(interrupted.is_set(), self.device):
                if self._saved != self.step:
                    self._save()
                raise KeyboardInterrupt
        self.finish()

    def advance(self) -> bool:
        """Take one step, with the history, checkpoint and grid due after it; False where the run has ended."""
        if self.step >= self.trainer.steps or self.trainer.converged(self.history, self.run.log_every):
            return False
        self.pending.append({**self._stepper.step(self.step)})
        self.step += 1
        if self.step % self.run.log_every == 0:
            self._log()
        if self.step % self.run.checkpoint_every == 0:
            self._save()
        if self.run.grid_every and self.step % self.run.grid_every == 0 and self.world.writes:
            self.folder.write_grid(self._generator()(64, self.settings.seed), self.step)
        return True

    def finish(self) -> None:
        """Write the last checkpoint and the finished generator."""
        if self._saved != self.step or not self.folder.checkpoints():
            self._save()
        if self.world.writes:
            finished = replace(self._checkpoint(finished=True), storage="float16" if self.run.half else "float32")
            kept = {n: t for n, t in finished.tensors.items() if n.startswith("generator.")}
            self.folder.finish(replace(finished, tensors=kept))

    # --------------------------------------------------------------------------------------------- losses and files

    def _log(self) -> None:
        """Move the losses since the last row into the history."""
        means = self._checked_losses()
        self.pending.clear()
        self.history.append({"step": self.step, **means})
        self._show(means)

    def _checked_losses(self) -> dict[str, float]:
        """Return the mean losses since the last row; raise TrainingError where they are not finite or too large."""
        self._fetch_losses()
        names = self.pending[0] if self.pending else {}
        means = {name: sum(float(losses[name]) for losses in self.pending) / len(self.pending) for name in names}
        for name, value in means.items():
            if not isfinite(value) or abs(value) > self.trainer.explodes:
                kept = self.folder.checkpoints()
                where = f"the checkpoint of step {int(kept[-1].stem.split('-')[1])} is kept" if kept else "none is kept"
                raise TrainingError(
                    f"The training has diverged: the {name} loss is {value:.4g} at step {self.step} ({where}). Lower "
                    "the learning rate or change the seed."
                )
        return means

    def _fetch_losses(self) -> None:
        """Make the pending losses plain numbers, in one transfer from the device."""
        on_device = [loss for losses in self.pending for loss in losses.values() if isinstance(loss, Tensor)]
        if on_device:
            numbers = iter(torch.stack([loss.double() for loss in on_device]).tolist())
            self.pending = [
                {name: next(numbers) if isinstance(loss, Tensor) else loss for name, loss in losses.items()}
                for losses in self.pending
            ]

    def _show(self, means: Mapping[str, float]) -> None:
        """Report a row of the history, the speed and the time left."""
        since, step = self.clock
        now = time.monotonic()
        seen = self.trainer.images_seen(self.step) - self.trainer.images_seen(step)
        elapsed = max(now - since, 1e-9)
        left = (self.trainer.steps - self.step) * elapsed / max(self.step - step, 1)
        self.progress(self.trainer.describe(), self.step, self.trainer.steps)
        if self.on_log is not None and self.world.writes:
            self.on_log(self.step, {**means, "images_per_second": seen / elapsed, "seconds_left": left})
        self.clock = (now, self.step)

    def _generator(self) -> NetworkGenerator:
        """Return the generator as it is, on copies of its weights."""
        return from_checkpoint(self._checkpoint(finished=False), device=str(self.device))

    def _diversity(self, generator: NetworkGenerator) -> float:
        """Return how much generated images vary, as a share of how much real images do.

        It is the mean over pixels of the standard deviation over images. Near 0 the generator has collapsed.
        """
        real = float(self.images.pixels[:256].std(axis=0).mean())
        return float(generator(BLOCK, self.settings.seed).std(axis=0).mean()) / max(real, 1e-9)

    def _save(self) -> None:
        """Write a checkpoint to resume from, unless losses or weights show that the training diverged."""
        self._saved = self.step
        self._checked_losses()
        finite = torch.stack([torch.isfinite(tensor).all().to(self.device) for tensor in self.trainer.state().values()])
        if not bool(finite.all()):
            raise TrainingError(
                f"The training has diverged: the weights are not finite at step {self.step} (earlier checkpoints are "
                "kept). Lower the learning rate or change the seed."
            )
        if not self.world.writes:
            return
        generator = self._generator()
        measured = {"diversity": self._diversity(generator)}
        if self.on_checkpoint is not None:
            measured |= self.on_checkpoint(self.step, generator) or {}
        if self.history:
            self.history[-1] |= {name: float(value) for name, value in measured.items()}
        self.folder.save(self._checkpoint(finished=False), keep=self.run.keep)
        self.folder.write_history(self.history)

    def _checkpoint(self, *, finished: bool) -> Checkpoint:
        """Return the run as it is, on copies of its tensors."""
        row = architecture_of(self.config)
        return Checkpoint(
            architecture=row.name,
            configuration=plain_values(self.config),
            tensors={name: tensor.detach().cpu().clone() for name, tensor in self.trainer.state().items()},
            stage=self.trainer.stage(self.step),
            training_recipe=self.images.recipe,
            patients=self._patients,
            images=len(self.images),
            window=self.images.window,
            seed=self.settings.seed,
            step=self.step,
            finished=finished,
            key=self.key,
            settings=plain_values(self.settings),
            revision=row.revision,
            versions=current_versions(),
            progress={"history": self.history, "pending": self.pending},
        )
