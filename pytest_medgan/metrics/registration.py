"""Find the training image that an image repeats, also where it was shifted, turned, mirrored or windowed differently.

Images are reduced to 32x32 block means, colours to the mean of their channels. Of every training image six variants are
kept: as it is and mirrored, each turned by three angles. A search has two steps. The first takes the variants whose
coarse structure correlates most with the image. The second moves each of them over the image and takes the largest
correlation of fine structure, which is divided by its local contrast, so that two different patients with the same
outline do not count as alike. Correlations do not depend on the gain and the offset of grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pytest_medgan.metrics.pairwise import slices
from pytest_medgan.metrics.threads import full_float32
from pytest_medgan.records import Float64, Int64, UInt8

SIDE = 32  # cells per side; a cell is a block of pixels
ANGLES = (-6.7, 0.0, 6.7)  # degrees; half a step further, images still correlate
MOST_SHIFT = 4  # cells
EDGE = 4  # cells at each border that may be missing in a shifted or turned copy
CANDIDATES = 32  # variants compared in the second step
COARSE = (2.0, 6.0)  # cells: standard deviations of the blurs whose difference is coarse structure
FINE = (0.6, 2.0)  # the same for fine structure
LOCAL = 2.0  # cells over which local contrast is taken
QUIET = 3.0  # grey levels: local contrast below which structure is noise
LEAST_LENGTH = 0.1  # of fine structure; an image with less is similar to nothing
QUERIES = 64  # images compared at a time


@dataclass(frozen=True, eq=False)
class Searchable:
    """Training images ready to be searched."""

    coarse: torch.Tensor  # float32 [V,C], unit length, all variants of all images
    fine: torch.Tensor  # float16 [V,32,32]
    length: torch.Tensor  # float16 [V,9,9], root of the sum of squares about the mean, inside the border, by shift
    count: int  # images; variant v is of image v modulo this


def prepare_search(images: UInt8) -> Searchable:
    """Return training images uint8 [N,C,H,W] ready to be searched."""
    small = _cells(images)
    variants = torch.cat([_turned(side, angle) for side in (small, small.flip(2)) for angle in ANGLES])
    parts = [variants[part] for part in slices(len(variants), 4096)]
    fine = [_fine(part) for part in parts]
    return Searchable(
        coarse=torch.cat([_coarse(part) for part in parts]),
        fine=torch.cat([part.half() for part in fine]),
        length=torch.cat([_lengths(part).half() for part in fine]),
        count=len(images),
    )


def most_similar(images: UInt8, among: Searchable) -> tuple[Float64, Int64]:
    """Return each image's largest similarity to a training image, and that image.

    Args:
        images: uint8 [M,C,H,W].
        among: The training images.

    Returns:
        Correlations of fine structure in [-1,1], float64 [M], and rows of the training images, int64 [M].
    """
    small = _cells(images)
    found, index = torch.empty(len(small)), torch.empty(len(small), dtype=torch.int64)
    inside = _inside()
    for part in slices(len(small), QUERIES):
        with full_float32():
            near = _coarse(small[part]) @ among.coarse.T
        variant = near.topk(min(CANDIDATES, near.shape[1]), dim=1, sorted=False).indices
        own = _fine(small[part])
        own = (own - (own * inside).sum((-2, -1), keepdim=True) / inside.sum()) * inside
        own = own / own.norm(dim=(-2, -1), keepdim=True).clamp_min(LEAST_LENGTH)
        spectrum = torch.fft.rfft2(among.fine[variant].float())
        sums = _sums(torch.fft.rfft2(own)[:, None], spectrum)
        value, best = (sums / among.length[variant].float()).flatten(2).amax(2).max(1)
        found[part], index[part] = value, variant.gather(1, best[:, None])[:, 0] % among.count
    return found.double().numpy(), index.numpy()


def _inside() -> torch.Tensor:
    """Return 1 inside the border and 0 in it, [32,32]."""
    inside = torch.zeros(SIDE, SIDE)
    inside[EDGE:-EDGE, EDGE:-EDGE] = 1
    return inside


def _lengths(fine: torch.Tensor) -> torch.Tensor:
    """Return what correlations are divided by: the length of the structure under the border's inside, by shift."""
    mask = torch.fft.rfft2(_inside())
    total, squares = _sums(mask, torch.fft.rfft2(fine)), _sums(mask, torch.fft.rfft2(fine.square()))
    return (squares - total.square() / _inside().sum()).clamp_min(LEAST_LENGTH**2).sqrt()


def _sums(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the sums of products of two images at every shift, [..., shifts, shifts], from their spectra."""
    every = torch.fft.irfft2(left.conj() * right, s=(SIDE, SIDE))
    reach = 2 * MOST_SHIFT + 1
    return torch.roll(every, (MOST_SHIFT, MOST_SHIFT), (-2, -1))[..., :reach, :reach]


def _cells(images: UInt8) -> torch.Tensor:
    """Return block means, float32 [N,32,32]."""
    grey = torch.from_numpy(np.ascontiguousarray(images))
    parts = [
        functional.interpolate(grey[part].float(), size=(SIDE, SIDE), mode="area").mean(1)
        for part in slices(len(grey), 1024)
    ]
    return torch.cat(parts)


def _turned(small: torch.Tensor, angle: float) -> torch.Tensor:
    """Return images turned by an angle in degrees."""
    cosine, sine = float(np.cos(np.deg2rad(angle))), float(np.sin(np.deg2rad(angle)))
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    grid = functional.affine_grid(turn[None], [1, 1, SIDE, SIDE], align_corners=False)
    grid = grid.expand(len(small), -1, -1, -1)
    return functional.grid_sample(small[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def _coarse(small: torch.Tensor) -> torch.Tensor:
    """Return coarse structure inside the border as rows of unit length."""
    rows = _band(small, *COARSE)[:, EDGE - 1 : 1 - EDGE : 2, EDGE - 1 : 1 - EDGE : 2].flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    return functional.normalize(rows, dim=1, eps=1e-6)


def _fine(small: torch.Tensor) -> torch.Tensor:
    """Return fine structure divided by its local contrast."""
    band = _band(small, *FINE)
    return band / (_blur(band.square(), LOCAL) + QUIET**2).sqrt()


def _band(small: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return the difference of two blurs."""
    return _blur(small, low) - _blur(small, high)


def _blur(small: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return images under a Gaussian, borders repeated."""
    reach = int(4 * sigma + 1)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    matrix = np.zeros((SIDE, SIDE))
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        np.add.at(matrix, (np.arange(SIDE), np.clip(np.arange(SIDE) + step, 0, SIDE - 1)), weight)
    smooth = torch.from_numpy(matrix).float()
    return smooth @ small @ smooth.T
