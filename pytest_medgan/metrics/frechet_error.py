"""The Frechet distance without each row: the exact delete-one jackknife for the price of one more product.

An influence function would be wrong with fewer rows than features: there a row adds about its own length to the sum of
singular values, and the derivative by its weight gives half of that. A bootstrap with replacement would lower the rank
with every repeated row and so shift the distance.
"""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import torch

from pytest_medgan.metrics.moments import BAND, Moments, Overlap
from pytest_medgan.metrics.pairwise import Points, slices
from pytest_medgan.metrics.threads import full_float32, one_thread
from pytest_medgan.records import Float64

ALL = slice(None)


def distances_without_each(
    reference: Moments, real: Points, fake: Points, found: Overlap, rows: tuple[slice, slice] = (ALL, ALL)
) -> tuple[Float64, Float64]:
    """Return the distance without each real and without each generated row, up to a constant.

    Without a row a covariance changes by a rank of one, and the sum of singular values falls by
    `nuclear_norm_drops`. Float32 is precise enough for errors.

    Args:
        reference: Moments of the real features [N,D].
        real: The real features.
        fake: The generated features [M,D].
        found: Their overlap with the reference.
        rows: Which real and which generated rows to leave out, one at a time.

    Returns:
        float64 [chosen real rows] and float64 [chosen generated rows].
    """
    gap = (found.mean - reference.mean).float()
    narrow = torch.float64 if len(found.gram) <= 512 else torch.float32
    with one_thread():
        vectors = torch.linalg.eigh(found.gram.to(narrow)).eigenvectors
    n, m = len(real), len(fake)
    rows_real, rows_fake = rows
    with full_float32():
        if found.product is None:
            scaled = (reference.factor.to(narrow) @ vectors).float()
            # a band of columns at a time, so that no second float64 matrix is held
            squares = [(found.gram @ part.double()).mul_(part).sum(0) for part in vectors.split(BAND, 1)]
            singular = torch.cat(squares).clamp_min_(0).sqrt_().to(narrow)
        else:
            singular = (found.product.to(narrow).T @ vectors).square().sum(0).sqrt()
        used = singular > 1e-6 * singular.max()
        singular, vectors = singular[used], vectors[:, used].to(singular)
        centred, own = fake.rows[rows_fake] - gap, real.rows[rows_real]
        if found.product is None:
            left, right = centred @ (scaled[:, used] / singular.float()) / sqrt(m - 1), vectors
        else:
            left, right = vectors[rows_fake], found.product.to(narrow).T @ (vectors / singular)
        if reference.form == "rows":
            right = right[rows_real]
        else:
            parts = [own @ _solve_factor(reference, part.double()).float() for part in right.split(BAND, 1)]
            right = torch.cat(parts, 1) / sqrt(n - 1)
        total = float(singular.double().sum())
        return (
            _without_each(n, real.norms[rows_real], own @ gap, nuclear_norm_drops(n, right, singular), total),
            _without_each(m, centred.square().sum(1), -(centred @ gap), nuclear_norm_drops(m, left, singular), total),
        )


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
    if not len(singular):  # one of the sets is constant
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


def _solve_factor(reference: Moments, columns: torch.Tensor) -> torch.Tensor:
    """Return factor^-T columns."""
    if reference.form == "cholesky":
        solved: torch.Tensor = torch.linalg.solve_triangular(reference.factor.T, columns, upper=True)
        return solved
    squares = reference.factor.square().sum(0)
    return reference.factor @ (columns / squares.clamp_min(1e-12 * float(squares.max()))[:, None])
