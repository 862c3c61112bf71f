"""Fine-tune InceptionV3 on the same kind of image that it will embed (Jang, Yoo, Hong 2022, section 3.2).

As stated there: ImageNet weights, the auxiliary and the final classifier 1000 to 2 (survival, death), 10 epochs over
the training images, and all layers trained but the new output layers, which stay as initialised (`train_head` trains
them too). What is not stated follows PyTorch's tutorial "Finetuning Torchvision Models": SGD, momentum 0.9, batch 8,
the auxiliary loss at 0.4. The learning rate differs: it starts at 0.003 and falls linearly to zero, so that the
threshold between the classes settles (benchmarks/embedding.md).

Everything random is a function of the seed and the step: the order of an epoch, the dropout of a step, the new heads.
So a run is resumed from weights, momenta and a step number alone, and ends as it would have ended without the break.
Several processes take the steps that one would take (`finetune_shares`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pytest_medgan.embedding.confusion import Confusion, confusion
from pytest_medgan.embedding.finetune_files import FINISHED, UNFINISHED, RunState, load_run, save_finished, save_run
from pytest_medgan.embedding.finetune_shares import RowDropout, averaged
from pytest_medgan.embedding.inception import features_and_logits, prepare, to_three_channels
from pytest_medgan.embedding.sharding import place, processes, share, shared
from pytest_medgan.embedding.two_classes import head_names, patients_before, starting_network
from pytest_medgan.errors import TrainingError
from pytest_medgan.ground.processes import local_device
from pytest_medgan.ground.shared_norm import share_batch_norms
from pytest_medgan.records import Float32, ImageSet, Int64, Progress, no_progress


@dataclass(frozen=True)
class FinetuneSettings:
    """The recipe. All of it enters the key of a run."""

    weights: str = "imagenet"  # what to start from: "imagenet", "random" or a file
    epochs: int = 10
    batch: int = 8  # images a step, shared by all processes
    learning_rate: float = 3e-3  # of the first step; falls in a straight line to zero at the end
    momentum: float = 0.9
    auxiliary: float = 0.4  # weight of the auxiliary classifier's loss
    train_head: bool = False  # train the new output layers too
    normalisation: str = "symmetric"
    seed: int = 0


@dataclass(frozen=True)
class EpochReport:
    """What one epoch gave."""

    epoch: int  # from 1
    loss: float  # mean over the training steps, auxiliary part included
    held_out: Confusion | None  # on the held-out patients


JUDGED = 16  # held-out images at once
OnEpoch = Callable[[EpochReport], None]


def class_counts(images: ImageSet) -> tuple[int, int, int]:
    """Return how many images are of survivors, of deceased patients, and without label."""
    if images.labels is None:
        return 0, 0, len(images)
    return int((images.labels == 0).sum()), int((images.labels == 1).sum()), int((images.labels < 0).sum())


def finetune(
    settings: FinetuneSettings,
    training: ImageSet,
    folder: Path,
    *,
    held_out: ImageSet | None = None,
    device: str = "cpu",
    resume: bool = False,
    checkpoint_every: int = 200,
    on_epoch: OnEpoch | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Train on the labelled images of `training`. Under torchrun every process calls this alike.

    Args:
        settings: The recipe.
        training: Images with labels of both classes.
        folder: The folder of the run.
        held_out: Images of other patients, judged after every epoch.
        device: "cpu" or "cuda".
        resume: Continue the run in `folder`.
        checkpoint_every: Steps between two files to resume from; one is written after every epoch too.
        on_epoch: Called after every epoch.
        progress: Told how many steps are done.

    Returns:
        `folder`/inception_v3.safetensors, which names the pseudonyms of the patients that it was trained on.

    Raises:
        TrainingError: Labels are missing or of one class, a patient is both trained on and held out, the folder holds
            another run, or the loss is not finite.
        ExtractorError: The weights to start from cannot be loaded.
        OutputError: The folder cannot be written.
    """
    labelled = _labelled(training, "training")
    judged = None if held_out is None else _labelled(held_out, "held-out")
    both = set() if judged is None else set(labelled.groups.tolist()) & set(judged.groups.tolist())
    if both:
        raise TrainingError(f"{len(both)} patients are both trained on and held out. Split by patient.")
    with processes() as (rank, size):
        if settings.batch % size or settings.batch < 2 * size or len(labelled) < 2 * size:
            raise TrainingError(
                f"A batch of {settings.batch} of {len(labelled)} images cannot be shared by {size} processes. "
                "Choose a multiple of it with at least two images per process, which batch norm needs."
            )
        tuner = _Tuner(settings, labelled, local_device(device), progress if rank == 0 else no_progress)
        if not resume and any((folder / name).exists() for name in (UNFINISHED, FINISHED)):
            raise TrainingError("The folder holds a run. Continue it by --resume, or give another --out.")
        state = load_run(folder, tuner.key) if resume else None
        if state is not None:
            tuner.restore(state)
        writes = rank == 0
        while tuner.step < tuner.steps:
            loss = tuner.advance()
            ended = tuner.step % tuner.steps_an_epoch == 0
            if writes and (ended or tuner.step % checkpoint_every == 0):
                save_run(folder, tuner.state())
            if ended and on_epoch is not None:
                report = EpochReport(tuner.step // tuner.steps_an_epoch, loss, judge(tuner, judged))
                if writes:
                    on_epoch(report)
        if writes:
            before = patients_before(settings.weights)
            save_finished(folder, tuner.network, _metadata(settings, labelled, tuner.key, before))
    return folder / FINISHED


def judge(tuner: _Tuner, images: ImageSet | None) -> Confusion | None:
    """Return how the network does on labelled images; each process takes its share of them."""
    if images is None or images.labels is None or len(images) == 0:
        return None
    network, was = tuner.network, tuner.network.training
    mine = images.pixels[share(len(images), JUDGED, tuner.rank, tuner.size)]

    def work() -> list[Float32]:
        with torch.inference_mode():
            parts = [torch.from_numpy(mine[i : i + JUDGED]).to(tuner.device) for i in range(0, len(mine), JUDGED)]
            logits = [features_and_logits(network, part, tuner.settings.normalisation)[1] for part in parts]
            return [part.double().softmax(1).float().cpu().numpy() for part in logits]

    network.eval()
    try:
        chances = [
            part
            for parts in shared(work, of=images.pixels, by=f"judging step {tuner.step} of {tuner.key}")
            for part in parts
        ]
    finally:
        network.train(was)
    return confusion(images.labels.astype(np.int64), np.concatenate(chances))


def _labelled(images: ImageSet, what: str) -> ImageSet:
    """Return the images whose label is known. Raises TrainingError where training images lack a class."""
    alive, deceased, unknown = class_counts(images)
    if what == "training" and not (alive and deceased):
        raise TrainingError(
            f"Of the training images {alive} are of survivors, {deceased} of deceased patients and {unknown} without "
            "label. Give images of both classes, which fine-tuning needs."
        )
    known = np.flatnonzero(images.labels >= 0) if images.labels is not None else np.empty(0, np.int64)
    return images.take(known)


def _metadata(settings: FinetuneSettings, images: ImageSet, key: str, before: frozenset[str]) -> dict[str, object]:
    """Return the metadata of the finished network, with the pseudonyms of all patients it was trained on."""
    alive, deceased, _ = class_counts(images)
    return {
        "classes": ["alive", "deceased"],
        "counts": [alive, deceased],
        "epochs": settings.epochs,
        "key": key,
        "normalisation": settings.normalisation,
        "patients": sorted(before | set(images.groups.tolist())),
        "recipe": images.recipe,
        "seed": settings.seed,
        "start": settings.weights if settings.weights in ("imagenet", "random") else "file",
        "train_head": settings.train_head,
    }


class _Tuner:
    """Network, momenta and the number of steps taken."""

    def __init__(self, settings: FinetuneSettings, images: ImageSet, device: str, progress: Progress) -> None:
        self.settings, self.images, self.progress = settings, images, progress
        self.device = torch.device(device)
        self.rank, self.size = place()
        network, start = starting_network(settings.weights, images, settings.seed, settings.normalisation, progress)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.key = run_key(settings, images, start)
        if self.size > 1:
            share_batch_norms(self.network)
        self.dropout = RowDropout(self.network.get_submodule("dropout").p, settings.seed, self.rank, self.size)
        self.network.dropout = self.dropout
        frozen = () if settings.train_head else head_names(network)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name not in frozen)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.SGD(trained, settings.learning_rate, settings.momentum)
        self.steps_an_epoch = max(len(images) // settings.batch, 1)
        self.steps = settings.epochs * self.steps_an_epoch
        self.step = 0
        self._losses: list[float] = []

    def advance(self) -> float:
        """Take one step and return the mean loss of the epoch so far."""
        whole = self._rows()
        index = whole[self.rank :: self.size]
        labels = self.images.labels
        if labels is None:
            raise TrainingError("The training images have no labels. Give a clinical table or labelled images.")
        target = torch.from_numpy(labels[index].astype(np.int64)).to(self.device)
        loss = self._loss(torch.from_numpy(self.images.pixels[index]).to(self.device), target, len(whole))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = averaged(self.network, loss, self.size)
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.settings, self.step, self.steps)
        self.optimiser.step()
        if not isfinite(value):
            raise TrainingError("The loss is not finite. Lower --learning-rate and start again.")
        if self.step % self.steps_an_epoch == 0:
            self._losses = []
        self._losses.append(value)
        self.step += 1
        self.progress("fine-tuning", self.step, self.steps)
        return sum(self._losses) / len(self._losses)

    def _rows(self) -> Int64:
        """Return the rows of the step's batch: one order per epoch, without the last images that fill no batch."""
        epoch, place_in_epoch = divmod(self.step, self.steps_an_epoch)
        order = np.random.Generator(np.random.PCG64([self.settings.seed, epoch])).permutation(len(self.images))
        batch: Int64 = order[place_in_epoch * self.settings.batch :][: self.settings.batch]
        return batch

    def _loss(self, pixels: Tensor, target: Tensor, rows: int) -> Tensor:
        """Return the loss of this process's share; the mean over the processes is that of all `rows` images."""
        x = to_three_channels(prepare(pixels), self.settings.normalisation)
        self.network.train()
        self.dropout.step, self.dropout.rows = self.step, rows
        logits, auxiliary = self.network(x.contiguous(memory_format=torch.channels_last))
        main, aside = (functional.cross_entropy(given, target, reduction="sum") for given in (logits, auxiliary))
        return (main + self.settings.auxiliary * aside) * (self.size / rows)

    def state(self) -> RunState:
        """Return what resuming needs."""
        names = {id(p): name for name, p in self.network.named_parameters()}
        momenta = {
            names[id(p)]: values["momentum_buffer"].detach()
            for p, values in self.optimiser.state.items()
            if values.get("momentum_buffer") is not None
        }
        return RunState(self.key, self.step, tuple(self._losses), dict(self.network.state_dict()), momenta)

    def restore(self, state: RunState) -> None:
        """Continue from a stored state."""
        self.network.load_state_dict(dict(state.network))
        for name, parameter in self.network.named_parameters():
            if name in state.momenta:
                self.optimiser.state[parameter]["momentum_buffer"] = state.momenta[name].to(self.device).clone()
        self.step, self._losses = state.step, list(state.losses)


def rate_at(settings: FinetuneSettings, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0; it depends on nothing that resuming would lose."""
    return settings.learning_rate * (1 - step / steps)


def run_key(settings: FinetuneSettings, images: ImageSet, start: str) -> str:
    """Return a hex digest of all that determines the result: equal keys give equal results on one machine."""
    rest = replace(settings, weights=start)
    whole = hashlib.sha256(
        repr((rest, images.recipe, images.pixels.shape, images.groups.tolist(), place()[1])).encode()
    )
    whole.update(np.ascontiguousarray(images.pixels).data)
    whole.update(b"" if images.labels is None else images.labels.tobytes())
    return whole.hexdigest()[:24]
