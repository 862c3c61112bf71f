"""The "model" under test: a sampler that never runs out, and the faults it can be given.

A latent seed picks a training patch, turns it by up to 5 degrees, shifts it by up to 3 pixels, zooms it by up to 4% and
changes its grey gain by up to 5%, then blurs it by 0.7 pixels. A fault with a dose changes what comes out.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

CHUNK = 1024  # images that one random stream draws
BLUR = 0.7  # pixels, of the unchanged model
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Patches:
    """Real patches of the patients of one part."""

    pixels: UInt8  # [N,1,128,128]
    patients: npt.NDArray[np.str_]  # [N]


def split(data: Path) -> dict[str, Patches]:
    """Patients in three parts: 40% reference, 40% training set of the model, 20% set aside for fixing the defaults."""
    with np.load(data / "lidc-patches" / "patches_128.npz") as archive:
        pixels, patients = archive["pixels"][:, None], archive["patient"]
    names = np.unique(patients)
    names = names[np.random.default_rng(20220901).permutation(len(names))]
    cuts = np.split(names, [int(0.4 * len(names)), int(0.8 * len(names))])
    parts = zip(("reference", "training", "aside"), cuts, strict=True)
    return {part: Patches(pixels[np.isin(patients, own)], patients[np.isin(patients, own)]) for part, own in parts}


def draw(training: UInt8, pool: str, chunk: int, count: int = CHUNK) -> UInt8:
    """Images of one chunk of a pool, [count,1,128,128]; `pool` is "model", "FAULT:DOSE" or "NAME/FAULT:DOSE".

    Every pool has latents of its own, so two pools never share an image.
    """
    fault, _, dose_text = pool.rpartition("/")[2].partition(":")
    dose = float(dose_text) if dose_text else 0.0
    rng = np.random.default_rng([zlib.crc32(pool.encode()), chunk])
    base = torch.from_numpy(training[rng.integers(len(training), size=count)]).float()
    images = blurred(moved(base, rng), dose if fault == "blur" else BLUR)
    return _finish(images, fault, dose, rng)


def moved(base: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Images [N,1,H,W] turned, zoomed, shifted and changed in gain, each by a random amount."""
    count, size = len(base), base.shape[-1]
    angle = np.deg2rad(rng.uniform(-5, 5, count))
    zoom = rng.uniform(0.96, 1.04, count)
    shift = rng.uniform(-3, 3, (count, 2)) * 2 / size
    gain = rng.uniform(0.95, 1.05, count)
    theta = np.stack(
        [
            np.stack([np.cos(angle) / zoom, -np.sin(angle) / zoom, shift[:, 0]], 1),
            np.stack([np.sin(angle) / zoom, np.cos(angle) / zoom, shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(torch.from_numpy(theta).float(), [count, 1, size, size], align_corners=False)
    warped = functional.grid_sample(base, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return warped * torch.from_numpy(gain).float()[:, None, None, None]


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Images [N,1,H,W] under a Gaussian of `sigma` pixels."""
    reach = 4
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None]
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel[:, :, None, :]), kernel[:, :, :, None])


def _finish(images: torch.Tensor, fault: str, dose: float, rng: np.random.Generator) -> UInt8:
    if fault == "grey":
        images = images + dose
    elif fault == "noise":
        images = images + torch.from_numpy(rng.normal(0, dose, images.shape).astype(np.float32))
    elif fault == "upside":
        images = images.flip(-2)
    elif fault == "contrast":  # dose 0.2 is 20% weaker, about each image's own mean
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (1 - dose) * (images - mean)
    elif fault == "checker":
        axis = torch.arange(images.shape[-1]) // 8
        images = images + dose * (1 - 2 * ((axis[:, None] + axis[None]) % 2)).float()
    elif fault not in ("model", "blur"):
        raise ValueError(f"no fault is named {fault!r}")
    return images.round().clamp(0, 255).to(torch.uint8).numpy()
