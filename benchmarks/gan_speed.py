"""Training speed of both generators on one device, step by step and as CUDA graphs.

    python benchmarks/gan_speed.py [--device cuda] [--steps 64] [--size 128] [--narrow]

Each row trains on random images: the DCGAN at its published width 64 and batch 64, the PGGAN at its last stage, width
512 and batch 16. Times are those of the fastest of three stretches of `--steps` updates, after a warm-up; on a GPU the
device is waited for at both ends. Start-up, checkpoints and logs are not in them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from pytest_medgan.gan.adversarial import AdversarialTrainer
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.dcgan_training import DCGANTrainer
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.pggan_training import PGGANTrainer
from pytest_medgan.gan.stepping import own_stream, stepper
from pytest_medgan.records import ImageSet

Row = tuple[str, DCGANTrainer | PGGANTrainer, int]


def rows(size: int, device: torch.device, *, narrow: bool) -> Iterator[Row]:
    """Yield what is timed: a name, a trainer and the step to begin at."""
    pixels = np.random.default_rng(0).integers(0, 256, (512, 1, size, size), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(512).astype(str), "random")
    wide = {"generator_width": 8, "discriminator_width": 8} if narrow else {}
    dcgan = DCGANConfig(size, **wide)
    pggan = PGGANConfig(size, **wide)
    published = DCGANSettings(tolerance=0)
    for name, settings in (
        ("DCGAN, as published, float32", published),
        ("DCGAN, R1 every 8th step, shift, average, bfloat16", replace(
            published, penalty=0.1, shift=8, average=0.999, precision="bfloat16")),
    ):  # fmt: skip
        yield name, DCGANTrainer(dcgan, settings, images, world=World(), device=device), 0
    for name, staged in (
        ("PGGAN, WGAN-GP, float32", PGGANSettings()),
        ("PGGAN, logistic, R1 every 8th step, bfloat16", PGGANSettings(
            loss="logistic", penalty=0.3, penalty_every=8, precision="bfloat16")),
    ):  # fmt: skip
        trainer = PGGANTrainer(pggan, staged, images, world=World(), device=device)
        yield name, trainer, trainer.phases[-1].first_step


def seconds_per_step(trainer: AdversarialTrainer, first: int, steps: int, *, graph: bool) -> float:
    """Return the time of one update."""
    run = stepper(trainer, graph=graph)
    best = float("inf")
    with own_stream(trainer.device):
        for step in range(first, first + 24):  # every kind of step is captured within these
            run.step(step)
        for stretch in range(3):
            _wait(trainer.device)
            begun = time.perf_counter()
            for step in range(first + 24 + stretch * steps, first + 24 + (stretch + 1) * steps):
                run.step(step)
            _wait(trainer.device)
            best = min(best, (time.perf_counter() - begun) / steps)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--narrow", action="store_true", help="width 8, to try the script")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{arguments.size}x{arguments.size}, torch {torch.__version__}, {name}")
    print("| network and recipe | steps | ms a step | images a second |\n| --- | --- | --- | --- |")
    for graph in (False, True) if device.type == "cuda" else (False,):
        for what, trainer, first in rows(arguments.size, device, narrow=arguments.narrow):
            took = seconds_per_step(trainer, first, arguments.steps, graph=graph)
            batch = trainer.images_seen(first + 1) - trainer.images_seen(first)
            launched = "a CUDA graph" if graph else "kernel by kernel"
            print(f"| {what} | {launched} | {took * 1e3:.2f} | {batch / took:.0f} |", flush=True)


if __name__ == "__main__":
    main()
