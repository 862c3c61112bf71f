"""Means and covariances (the latter as factors), and the overlap of two of them, for the Frechet distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import torch

from pytest_medgan.metrics.pairwise import mean_of, slices
from pytest_medgan.metrics.threads import one_thread

BAND = 256  # rows


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a feature set, the covariance as a factor."""

    mean: torch.Tensor  # float64 [D]
    factor: torch.Tensor  # float64 [D,R], factor factor^T is the covariance (ddof=1); R = min(N, D)
    form: str  # of the factor: "rows" (the centred features themselves), "cholesky" or "eigen"

    @property
    def trace(self) -> float:
        """Trace of the covariance."""
        return float(self.factor.square().sum())


@dataclass(frozen=True, eq=False)
class Overlap:
    """The generated covariance seen through the reference's factor L; Yc is centred over sqrt(M-1)."""

    mean: torch.Tensor  # float64 [D]
    outer: float  # squared distance of the means plus both traces
    gram: torch.Tensor  # float64: Yc L L^T Yc^T [M,M] for few rows, otherwise L^T Yc^T Yc L [R,R]
    product: torch.Tensor | None  # float64 Yc L [M,R] for few rows

    @property
    def value(self) -> float:
        """The Frechet distance."""
        with one_thread():
            squares = torch.linalg.eigvalsh(self.gram)
        # rounding noise of 1e-16 times the largest would become 1e-8 each under the root
        floor = float(squares[-1]) * len(squares) * torch.finfo(torch.float64).eps
        return max(0.0, self.outer - 2 * float(squares[squares > floor].sqrt().sum()))


def compute_moments(raw: torch.Tensor) -> Moments:
    """Return the moments of features [N,D], N at least 2."""
    mean = mean_of(raw)
    if len(raw) <= raw.shape[1]:
        return Moments(mean, (raw.double() - mean).div_(sqrt(len(raw) - 1)).T, "rows")
    spread = _covariance(raw, mean)
    factor, failed = torch.linalg.cholesky_ex(spread)
    diagonal = factor.diagonal()
    if not int(failed) and float(diagonal.min()) > 1e-7 * float(diagonal.max()):
        return Moments(mean, factor, "cholesky")
    with one_thread():
        values, vectors = torch.linalg.eigh(spread)  # singular: constant or dependent features
    return Moments(mean, vectors * values.clamp_min(0).sqrt(), "eigen")


def compute_overlap(reference: Moments, fake: torch.Tensor) -> Overlap:
    """Return the overlap of generated features [M,D] with the reference."""
    mean = mean_of(fake)
    outer = float((mean - reference.mean).square().sum()) + reference.trace
    if len(fake) <= reference.factor.shape[1]:
        centred = (fake.double() - mean).div_(sqrt(len(fake) - 1))
        product = centred @ reference.factor
        return Overlap(mean, outer + float(centred.square().sum()), product @ product.T, product)
    spread = _covariance(fake, mean)
    outer += float(spread.trace())
    return Overlap(mean, outer, _transform_covariance(reference, spread), None)


def _covariance(raw: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Return the covariance of features [N,D], float64 [D,D], ddof=1."""
    total = torch.zeros(raw.shape[1], raw.shape[1], dtype=torch.float64, device=raw.device)
    for part in slices(len(raw), 1024):
        centred = raw[part].double() - mean
        for rows in _bands(total):
            total[rows, rows.start :].addmm_(centred[:, rows].T, centred[:, rows.start :])
    return _mirror_(total).div_(len(raw) - 1)


def _transform_covariance(reference: Moments, spread: torch.Tensor) -> torch.Tensor:
    """Return factor^T spread factor, overwriting `spread`.

    A triangular factor and a symmetric result save two thirds of the work.
    """
    lower = reference.factor
    if reference.form != "cholesky":
        return lower.T @ spread @ lower
    half = torch.empty_like(spread)
    for rows in _bands(spread):
        torch.mm(spread[:, rows.start :], lower[rows.start :, rows], out=half[:, rows])
    for rows in _bands(spread):
        torch.mm(lower[rows.start :, rows].T, half[rows.start :, rows.start :], out=spread[rows, rows.start :])
    return _mirror_(spread)


def _bands(square: torch.Tensor) -> Iterator[slice]:
    """Return bands of rows of a symmetric matrix, of which only the part right of the diagonal is computed.

    On a GPU there is one band, since small products would leave it idle.
    """
    return slices(len(square), BAND if square.is_cpu else len(square))


def _mirror_(square: torch.Tensor) -> torch.Tensor:
    """Copy the bands right of the diagonal to its other side, in place."""
    for rows in slices(len(square), BAND):
        square[rows.stop :, rows] = square[rows, rows.stop :].T
    return square
