"""Four generators on the same real CT patches for the same time: DCGAN, PGGAN, StyleGAN2 and BigGAN at 64x64.

    python -m benchmarks.gan_compared --out RUNS --seconds 7200 --only dcgan --average 0.999
    python -m benchmarks.gan_compared --out RUNS --seconds 7200 --only stylegan2 --batch 8 --average 0.9995 \\
        --precision bfloat16
    python -m benchmarks.gan_compared --out RUNS --seconds 110 --device cuda --batch 64

Data: ../shared/data/lidc-patches (or MEDGAN_SHARED_DATA), three quarters of the patients to train on, the others to
score against, shrunk to 64x64. Seconds are those of the processor, over all threads and without the scoring, so other
work on the machine does not count; on a GPU they are those of the clock. A run can be interrupted and called again: it
goes on where it stopped, and goes on further where more seconds are asked for. The architectures train one after
another; `--only` trains some of them, so that two calls use two cores. Each call ends with a table of all that have
been scored in RUNS, and leaves, for each, `final.png` and `scores.json` in its folder; `history.csv` holds FID and
seconds along the way.

A PGGAN is planned before it begins: the speed of each stage is measured, half of the time goes to all stages but the
last one's stable phase, which takes the rest. Its plan stays where a longer run is asked for.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gan_learning import SHARED, patient_halves, shrunk
from benchmarks.gan_speed import seconds_per_step
from pytest_medgan.embedding import load_extractor
from pytest_medgan.gan import (
    BigGANConfig,
    BigGANSettings,
    DCGANConfig,
    DCGANSettings,
    PGGANConfig,
    PGGANSettings,
    StyleGAN2Config,
    StyleGAN2Settings,
)
from pytest_medgan.gan.adversarial import AdversarialTrainer
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.described import PRECISIONS
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.latents import Stream
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.pggan_settings import schedule
from pytest_medgan.gan.pool import read_npz
from pytest_medgan.gan.run_folder import RunFolder, grid, write_png
from pytest_medgan.gan.sampling import NetworkGenerator, from_checkpoint
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.training import make_trainer, train
from pytest_medgan.metrics import density_coverage, frechet_distance, improved_precision_recall
from pytest_medgan.records import ImageSet, UInt8, no_progress

SIZE, ENDLESS = 64, 10**7
QUICK, FULL = 512, 1100  # images of a reading along the way, and of the last one
READINGS = 8  # along the way
CONFIGURATIONS: dict[str, NetworkConfig] = {
    "dcgan": DCGANConfig(SIZE, generator_width=32, discriminator_width=16),
    "pggan": PGGANConfig(SIZE, latent=128, generator_width=64, discriminator_width=64, full_until=16),
    "stylegan2": StyleGAN2Config(
        SIZE, latent=128, style=128, mapping=2, generator_width=128, discriminator_width=128, full_until=16
    ),
    "biggan": BigGANConfig(SIZE, generator_width=8, discriminator_width=8, attention=16),
}


def recipe(name: str, batch: int, average: float, precision: str = "float32") -> TrainingSettings:
    """Return how an architecture is trained."""
    settings: Any = {
        "dcgan": DCGANSettings(
            steps=ENDLESS, batch=batch, learning_rate=4e-4, penalty=0.1, shift=4, average=average, tolerance=0
        ),
        "pggan": PGGANSettings(batch=batch, loss="logistic", penalty=0.3, penalty_every=8, average=average, shift=4),
        # NVlabs/stylegan2-ada-pytorch: the gradient penalty that it chooses by itself, and neither path length penalty
        # nor mixed styles, as in its configuration for the smallest images
        "stylegan2": StyleGAN2Settings(
            steps=ENDLESS,
            batch=batch,
            penalty=0.0002 * SIZE**2 / batch,
            path=0,
            mixing=0,
            average=average,
            adapt_images=100_000,
        ),
        "biggan": BigGANSettings(steps=ENDLESS, batch=batch, shift=4, average=average),
    }[name]
    trained: TrainingSettings = replace(settings, precision=precision)
    return trained


class Ruler:
    """Score images against held-out patients in the feature space `compact`."""

    def __init__(self) -> None:
        images = read_npz(SHARED / "lidc-patches" / "patches_128.npz")
        training, held_out = patient_halves(replace(images, pixels=shrunk(images.pixels, SIZE)))
        self.training = replace(training, recipe=f"lidc-patches, {SIZE}x{SIZE}, three quarters of the patients")
        self.held_out = held_out
        self._space = load_extractor("compact")
        self._real = self._space.embed(held_out.pixels)[0]

    def fid(self, pixels: UInt8) -> float:
        return float(frechet_distance(real=self._real, fake=self._space.embed(pixels)[0]))

    def score(self, pixels: UInt8) -> dict[str, float]:
        fake = self._space.embed(pixels)[0]
        precision, recall = improved_precision_recall(real=self._real, fake=fake, k=3)
        density, coverage = density_coverage(real=self._real, fake=fake, k=5)
        return {
            "FID": float(frechet_distance(real=self._real, fake=fake)),
            "improved precision": float(precision),
            "improved recall": float(recall),
            "density": float(density),
            "coverage": float(coverage),
        }


class Stopwatch:
    """Count a run's seconds of the processor over all its calls, read the FID now and then, and end the run."""

    def __init__(self, ruler: Ruler, folder: Path, budget: float, clock: Callable[[], float]) -> None:
        self._ruler, self._budget, self._clock = ruler, budget, clock
        found = RunFolder(folder).latest(no_progress)
        rows = [] if found is None else found.progress.get("history", [])
        self._before = max((row["seconds"] for row in rows if "seconds" in row), default=0.0)
        self._read_at = max((row["seconds"] for row in rows if "FID" in row), default=0.0)
        self._began, self._scoring = clock(), 0.0

    @property
    def seconds(self) -> float:
        """Spent on the training so far."""
        return self._before + self._clock() - self._began - self._scoring

    def on_log(self, step: int, row: Mapping[str, float]) -> None:
        """End the run once its time is spent: it saves and stops as if it had been interrupted."""
        if self.seconds >= self._budget:
            signal.raise_signal(signal.SIGINT)

    def on_checkpoint(self, step: int, generator: NetworkGenerator) -> dict[str, float]:
        """Return what joins the history: the seconds, and the FID where the last one is old."""
        reading = {"seconds": self.seconds}
        if reading["seconds"] - self._read_at >= self._budget / READINGS:
            self._read_at, began = reading["seconds"], self._clock()
            reading["FID"] = self._ruler.fid(generator(QUICK, 0))
            self._scoring += self._clock() - began
            print(f"step {step}, {reading['seconds']:.0f} s: FID {reading['FID']:.2f}", flush=True)
        return reading


def trainer_of(
    config: NetworkConfig, settings: TrainingSettings, images: ImageSet, device: torch.device
) -> AdversarialTrainer:
    made = make_trainer(config, settings, images, world=World(), device=device)
    if not isinstance(made, AdversarialTrainer):
        raise SystemExit(f"{type(made).__name__} does not say what its networks are. Make it an AdversarialTrainer.")
    return made


def seconds_a_step(trainer: AdversarialTrainer, first: int, steps: int = 8) -> float:
    if trainer.device.type == "cuda":
        return seconds_per_step(trainer, first, 4 * steps, graph=True)
    run = Eager(trainer)
    run.step(first)
    began = time.process_time()
    for step in range(first + 1, first + 1 + steps):
        run.step(step)
    return (time.process_time() - began) / steps


def planned(
    config: PGGANConfig, settings: PGGANSettings, images: ImageSet, budget: float, device: torch.device
) -> PGGANSettings:
    """Return the settings with which all phases but the last take half of the time."""
    short = replace(settings, fading=200 * settings.batch, stable=200 * settings.batch)
    trainer = trainer_of(config, short, images, device)
    every = [seconds_a_step(trainer, phase.first_step) for phase in schedule(config, short)[:-1]]
    return grown(config, settings, round(budget / 2 / sum(every)) * settings.batch)


def grown(config: PGGANConfig, settings: PGGANSettings, shown: int) -> PGGANSettings:
    """Return the settings with so many images a phase, and the last one without end."""
    return replace(settings, fading=shown, stable=shown, stables=((config.size, ENDLESS * settings.batch),))


def run(
    name: str,
    ruler: Ruler,
    folder: Path,
    budget: float,
    *,
    batch: int,
    average: float,
    device: torch.device,
    precision: str = "float32",
) -> None:
    """Train one architecture until its time is spent, and score it."""
    config, settings = CONFIGURATIONS[name], recipe(name, batch, average, precision)
    images = ruler.training
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, PGGANConfig) and isinstance(settings, PGGANSettings):
        plan = folder / "plan.json"
        if plan.exists():
            settings = grown(config, settings, json.loads(plan.read_text())["images a phase"])
        else:
            settings = planned(config, settings, images, budget, device)
            plan.write_text(json.dumps({"images a phase": settings.fading}))
    trainer = trainer_of(config, settings, images, device)
    sizes = {
        f"parameters of {which}": sum(p.numel() for p in network.parameters())
        for which, network in (("G", trainer.generator), ("D", trainer.discriminator))
    }
    last = schedule(config, settings)[-1].first_step if isinstance(config, PGGANConfig) else 0
    pace = seconds_a_step(trainer, last)
    del trainer
    watch = Stopwatch(ruler, folder, budget, clock)
    print(f"{name}: {pace * 1e3:.0f} ms a step, {watch.seconds:.0f} s of {budget:.0f} s spent", flush=True)
    if watch.seconds < budget:
        every = max(10, round(budget / 40 / pace / 10) * 10)
        log_every = 50 if device.type == "cuda" else 10  # each waits for the device
        try:
            train(
                config,
                settings,
                images,
                folder,
                run=RunSettings(checkpoint_every=every, log_every=log_every, grid_every=8 * every, keep=2),
                resume=True,
                device=str(device),
                on_checkpoint=watch.on_checkpoint,
                on_log=watch.on_log,
            )
        except KeyboardInterrupt:
            if watch.seconds < budget:
                raise
    found = RunFolder(folder).latest(no_progress)
    if found is None:
        raise SystemExit(f"{name} has no checkpoint. Ask for more seconds.")
    spent = watch.seconds
    pixels = from_checkpoint(found)(FULL, 0)
    write_png(grid(pixels[:64]), folder / "final.png")
    speed = {
        "seconds": spent,
        "steps": found.step,
        "images a second": images_seen(config, settings, found.step, batch),
    }
    speed["images a second"] /= spent
    (folder / "scores.json").write_text(json.dumps(ruler.score(pixels) | speed | sizes, indent=1))


def images_seen(config: NetworkConfig, settings: TrainingSettings, step: int, batch: int) -> float:
    """Return how many real images the training had shown."""
    if isinstance(config, PGGANConfig) and isinstance(settings, PGGANSettings):
        phases = schedule(config, settings)
        return float(next(phase.seen(step) for phase in reversed(phases) if phase.first_step <= step))
    return float(step * batch)


def show(ruler: Ruler, out: Path) -> None:
    """Print one table of all that have been scored, beside training patients and the same with less detail."""
    real = ruler.training.pixels[Stream(1).permutation(len(ruler.training))[:FULL]]
    rows: dict[str, dict[str, float]] = {"training patients": ruler.score(real)}
    for name in CONFIGURATIONS:
        if (out / name / "scores.json").exists():
            rows[name] = json.loads((out / name / "scores.json").read_text())
    write_png(grid(real[:64]), out / "real.png")
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print(f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(shown(column, row) for column in columns)} |")


def shown(column: str, row: Mapping[str, float]) -> str:
    """Return a number as the table shows it."""
    value = row.get(column)
    if value is None:
        return ""
    digits = {"FID": 2, "images a second": 1}.get(column, 0 if value == round(value) or column == "seconds" else 3)
    return f"{value:,.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=7200.0, help="of the processor, for each architecture")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default=",".join(CONFIGURATIONS), help="architectures, separated by commas")
    parser.add_argument("--batch", type=int, default=16)
    # 0.995 averages about 200 steps; a slower average makes a short run show an outdated generator
    parser.add_argument("--average", type=float, default=0.995, help="decay of the generator's moving average per step")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="of the forward passes")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if unknown := {*arguments.only.split(",")} - {*CONFIGURATIONS}:
        parser.error(f"--only names {', '.join(sorted(unknown))}. Choose among {', '.join(CONFIGURATIONS)}.")
    torch.set_num_threads(arguments.threads)
    ruler = Ruler()
    for name in arguments.only.split(","):
        run(
            name,
            ruler,
            arguments.out / name,
            arguments.seconds,
            batch=arguments.batch,
            average=arguments.average,
            device=torch.device(arguments.device),
            precision=arguments.precision,
        )
    show(ruler, arguments.out)


if __name__ == "__main__":
    main()
