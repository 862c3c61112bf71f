"""The Frechet distance without each row: the exact delete-one jackknife for the price of one more product.

With fewer rows than features an influence function would be wrong: a row then adds about its own length to the sum of
singular values, and the derivative by its weight gives half of that. A bootstrap with replacement would lower the rank
with every repeated row and so shift the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
import torch

from pytest_medgan.metrics.moments import BAND, Moments, Overlap
from pytest_medgan.metrics.pairwise import Points, slices
from pytest_medgan.metrics.threads import full_float32, one_thread
from pytest_medgan.records import Float64

ALL = slice(None)
ENOUGH = 2048  # rows from which a standard error is known to 2 percent


@dataclass(frozen=True, eq=False)
class LeftOutRows:
    """Real rows to leave out, and what depends on them and the reference alone."""

    rows: slice
    whitened: torch.Tensor | None  # float32 [rows,R], left singular vectors of the centred features times a rotation


def prepare_rows(reference: Moments, real: Points, rows: slice = ALL) -> LeftOutRows:
    """Return real rows for `distances_without_each`; where the factor is the rows themselves nothing is prepared."""
    if reference.form == "rows":
        return LeftOutRows(rows, None)
    own = real.rows[rows]
    whitened = torch.empty(len(own), reference.factor.shape[1], dtype=torch.float32, device=own.device)
    squares = reference.factor.square().sum(0)
    inverse = reference.factor / squares.clamp_min(1e-12 * float(squares.max()))  # transposed, of an eigen factor
    for part in slices(len(own), BAND):
        wide = own[part].double() / sqrt(len(real) - 1)
        if reference.form == "cholesky":
            whitened[part] = torch.linalg.solve_triangular(reference.factor, wide.T, upper=False).T
        else:
            whitened[part] = wide @ inverse
    return LeftOutRows(rows, whitened)


def distances_without_each(
    reference: Moments, real: Points, fake: Points, found: Overlap, *, left_out: LeftOutRows, rows_fake: slice = ALL
) -> tuple[Float64, Float64]:
    """Return the distance without each real and without each generated row, up to a constant.

    Without a row a covariance changes by a rank of one, and the sum of singular values falls by
    `nuclear_norm_drops`. Float32 is precise enough for errors.

    Args:
        reference: Moments of the real features [N,D].
        real: The real features.
        fake: The generated features [M,D].
        found: Their overlap with the reference.
        left_out: Which real rows to leave out, one at a time.
        rows_fake: Which generated rows to leave out, one at a time.

    Returns:
        float64 [chosen real rows] and float64 [chosen generated rows].
    """
    gap = (found.mean - reference.mean).float()
    n, m = len(real), len(fake)
    centred, own = fake.rows[rows_fake] - gap, real.rows[left_out.rows]
    with full_float32():
        if found.product is None:
            singular, left, right = _vectors_of_many(reference, found, centred / sqrt(m - 1))
        else:
            singular, left, right = _vectors_of_few(found.gram, found.product)
            left = left[rows_fake]
        right = right[left_out.rows] if left_out.whitened is None else left_out.whitened @ right.float()
        total = float(singular.double().sum())
        return (
            _without_each(n, real.norms[left_out.rows], own @ gap, nuclear_norm_drops(n, right, singular), total),
            _without_each(m, centred.square().sum(1), -(centred @ gap), nuclear_norm_drops(m, left, singular), total),
        )


def _vectors_of_few(gram: torch.Tensor, product: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return singular values [K] and vectors [M,K], [R,K] of the product Yc L [M,R], whose gram matrix is [M,M]."""
    vectors = _eigenvectors(gram)
    product = product.to(vectors)
    singular = (product.T @ vectors).square().sum(0).sqrt()
    singular, vectors = _used(singular, vectors)
    return singular, vectors, product.T @ (vectors / singular)


def _vectors_of_many(
    reference: Moments, found: Overlap, centred: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return singular values [K] and vectors [rows,K], [R,K] of Yc L; of the left ones only some rows.

    `centred` holds these rows of Yc, float32.
    """
    vectors = _eigenvectors(found.gram)
    # a band of columns at a time, so that no second float64 matrix is held
    bands = (vectors[:, columns] for columns in slices(vectors.shape[1], BAND))
    squares = torch.cat([(found.gram @ band.double()).mul_(band).sum(0) for band in bands])
    singular, vectors = _used(squares.clamp_min_(0).sqrt_().to(vectors), vectors)
    return singular, centred @ (_apply_factor(reference, vectors) / singular).float(), vectors


def _eigenvectors(gram: torch.Tensor) -> torch.Tensor:
    """Return the eigenvectors of a gram matrix, in float32 where it is large."""
    with one_thread():
        vectors: torch.Tensor = torch.linalg.eigh(gram if len(gram) <= 512 else gram.float()).eigenvectors
    return vectors


def _used(singular: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the singular values [K] and columns of vectors [.,K] that are more than rounding."""
    used = singular > 1e-6 * singular.max()
    return (singular, vectors) if bool(used.all()) else (singular[used], vectors[:, used])


def _apply_factor(reference: Moments, vectors: torch.Tensor) -> torch.Tensor:
    """Return factor vectors, in the vectors' type; of a triangular factor only the half that is not zero."""
    factor = reference.factor.to(vectors.dtype)
    if reference.form != "cholesky":
        return factor @ vectors
    found = torch.empty_like(vectors)
    for rows in slices(len(factor), BAND if factor.is_cpu else len(factor)):
        torch.mm(factor[rows, : rows.stop], vectors[: rows.stop], out=found[rows])
    return found


def _without_each(n: int, norms: torch.Tensor, along: torch.Tensor, drops: torch.Tensor, total: float) -> Float64:
    """Return the distance without each of some rows of n, up to a constant.

    `along` is the row's product with the difference of the other set's mean and its own.
    """
    mean = norms.double() / (n - 1) ** 2 + 2 * along.double() / (n - 1)
    trace = -norms.double() * n / (n - 1) / (n - 2)
    return np.asarray((mean + trace - 2 * sqrt((n - 1) / (n - 2)) * (total - drops)).cpu().numpy())


def nuclear_norm_drops(n: int, vectors: torch.Tensor, singular: torch.Tensor) -> torch.Tensor:
    """Return how much the sum of singular values of a centred matrix of n rows falls without each row.

    From sqrt(x) = 2/pi int x / (x + s^2) ds follows tr sqrt(A) - tr sqrt(A - z z^T) = -1/pi int log(1 - g(s)) ds with
    g(s) = z^T (A + s^2)^-1 z. The integral is taken by the trapezoid rule in log s; the part beyond the last node is
    in closed form.

    Args:
        n: Rows of the matrix.
        vectors: float [P,K], some rows of its left singular vectors.
        singular: float [K], its singular values.

    Returns:
        float64 [P].
    """
    if not len(vectors) or not len(singular):  # no row is asked for, or one of the sets is constant
        return torch.zeros(len(vectors), dtype=torch.float64, device=vectors.device)
    spectrum = singular.double()
    first, last = 1e-5 * float(spectrum.mean()), 100 * float(spectrum.max())
    nodes = torch.linspace(log(first), log(last), int(log(last / first) / 0.2) + 2, dtype=torch.float64).exp()
    nodes = nodes.to(spectrum)
    share = spectrum[:, None].square() / (spectrum[:, None].square() + nodes.square())
    step = log(float(nodes[1] / nodes[0]))
    found = []
    for part in slices(len(vectors), 512):
        squares = vectors[part].double().square() * (n / (n - 1))
        held, left = squares @ share, squares @ (1 - share)
        left += (1 - squares.sum(1, keepdim=True)).clamp_min(0)
        logs = torch.where(held < 0.5, torch.log1p(-held.clamp_max(0.5)), left.clamp_min(1e-30).log())
        weighted = logs * nodes
        inner = weighted.sum(1) - 0.5 * (weighted[:, 0] + weighted[:, -1])
        beyond = squares @ spectrum.square() / last
        found.append((beyond - step * inner) / pi)
    return torch.cat(found)
