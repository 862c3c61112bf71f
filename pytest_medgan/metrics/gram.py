"""Pairwise products and distances, a block of rows at a time.

Products are float32 matrix multiplications of features centred on the reference's mean (taken in float64), which keeps
the rounding of a product small beside the distances even where the features' own mean is 1e3. A squared distance then
errs by at most `Points.slack` times the sum of the two squared norms; whatever a decision rests on and lies nearer
than that is computed again from the features as they were given, in float64, as the sum of squared differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import torch

from pytest_medgan.metrics.threads import full_float32

ROUNDING = 2.0**-24  # unit roundoff of float32
CPU_ENTRIES = 2**22  # products a block holds: 16 MB, so that what follows the multiplication runs in cache
GPU_ENTRIES = 2**27
CPU_PAIRS = 64  # distances in float64 at a time, likewise
GPU_PAIRS = 4096


@dataclass(frozen=True, eq=False)
class Points:
    """A feature set ready for pairwise work."""

    raw: torch.Tensor  # [N,D] as given, float32 or float64
    rows: torch.Tensor  # float32 [N,D], centred
    norms: torch.Tensor  # float32 [N], squared length of `rows`

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def slack(self) -> float:
        """Bound on the error of a squared distance over the sum of both squared norms.

        Higham and Mary (2019): rounding errors of a sum of D terms stay below lambda sqrt(D) units, here lambda = 4;
        matrix multiplication adds in blocks, so the true errors are several times smaller.
        """
        return (4 * sqrt(self.rows.shape[1]) + 8) * ROUNDING


def centre_of(raw: torch.Tensor) -> torch.Tensor:
    """Mean float64 [D] of the rows."""
    total = torch.zeros(raw.shape[1], dtype=torch.float64, device=raw.device)
    for part in slices(len(raw), 256):
        total += raw[part].double().sum(0)
    return total / len(raw)


def times(rows: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """rows right in float64, of float32 rows [N,D] converted piece by piece."""
    return torch.cat([rows[part].double() @ right for part in slices(len(rows), 256)])


def times_transposed(rows: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """rows^T right in float64, of float32 rows [N,D] converted piece by piece."""
    total = torch.zeros(rows.shape[1], *right.shape[1:], dtype=torch.float64, device=rows.device)
    for part in slices(len(rows), 256):
        total += rows[part].double().T @ right[part]
    return total


def points(raw: torch.Tensor, centre: torch.Tensor) -> Points:
    """Points centred on `centre` float64 [D]."""
    rows = torch.empty(raw.shape, dtype=torch.float32, device=raw.device)
    norms = torch.empty(len(raw), dtype=torch.float32, device=raw.device)
    for part in slices(len(raw), 256):
        rows[part] = (raw[part].double() - centre).float()
        norms[part] = rows[part].double().square().sum(1).float()
    return Points(raw, rows, norms)


def slices(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices that cover range(count)."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def block_rows(columns: int, device: torch.device) -> int:
    """Rows of a block of products against `columns` points."""
    return max(64, (CPU_ENTRIES if device.type == "cpu" else GPU_ENTRIES) // columns)


def products(left: Points, right: Points) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows of left, float32 [rows, len(right)] inner products), block by block; the caller may overwrite a block."""
    size = min(block_rows(len(right), left.rows.device), len(left))
    room = torch.empty(size, len(right), dtype=torch.float32, device=left.rows.device)
    for part in slices(len(left), size):
        with full_float32():
            block = torch.mm(left.rows[part], right.rows.T, out=room[: part.stop - part.start])
        yield part, block


def own_products(own: Points) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows, float32 [rows, from the first of these rows on] inner products): every pair of rows once, beside the
    squares on the diagonal; the caller may overwrite a block."""
    size = min(block_rows(len(own), own.rows.device), len(own))
    room = torch.empty(size * len(own), dtype=torch.float32, device=own.rows.device)
    for part in slices(len(own), size):
        high, wide = part.stop - part.start, len(own) - part.start
        with full_float32():
            block = torch.mm(own.rows[part], own.rows[part.start :].T, out=room[: high * wide].view(high, wide))
        yield part, block


def distances_(block: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Squared distances, in the place of the products `block`; `left` and `right` are the squared norms."""
    return block.mul_(-2).add_(right).add_(left[:, None]).clamp_min_(0)


def exact(left: Points, i: torch.Tensor, right: Points, j: torch.Tensor) -> torch.Tensor:
    """Squared distances float64 [P] of the pairs (left[i], right[j]), from the features as given."""
    found = torch.empty(len(i), dtype=torch.float64, device=left.raw.device)
    size = max(1, min(CPU_PAIRS if left.raw.is_cpu else GPU_PAIRS, len(i)))
    # made once, as the system takes longer to hand out this much memory than the sums take
    near, far = (each.raw.new_empty(size, each.raw.shape[1]) for each in (left, right))
    gap = torch.empty_like(near, dtype=torch.float64)
    for part in slices(len(i), size):
        rows = slice(0, part.stop - part.start)
        gap[rows] = torch.index_select(left.raw, 0, i[part], out=near[rows])
        gap[rows] -= torch.index_select(right.raw, 0, j[part], out=far[rows])
        found[part] = gap[rows].square_().sum(1)
    return found
