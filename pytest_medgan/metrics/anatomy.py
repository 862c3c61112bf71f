"""Measures of an image in HU: shares of tissues, the body outline, and the level and the grain of noise.

Tissues by HU, ends included: fat -190 to -30 and soft tissue -29 to 150 (Mourtzakis et al. 2008), bone or contrast
agent above; lung -950 to -500, air below (-950 HU: Gevenois et al. 1996, above it lung is not emphysema; -500 HU:
Gattinoni et al. 2001, below it lung is well aerated). Where a window cuts an interval off, its end counts all beyond.

Noise is what the mask of Immerkaer 1996 leaves, which is zero on planes, in the flattest quarter of the image's blocks
that hold neither black nor white; once for means of 2x2 pixels (level), once for means of 4x4 (grain: fine over
coarse). Single pixels take no part: how sharp a generator draws shows there above all.

References:
    Mourtzakis et al. 2008, Appl Physiol Nutr Metab 33:997; Gevenois et al. 1996, Am J Respir Crit Care Med 154:187.
    Gattinoni et al. 2001, Am J Respir Crit Care Med 164:1701; Immerkaer 1996, Comput Vis Image Underst 64:300.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pytest_medgan.records import Float64, UInt8

TISSUES = ((-np.inf, -951.0), (-950.0, -500.0), (-190.0, -30.0), (-29.0, 150.0), (151.0, np.inf))  # HU, as above
MEASURES = ("air", "lung", "fat", "soft tissue", "bone", "air at border", "air outside", "noise", "grain")  # columns
OUTLINED = 7  # the first columns: shares, in [0,1]
AIR = -500.0  # HU; below it, a pixel at the border or connected with it lies outside of the body
BLOCK = 8  # pixels, of a block whose noise is measured
LEAST_BLOCKS = 4  # without black or white; with fewer, noise is not known
QUIET = 0.05  # grey levels; noise below this counts as this


def measure_anatomy(images: UInt8, window: tuple[float, float]) -> Float64:
    """Return the measures of images.

    Args:
        images: uint8 [N,1,H,W].
        window: HU of grey 0 and of grey 255, ascending.

    Returns:
        float64 [N,9], columns as in MEASURES: shares of pixels, the natural logarithm of the noise's standard deviation
        in grey levels, and the logarithm of fine over coarse noise. NaN where noise cannot be measured.
    """
    level = window[0] + np.arange(256) * (window[1] - window[0]) / 255
    tissue = np.stack([(np.round(level) >= low) & (np.round(level) <= high) for low, high in TISSUES], 1)
    counts = np.stack([np.bincount(image.reshape(-1), minlength=256) for image in images])
    air = (level < AIR)[images[:, 0]]
    return np.column_stack([counts @ tissue / images[0].size, _border(air), _outside(air), _noise(images[:, 0])])


def _border(air: np.ndarray) -> Float64:
    """Return the share of border pixels that are air, float64 [N], of bool [N,H,W]."""
    edge = np.ones(air.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    return np.asarray(air[:, edge].mean(1))


def _outside(air: np.ndarray) -> Float64:
    """Return the share of pixels that are air connected with the border, float64 [N], of bool [N,H,W]."""
    shares = np.empty(len(air))
    for row, one in enumerate(air):
        part, _ = ndimage.label(one)
        edge = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
        touches = np.zeros(part.max() + 1, bool)
        touches[edge] = True
        touches[0] = False
        shares[row] = touches[part].mean()
    return shares


def _noise(images: UInt8) -> Float64:
    """Return the logarithms of noise and of fine over coarse noise, float64 [N,2], of uint8 [N,H,W]."""
    height, width = (side // BLOCK * BLOCK for side in images.shape[1:])
    if min(height, width) < 3 * BLOCK:
        return np.full((len(images), 2), np.nan)
    grey = images[:, :height, :width]
    blocks = _blocks(grey, BLOCK)
    whole = (blocks.min(2) > 0) & (blocks.max(2) < 255)
    spread = np.where(whole, blocks.std(2, dtype=np.float32), np.inf)
    powers = [_block_power(_blocks(grey, side).mean(2, dtype=np.float32), grey.shape, side) for side in (2, 4)]
    kept = np.maximum(whole.sum(1) // 4, LEAST_BLOCKS)
    chosen = spread.argsort(1, kind="stable").argsort(1) < kept[:, None]
    with np.errstate(invalid="ignore"):
        fine, coarse = (np.sqrt((p * chosen).sum(1) / chosen.sum(1)) for p in powers)
    found = np.log(np.stack([np.maximum(fine, QUIET), np.maximum(fine, QUIET) / np.maximum(coarse, QUIET)], 1))
    found[whole.sum(1) < LEAST_BLOCKS] = np.nan
    return np.asarray(found, np.float64)


def _blocks(images: np.ndarray, side: int) -> np.ndarray:
    """Return images [N,H,W] as [N,blocks,side*side]."""
    count, height, width = images.shape
    cut = images.reshape(count, height // side, side, width // side, side)
    return cut.transpose(0, 1, 3, 2, 4).reshape(count, -1, side * side)


def _block_power(means: np.ndarray, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Return the power of noise per block, [N,blocks], of the means of cells."""
    count, height, width = shape
    cells = means.reshape(count, height // side, width // side)
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = padded[:, :-2] - 2 * padded[:, 1:-1] + padded[:, 2:]
    left = (rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 6  # the mask's weights have a norm of 6
    return np.asarray(_blocks(left**2, BLOCK // side).mean(2))
