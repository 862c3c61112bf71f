"""Pairwise products and distances, one block of rows at a time.

Products are float32 matrix multiplications of features centred on the reference's mean (taken in float64). Centring
keeps the rounding of a product small compared with the distances, even where the features' mean is 1e3. A squared
distance then errs by at most `Points.slack` times the sum of the two squared norms. Where a decision depends on a
difference smaller than that, the distance is computed again from the features as given: in float64, as the sum of
squared differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch

from pytest_medgan.metrics.threads import full_float32

ROUNDING = 2.0**-24  # unit roundoff of float32
SMALLEST = 2.0**-126  # normal number of float32
CPU_ENTRIES = 2**22  # products per block: 16 MB, which later steps find in the cache
GPU_ENTRIES = 2**27
CPU_PAIRS = 64  # distances in float64 computed at a time
GPU_PAIRS = 4096
CPU_TILE = 2**18  # products that several steps in turn find in the cache of one core
ROWS = 256  # rows converted to float64 at a time


@dataclass(frozen=True, eq=False)
class Points:
    """A feature set ready for pairwise work."""

    raw: torch.Tensor  # [N,D] as given, float32 or float64
    rows: torch.Tensor  # float32 [N,D], centred
    norms: torch.Tensor  # float32 [N], squared length of `rows`
    squares: torch.Tensor  # float64 [N], the same
    along: torch.Tensor  # float64 [N], product of `rows` with the centre
    centre: torch.Tensor  # float64 [D], what was subtracted

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def slack(self) -> float:
        """Bound on the error of a squared distance, relative to the sum of both squared norms.

        Higham and Mary (2019): the rounding errors of a sum of D terms stay below lambda sqrt(D) units; lambda is 4
        here. Matrix multiplication adds in blocks, so true errors are several times smaller.
        """
        return (4 * sqrt(self.rows.shape[1]) + 8) * ROUNDING

    @property
    def floor(self) -> float:
        """Bound on the error of a squared distance that is too small for float32; far below any other rounding."""
        return 4 * self.rows.shape[1] * SMALLEST


def mean_of(raw: torch.Tensor) -> torch.Tensor:
    """Return the mean of the rows, float64 [D]."""
    total = torch.zeros(raw.shape[1], dtype=torch.float64, device=raw.device)
    for part in slices(len(raw), ROWS):
        total += raw[part].double().sum(0)
    return total / len(raw)


def points(raw: torch.Tensor, centre: torch.Tensor) -> Points:
    """Return the points of features [N,D] centred on `centre`, float64 [D]."""
    rows = torch.empty(raw.shape, dtype=torch.float32, device=raw.device)
    squares, along = torch.empty(2, len(raw), dtype=torch.float64, device=raw.device)
    for part in slices(len(raw), ROWS):  # one pass, so that each row is converted to float64 only once
        rows[part] = raw[part].double() - centre
        wide = rows[part].double()
        along[part] = wide @ centre
        squares[part] = wide.square_().sum(1)
    return Points(raw, rows, squares.float(), squares, along, centre)


def times(rows: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the product of float32 rows [N,D] with `right` in float64, converting a few rows at a time."""
    return torch.cat([rows[part].double() @ right for part in slices(len(rows), ROWS)])


def times_transposed(rows: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return rows^T right in float64, of float32 rows [N,D], converting a few rows at a time."""
    total = torch.zeros(rows.shape[1], *right.shape[1:], dtype=torch.float64, device=rows.device)
    for part in slices(len(rows), ROWS):
        total += rows[part].double().T @ right[part]
    return total


def slices(count: int, size: int) -> Iterator[slice]:
    """Return consecutive slices that cover range(count)."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def products(left: Points, right: Points) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield the inner products of two sets block by block; the caller may overwrite a block.

    Yields:
        Rows of `left`, and their products with all rows of `right`, float32 [rows, len(right)].
    """
    size = min(_block_rows(len(right), left.rows.device), len(left))
    buffer = torch.empty(size, len(right), dtype=torch.float32, device=left.rows.device)
    for part in slices(len(left), size):
        with full_float32():
            block = torch.mm(left.rows[part], right.rows.T, out=buffer[: part.stop - part.start])
        yield part, block


def own_products(own: Points) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield the inner products of a set with itself, every pair of rows once except within a block's own rows.

    Yields:
        Rows, and their products with all rows from the first of these on, float32 [rows, N - first]; the caller may
        overwrite a block.
    """
    size = min(_block_rows(len(own), own.rows.device), len(own))
    buffer = torch.empty(size * len(own), dtype=torch.float32, device=own.rows.device)
    for part in slices(len(own), size):
        high, wide = part.stop - part.start, len(own) - part.start
        with full_float32():
            block = torch.mm(own.rows[part], own.rows[part.start :].T, out=buffer[: high * wide].view(high, wide))
        yield part, block


def _block_rows(columns: int, device: torch.device) -> int:
    """Return how many rows a block of products against `columns` points has."""
    return max(64, (CPU_ENTRIES if device.type == "cpu" else GPU_ENTRIES) // columns)


def to_distances_(block: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Turn products into squared distances in place; `left` [rows] and `right` [columns] are the squared norms."""
    for part in tiles(block):
        tile = block[part]
        torch.add(right, tile, alpha=-2, out=tile).add_(left[part, None]).clamp_min_(0)
    return block


def tiles(block: torch.Tensor) -> Iterator[slice]:
    """Return slices of a block's rows that are small enough for a core's cache; all rows in one on a GPU."""
    return slices(len(block), max(1, CPU_TILE // max(1, block.shape[1])) if block.is_cpu else len(block))


def exact_distances(left: Points, i: torch.Tensor, right: Points, j: torch.Tensor) -> torch.Tensor:
    """Return the squared distances of the pairs (left[i], right[j]), float64 [P], from the features as given."""
    found = torch.empty(len(i), dtype=torch.float64, device=left.raw.device)
    size = max(1, min(CPU_PAIRS if left.raw.is_cpu else GPU_PAIRS, len(i)))
    # allocated once: getting this much memory from the system takes longer than the sums
    near, far = (side.raw.new_empty(size, side.raw.shape[1]) for side in (left, right))
    gap = torch.empty_like(near, dtype=torch.float64)
    for part in slices(len(i), size):
        rows = slice(0, part.stop - part.start)
        gap[rows] = torch.index_select(left.raw, 0, i[part], out=near[rows])
        gap[rows] -= torch.index_select(right.raw, 0, j[part], out=far[rows])
        found[part] = gap[rows].square_().sum(1)
    return found


def true_places(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows and columns of the true entries, both int64 [P]; numpy finds them faster than torch on a CPU."""
    if not mask.is_cpu:
        row, column = mask.nonzero(as_tuple=True)
        return row, column
    place = torch.from_numpy(np.flatnonzero(mask.numpy()))
    row = place // mask.shape[1]
    return row, place - row * mask.shape[1]
