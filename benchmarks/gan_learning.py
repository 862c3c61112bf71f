"""Do the generators learn? A DCGAN and a small PGGAN on real CT patches, scored against patients they never saw.

    python benchmarks/gan_learning.py dcgan --out RUN [--steps 12000] [--threads 1]
    python benchmarks/gan_learning.py pggan --out RUN [--size 32] [--fading 12000] [--stable 24000] [--threads 1]
    python benchmarks/gan_learning.py plot --out RUN

Data: ../shared/data/lidc-patches (or MEDGAN_SHARED_DATA), three quarters of the patients to train on, the rest to be
held against. Features: the 512-d mean of SqueezeNet 1.1's last maps, a fast pre-trained space; FID and improved
precision and recall (k=3) in it. Beside the generator stand two rulers: training patches scored as if they had been
generated, and the same blurred with a Gaussian of 3 pixels. A PGGAN's stages are upsampled to 128x128 and held against
full resolution; beside them stand the training patches shrunk to that resolution and brought back in the same way.
Minutes are those of the processor, over all threads and without the scoring, so that other work on the machine does not
count. Runs can be interrupted and called again: they resume (and count their minutes anew).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import gcd
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.latents import Stream
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings, schedule
from pytest_medgan.gan.pool import read_npz
from pytest_medgan.gan.run_folder import grid, write_png
from pytest_medgan.gan.sampling import NetworkGenerator
from pytest_medgan.gan.training import train
from pytest_medgan.metrics import frechet_distance, improved_precision_recall
from pytest_medgan.records import Float32, ImageSet, UInt8

SHARED = Path(os.environ.get("MEDGAN_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
QUICK, FULL = 512, 1100  # images of a reading along the way, and of the last one


class SqueezeFeatures:
    """uint8 [N,1,H,W] -> float32 [N,512], ImageNet's normalisation on grey made RGB."""

    def __init__(self) -> None:
        from torchvision.models import squeezenet1_1

        network = squeezenet1_1(weights=None)
        weights = torch.load(SHARED / "weights" / "squeezenet1_1_imagenet_fp16.pt", weights_only=True)
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self._features = network.features.eval()
        self._mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
        self._sd = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)

    @torch.inference_mode()
    def __call__(self, pixels: UInt8) -> Float32:
        rows = []
        for start in range(0, len(pixels), 64):
            grey = torch.from_numpy(np.ascontiguousarray(pixels[start : start + 64])).float() / 255
            rows.append(self._features((grey.expand(-1, 3, -1, -1) - self._mean) / self._sd).mean((2, 3)))
        return torch.cat(rows).numpy()


def patient_halves(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Three quarters of the patients, and the others."""
    patients = np.unique(images.groups)
    order = Stream(0).permutation(len(patients))
    training = np.isin(images.groups, patients[order[: len(patients) * 3 // 4]])
    return images.take(np.flatnonzero(training)), images.take(np.flatnonzero(~training))


def enlarged(pixels: UInt8) -> UInt8:
    """uint8 [N,1,h,w] -> uint8 [N,1,128,128], bilinear.

    Repeated pixels would not do: the edges of the squares outweigh everything, and even real patches shrunk to 16x16
    would then be no nearer to real ones than those shrunk to 4x4.
    """
    grey = interpolate(torch.from_numpy(pixels).float(), size=(128, 128), mode="bilinear", align_corners=False)
    return grey.round().to(torch.uint8).numpy()


def growing(pixels: UInt8) -> UInt8:
    """uint8 [N,1,S,S] of a stage that repeats its pixels -> the same stage at 128x128, enlarged smoothly."""
    size = pixels.shape[-1]
    for factor in (size // resolution for resolution in (4, 8, 16, 32, 64) if resolution < size):
        small = pixels[:, :, ::factor, ::factor]
        if (small.repeat(factor, 2).repeat(factor, 3) == pixels).all():
            return enlarged(np.ascontiguousarray(small))
    return pixels if size == 128 else enlarged(pixels)


def shrunk(pixels: UInt8, size: int) -> UInt8:
    """uint8 [N,1,128,128] -> uint8 [N,1,size,size], the mean of each square."""
    factor = 128 // size
    means = pixels.reshape(len(pixels), 1, size, factor, size, factor).mean((3, 5), dtype=np.float32)
    small: UInt8 = np.round(means).astype(np.uint8)
    return small


class Ruler:
    """Scores images against held-out patients."""

    def __init__(self, count: int = QUICK) -> None:
        self.count = count  # images of a reading along the way
        self.training, self.held_out = patient_halves(read_npz(SHARED / "lidc-patches" / "patches_128.npz"))
        self._features = SqueezeFeatures()
        self.began = time.process_time()
        self.scoring = 0.0  # seconds of the processor that readings along the way took

    @cached_property
    def _real(self) -> Float32:
        return self._features(self.held_out.pixels)

    def score(self, pixels: UInt8) -> dict[str, float]:
        fake = self._features(pixels)
        precision, recall = improved_precision_recall(real=self._real, fake=fake, k=3)
        fid = frechet_distance(real=self._real, fake=fake)
        return {"fid": float(fid), "improved_precision": float(precision), "improved_recall": float(recall)}

    def real_and_blurred(self) -> dict[str, dict[str, float]]:
        index = Stream(1).permutation(len(self.training))[:FULL]
        real = self.training.pixels[index]
        blurred = gaussian_filter(real.astype(np.float32), (0, 0, 3, 3))
        return {
            "training patients": self.score(real),
            "training patients, blurred 3 px": self.score(np.round(blurred).astype(np.uint8)),
        }

    def at(self, resolution: int) -> dict[str, float]:
        """Training patches at `resolution` and back: the best that this stage of a PGGAN could do."""
        real = self.training.pixels[Stream(1).permutation(len(self.training))[:FULL]]
        return self.score(enlarged(shrunk(real, resolution)))

    def on_checkpoint(self, step: int, generator: NetworkGenerator) -> Mapping[str, float]:
        now = time.process_time()
        pixels = growing(generator(self.count, 0))
        reading = self.score(pixels) | {"minutes": (now - self.began - self.scoring) / 60}
        self.scoring += time.process_time() - now
        print(f"step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in reading.items()), flush=True)
        return reading


def shown(what: str, done: int, total: int) -> None:
    if done % 500 == 0:
        print(f"{what} {done}/{total}", flush=True)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    ruler = Ruler(QUICK if arguments.architecture == "dcgan" else FULL)
    folder: Path = arguments.out / arguments.architecture
    training = ruler.training
    if arguments.architecture == "dcgan":
        config: DCGANConfig | PGGANConfig = DCGANConfig(
            128,
            generator_width=arguments.generator_width or 32,
            discriminator_width=arguments.discriminator_width or 16,
        )
        settings: DCGANSettings | PGGANSettings = DCGANSettings(
            steps=arguments.steps,
            batch=16,
            learning_rate=arguments.learning_rate,
            discriminator_learning_rate=arguments.discriminator_learning_rate,
            noise=arguments.noise,
            noise_share=arguments.noise_share,
            shift=arguments.shift,
            penalty=arguments.penalty,
            average=arguments.average,
            precision=arguments.precision,
            tolerance=0,
        )
        every = max(1, arguments.steps // 10)
    else:
        training = replace(training, pixels=shrunk(training.pixels, arguments.size))
        config = PGGANConfig(
            arguments.size,
            latent=128,
            generator_width=arguments.generator_width or 32,
            discriminator_width=arguments.discriminator_width or 32,
        )
        settings = PGGANSettings(fading=arguments.fading, stable=arguments.stable, batch=arguments.batch, average=0.995)
        every = gcd(*(phase.steps for phase in schedule(config, settings)))  # so that every stage's end is read
    generator = train(
        config,
        settings,
        training,
        folder,
        run=RunSettings(checkpoint_every=every, grid_every=every, keep=2),
        resume=True,
        on_checkpoint=ruler.on_checkpoint,
        progress=shown,
    )
    write_png(grid(generator(64, 0)), folder / "final.png")
    write_png(grid(ruler.held_out.pixels[Stream(2).permutation(len(ruler.held_out))[:64]]), arguments.out / "real.png")
    rulers = ruler.real_and_blurred() | {arguments.architecture: ruler.score(growing(generator(FULL, 0)))}
    if isinstance(config, PGGANConfig):
        rulers |= {f"training patients, {size}x{size}": ruler.at(size) for size in config.resolutions if size < 128}
    for name, reading in rulers.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in reading.items()), flush=True)
    (folder / "scores.json").write_text(json.dumps(rulers, indent=1))


def plot(arguments: argparse.Namespace) -> None:
    """FID over steps, the rulers as lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for folder in sorted(path.parent for path in arguments.out.glob("*/history.csv")):
        with (folder / "history.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row.get("fid")]
        axes.plot([float(r["step"]) for r in rows], [float(r["fid"]) for r in rows], marker="o", label=folder.name)
        if (folder / "scores.json").exists():
            for name, reading in json.loads((folder / "scores.json").read_text()).items():
                axes.axhline(reading["fid"], linestyle=":", linewidth=1)
                place = (0.98, reading["fid"])
                axes.annotate(name, place, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axes.set(xlabel="generator updates", ylabel="FID to held-out patients (SqueezeNet)", yscale="log")
    axes.legend()
    figure.savefig(arguments.out / "fid.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", choices=("dcgan", "pggan", "plot"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--discriminator-learning-rate", type=float)
    parser.add_argument("--shift", type=int, default=8)
    parser.add_argument("--penalty", type=float, default=0.1)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--noise-share", type=float, default=0.7)
    parser.add_argument("--average", type=float, default=0.999)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--fading", type=int, default=12_000)
    parser.add_argument("--stable", type=int, default=24_000)
    parser.add_argument("--size", type=int, choices=(16, 32, 64, 128), default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--generator-width", type=int)
    parser.add_argument("--discriminator-width", type=int)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    plot(arguments) if arguments.architecture == "plot" else run(arguments)


if __name__ == "__main__":
    main()
