"""Runs end the same however often they are interrupted, and stop when they go astray."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError, SettingsError, TrainingError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.checkpoint import load, save
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.dcgan_training import DCGANTrainer
from pytest_medgan.gan.described import added_fields
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.sampling import NetworkGenerator
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.training import train, train_or_load, train_runs
from pytest_medgan.records import ImageSet

SETTINGS = DCGANSettings(steps=10, batch=8, seed=1, tolerance=0)  # those of the finished run
RUN = RunSettings(checkpoint_every=4, log_every=2, grid_every=0)
MakeImages = Callable[..., ImageSet]


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    return load(folder / "generator.safetensors").tensors


def assert_equal_weights(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_run_leaves_checkpoints_history_grids_and_generator(finished_run: Path) -> None:
    names = sorted(path.name for path in finished_run.iterdir())
    assert names == [
        "checkpoint-00000004.safetensors",
        "checkpoint-00000008.safetensors",
        "checkpoint-00000010.safetensors",
        "generator.safetensors",
        "history.csv",
        "run.lock",
        "samples-00000005.png",
        "samples-00000010.png",
    ]
    final = load(finished_run / "generator.safetensors")
    assert (final.finished, final.step, final.seed, final.images) == (True, 10, 1, 40)
    assert len(final.patients) == 4
    assert {name.split(".")[0] for name in final.tensors} == {"generator"}
    with (finished_run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["step"]) for row in rows] == [2, 4, 6, 8, 10]
    assert all(0 < float(row["discriminator"]) < 10 and 0 < float(row["generator"]) < 10 for row in rows)


def test_equal_runs_are_equal_to_the_bit(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    train(tiny, SETTINGS, make_images(), tmp_path / "again", run=RUN)
    assert_equal_weights(weights(tmp_path / "again"), weights(finished_run))
    train(tiny, replace(SETTINGS, seed=2), make_images(), tmp_path / "other", run=RUN)
    assert not torch.equal(
        weights(tmp_path / "other")["generator.layers.0.weight"], weights(finished_run)["generator.layers.0.weight"]
    )


def test_training_moves_the_images_towards_the_real_ones(tiny: DCGANConfig, make_images: MakeImages) -> None:
    """A hundred and fifty steps and the mean picture has a bright middle on a dark ground, as the discs have."""
    images = make_images(200)
    settings = DCGANSettings(batch=32, seed=0, learning_rate=2e-3)
    trainer = DCGANTrainer(
        replace(tiny, generator_width=8, discriminator_width=8),
        settings,
        images,
        world=World(),
        device=torch.device("cpu"),
    )

    def gap() -> float:
        with torch.no_grad():
            trainer.generator.eval()
            drawn = trainer.generator(torch.randn(256, 8, generator=torch.Generator().manual_seed(0)))
            trainer.generator.train()
        return float(np.abs(drawn.mean(0).numpy() * 127.5 + 127.5 - images.pixels.mean(0)).mean())

    before = gap()
    for step in range(150):
        Eager(trainer).step(step)
    assert gap() < before / 2


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


def test_run_resumed_after_an_error_ends_with_the_same_weights(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    calls = []

    def stop_at_the_second(step: int, generator: NetworkGenerator) -> None:
        calls.append(step)
        if step == 8:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, on_checkpoint=stop_at_the_second)
    assert calls == [4, 8]
    assert load(sorted(tmp_path.glob("checkpoint-*"))[-1]).step == 4
    train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)
    assert_equal_weights(weights(tmp_path), weights(finished_run))
    history = load(tmp_path / "generator.safetensors").progress["history"]
    assert history == load(finished_run / "generator.safetensors").progress["history"]


# a hundred steps of a DCGAN; a PGGAN that grows from 4x4 to 8x8 to 16x16 in 5 times 20 steps
KILLABLE: dict[str, tuple[NetworkConfig, TrainingSettings]] = {
    "dcgan": (
        DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4),
        DCGANSettings(steps=100, batch=8, seed=1, tolerance=0),
    ),
    "pggan": (
        PGGANConfig(16, latent=8, generator_width=8, discriminator_width=8),
        PGGANSettings(fading=160, stable=160, batch=8, seed=1),
    ),
    "stylegan2": (
        StyleGAN2Config(16, latent=8, style=8, mapping=2, generator_width=8, discriminator_width=8),
        StyleGAN2Settings(steps=40, batch=8, seed=1, penalty_every=3, path_every=2, adapt_images=200),
    ),
    "biggan": (
        BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2),
        BigGANSettings(steps=40, batch=8, seed=1, discriminator_steps=2),
    ),
}
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from pytest_medgan.gan import BigGANConfig, BigGANSettings, DCGANConfig, DCGANSettings
from pytest_medgan.gan import PGGANConfig, PGGANSettings, StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.pool import read_npz
from pytest_medgan.gan.training import train
torch.set_num_threads(1)
images, folder, place, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
flush = os.fsync
def count():
    global left
    if list(folder.glob("checkpoint-*")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
def counted_flush(handle):
    if place == "while a file is written":
        count()
    flush(handle)
os.fsync = counted_flush
config, settings = {recipe!r}
train(config, settings, read_npz(images), folder, run=RunSettings(checkpoint_every=5, log_every=1, grid_every=0),
      resume=True, on_log=lambda step, row: count() if place == "between steps" else None)
"""


@pytest.mark.parametrize(
    "architecture",
    ["dcgan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pggan", "stylegan2", "biggan"))],
)
def test_run_killed_and_resumed_ends_with_the_same_weights(
    architecture: str, make_images: MakeImages, tmp_path: Path
) -> None:
    """Killed twice after its first checkpoint: between two steps, and while a file is half written."""
    images, (config, settings) = make_images(), KILLABLE[architecture]
    np.savez(tmp_path / "images.npz", pixels=images.pixels, groups=images.groups, recipe=images.recipe)
    train(config, settings, images, tmp_path / "whole", run=replace(RUN, checkpoint_every=100))
    command = [sys.executable, "-c", KILLED.format(recipe=KILLABLE[architecture]), str(tmp_path / "images.npz")]
    random, reached = np.random.default_rng(0), [0]
    for place in ("between steps", "while a file is written"):
        moment = str(random.integers(1, 12))
        ended = subprocess.run([*command, str(tmp_path / "killed"), place, moment], check=False)
        assert ended.returncode == -signal.SIGKILL
        reached.append(load(sorted((tmp_path / "killed").glob("checkpoint-*"))[-1]).step)
    assert reached[0] < reached[1] < reached[2] < load(tmp_path / "whole" / "generator.safetensors").step
    train(config, settings, images, tmp_path / "killed", run=replace(RUN, checkpoint_every=100), resume=True)
    assert_equal_weights(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_interrupt_saves_and_then_stops(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    def press(what: str, done: int, total: int) -> None:
        if done == 6 and not pressed:
            pressed.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, progress=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert load(sorted(tmp_path.glob("checkpoint-*"))[-1]).step == 6
    assert not (tmp_path / "generator.safetensors").exists()
    train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)
    assert_equal_weights(weights(tmp_path), weights(finished_run))


def test_two_runs_do_not_write_one_folder(tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def second(step: int, generator: NetworkGenerator) -> None:
        def attempt() -> None:
            try:
                train(tiny, SETTINGS, make_images(), tmp_path / "run", run=RUN, resume=True)
            except TrainingError as error:
                problems.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    train(tiny, SETTINGS, make_images(), tmp_path / "run", run=RUN, on_checkpoint=second)
    assert "Another run is writing this folder" in str(problems[0])
    assert str(tmp_path) not in str(problems[0])


def test_folder_that_holds_a_run_is_not_overwritten(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages
) -> None:
    before = (finished_run / "generator.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="--resume"):
        train(tiny, SETTINGS, make_images(), finished_run, run=RUN)
    assert (finished_run / "generator.safetensors").read_bytes() == before


def test_another_run_is_not_resumed(finished_run: Path, tiny: DCGANConfig, make_images: MakeImages) -> None:
    with pytest.raises(TrainingError, match=r"differs in batch, learning_rate\."):
        train(tiny, replace(SETTINGS, batch=4, learning_rate=1.0), make_images(), finished_run, run=RUN, resume=True)
    with pytest.raises(TrainingError, match=r"differs in training set\."):
        train(tiny, SETTINGS, make_images(seed=3), finished_run, run=RUN, resume=True)
    images = replace(make_images(size=32), recipe=make_images().recipe)
    with pytest.raises(TrainingError, match=r"differs in generator_width, size\."):
        train(replace(tiny, size=32, generator_width=5), SETTINGS, images, finished_run, run=RUN, resume=True)


def test_run_that_has_taken_more_steps_is_not_resumed_for_fewer(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages
) -> None:
    """Its recipe would name fewer steps than its weights have seen."""
    with pytest.raises(TrainingError, match=r"is at step 10, and 9 were asked for"):
        train(tiny, replace(SETTINGS, steps=9), make_images(), finished_run, run=RUN, resume=True)


def test_run_of_another_revision_of_the_code_is_not_resumed(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {**ARCHITECTURES, "dcgan": replace(ARCHITECTURES["dcgan"], revision=99)}
    monkeypatch.setattr("pytest_medgan.gan.architectures.ARCHITECTURES", later)
    with pytest.raises(TrainingError, match="another revision of the training code"):
        train(tiny, SETTINGS, make_images(), finished_run, run=RUN, resume=True)


def test_finished_generator_without_checkpoints_is_not_written_over(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    content = (finished_run / "generator.safetensors").read_bytes()
    (tmp_path / "generator.safetensors").write_bytes(content)
    for settings, images in ((replace(SETTINGS, steps=12), make_images()), (SETTINGS, make_images(seed=3))):
        with pytest.raises(TrainingError, match="finished generator of other settings, images or code, and no check"):
            train(tiny, settings, images, tmp_path, run=RUN, resume=True)
    with pytest.raises(TrainingError, match="finished generator, and no checkpoint to continue from"):
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)
    assert (tmp_path / "generator.safetensors").read_bytes() == content


def test_run_without_a_setting_added_later_is_resumed(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    train(tiny, replace(SETTINGS, steps=4), make_images(), tmp_path, run=RUN)
    for path in tmp_path.glob("checkpoint-*"):
        written = load(path)
        older = {n: v for n, v in written.settings.items() if n not in added_fields(DCGANSettings)}
        assert {"penalty", "shift", "cutout"} <= written.settings.keys() - older.keys()
        save(replace(written, settings=older), path)
    (tmp_path / "generator.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"differs in penalty\."):
        train(tiny, replace(SETTINGS, penalty=1.0), make_images(), tmp_path, run=RUN, resume=True)
    train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)
    assert_equal_weights(weights(tmp_path), weights(finished_run))


def test_unreadable_last_checkpoint_is_passed_over(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    train(tiny, replace(SETTINGS, steps=8), make_images(), tmp_path, run=RUN)
    last = tmp_path / "checkpoint-00000008.safetensors"
    last.write_bytes(last.read_bytes()[:1000])
    train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)
    assert_equal_weights(weights(tmp_path), weights(finished_run))
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="truncated"):
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, resume=True)


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = DCGANTrainer.update

    def poisoned(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        losses = step(self, index, inputs)
        if index == 8:
            with torch.no_grad():
                next(self.generator.parameters()).fill_(float("nan"))
        return losses

    monkeypatch.setattr(DCGANTrainer, "update", poisoned)
    with pytest.raises(TrainingError, match="the checkpoint of step 8 is kept") as caught:
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN)
    assert "nan" in str(caught.value)
    assert "Lower the learning rate" in str(caught.value)
    kept = sorted(tmp_path.glob("checkpoint-*"))
    assert load(kept[-1]).step == 8
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load(kept[-1]).tensors.values())
    assert not (tmp_path / "generator.safetensors").exists()


def test_weights_that_are_not_finite_are_never_saved(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses of the step before a checkpoint are finite; the weights of the discriminator are not."""
    step = DCGANTrainer.update

    def poisoned(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        losses = step(self, index, inputs)
        if index == 7:
            with torch.no_grad():
                next(self.discriminator.parameters())[0, 0, 0, 0] = float("inf")
        return losses

    monkeypatch.setattr(DCGANTrainer, "update", poisoned)
    with pytest.raises(TrainingError, match="the weights are not finite at step 8"):
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000004.safetensors"]


def test_exploding_losses_are_divergence_too(tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"training has diverged: .* \((none|the checkpoint of step \d+) is kept\)"):
        train(
            tiny,
            replace(SETTINGS, steps=150, learning_rate=30.0),
            make_images(),
            tmp_path,
            run=RunSettings(log_every=2),
        )


def test_run_ends_early_once_the_smoothed_losses_have_converged(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settling(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        loss = torch.tensor(1.0 + 2.0 * 0.9**index + 0.001 * (-1) ** index)
        return {"discriminator": loss, "generator": 2 * loss}

    monkeypatch.setattr(DCGANTrainer, "update", settling)
    settings = replace(SETTINGS, steps=200, tolerance=0.02)
    train(tiny, settings, make_images(), tmp_path / "a", run=replace(RUN, checkpoint_every=100))
    stopped = load(tmp_path / "a" / "generator.safetensors").step
    assert 40 <= stopped <= 100
    train(tiny, replace(settings, tolerance=0.0), make_images(), tmp_path / "b", run=RUN)
    assert load(tmp_path / "b" / "generator.safetensors").step == 200


def test_measurements_of_the_checkpoint_callback_join_the_history(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    def quick(step: int, generator: NetworkGenerator) -> Mapping[str, float]:
        return {"mean grey": float(generator(4, 0).mean())}

    train(tiny, SETTINGS, make_images(), tmp_path, run=RUN, on_checkpoint=quick)
    history = load(tmp_path / "generator.safetensors").progress["history"]
    assert [row["step"] for row in history if "mean grey" in row] == [4, 8, 10]
    assert "mean grey" in (tmp_path / "history.csv").read_text().splitlines()[0]


def test_images_that_do_not_fit_are_refused(tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"uint8 \[40, 1, 32, 32\].*uint8 \[N, 1, 16, 16\]"):
        train(tiny, SETTINGS, make_images(size=32), tmp_path, run=RUN)
    with pytest.raises(TrainingError, match="empty"):
        train(tiny, SETTINGS, make_images().take(slice(0, 0)), tmp_path, run=RUN)


def test_settings_that_cannot_be_used_are_refused() -> None:
    for build in (
        lambda: DCGANSettings(steps=0),
        lambda: DCGANSettings(batch=1),
        lambda: DCGANSettings(precision="float8"),
        lambda: RunSettings(keep=0),
    ):
        with pytest.raises(SettingsError):
            build()


def test_train_or_load_trains_resumes_and_loads(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = DCGANTrainer.update

    def counted(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(index)
        if len(steps) == 7:
            raise InterruptionError
        return step(self, index, inputs)

    monkeypatch.setattr(DCGANTrainer, "update", counted)

    def ask(settings: DCGANSettings = SETTINGS) -> NetworkGenerator:
        return train_or_load(tiny, make_images(), directory=tmp_path, settings=settings, run=RUN)

    with pytest.raises(InterruptionError):
        ask()
    first = ask()
    assert steps == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9]
    assert ask().identity == first.identity
    assert len(steps) == 13
    assert ask(replace(SETTINGS, seed=4)).identity != first.identity
    assert len(steps) == 23


def test_second_process_waits_for_the_first(tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path) -> None:
    """Two workers of one test run want the same model: one trains, the other loads what it made."""
    identities: list[str] = []

    def ask() -> None:
        made = train_or_load(tiny, make_images(), directory=tmp_path, settings=replace(SETTINGS, steps=40), run=RUN)
        identities.append(made.identity)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identities) == 2
    assert len(set(identities)) == 1


def test_collapse_is_noticed(tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path) -> None:
    """A generator whose images do not vary, as its last layer's weights are next to nothing."""

    def shrink(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            list(self.generator.parameters())[-1].mul_(1e-3)
        return {"discriminator": torch.tensor(1.0), "generator": torch.tensor(1.0)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DCGANTrainer, "update", shrink)
        train(tiny, SETTINGS, make_images(), tmp_path, run=RUN)
    history = load(tmp_path / "generator.safetensors").progress["history"]
    assert [row["step"] for row in history if row.get("diversity", 1.0) < 0.1] == [4, 8, 10]


def test_progress_names_the_work_once_and_the_log_has_the_losses(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    shown: list[tuple[str, int, int]] = []
    rows: dict[int, Mapping[str, float]] = {}
    train(
        tiny,
        SETTINGS,
        make_images(),
        tmp_path,
        run=RUN,
        on_log=rows.__setitem__,
        progress=lambda what, done, total: shown.append((what, done, total)),
    )
    assert shown == [("training the DCGAN", step, 10) for step in (2, 4, 6, 8, 10)]
    assert list(rows) == [2, 4, 6, 8, 10]
    assert set(rows[2]) == {"discriminator", "generator", "images_per_second", "seconds_left"}
    assert rows[10]["seconds_left"] == 0


# -------------------------------------------------------------------------------------------------- several runs


def test_runs_of_a_recipe_are_those_of_single_seeds(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    paths = train_runs(tiny, SETTINGS, make_images(), tmp_path, seeds=range(1, 4), run=RUN)
    assert paths == [tmp_path / f"seed-{seed}" / "generator.safetensors" for seed in (1, 2, 3)]
    assert_equal_weights(weights(tmp_path / "seed-1"), weights(finished_run))
    made = [load(path) for path in paths]
    assert [one.seed for one in made] == [1, 2, 3]
    assert len({one.run_recipe() for one in made}) == 1
    assert len({one.identity() for one in made}) == 3


def test_runs_are_resumed_where_they_were_interrupted(
    tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = DCGANTrainer.update

    def counted(self: DCGANTrainer, index: int, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(index)
        if len(steps) == 17:  # in the second run, after its checkpoint of step 4
            raise InterruptionError
        return step(self, index, inputs)

    monkeypatch.setattr(DCGANTrainer, "update", counted)
    with pytest.raises(InterruptionError):
        train_runs(tiny, SETTINGS, make_images(), tmp_path, seeds=range(1, 4), run=RUN)
    before = (tmp_path / "seed-1" / "generator.safetensors").stat()
    with pytest.raises(TrainingError, match="holds a run already"):
        train_runs(tiny, SETTINGS, make_images(), tmp_path, seeds=range(1, 4), run=RUN)
    assert len(steps) == 17
    paths = train_runs(tiny, SETTINGS, make_images(), tmp_path, seeds=range(1, 4), run=RUN, resume=True)
    assert steps[17:] == [4, 5, 6, 7, 8, 9, *range(10)]
    assert (tmp_path / "seed-1" / "generator.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    assert len({load(path).identity() for path in paths}) == 3
    with pytest.raises(TrainingError, match="differs in batch"):
        train_runs(tiny, replace(SETTINGS, batch=4), make_images(), tmp_path, seeds=range(1, 2), run=RUN, resume=True)
