"""Frechet distance between two Gaussians fitted to features (FID).

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"; TTUR's fid.py, pytorch-fid. Covariances use ddof=1,
as there (StyleGAN3 uses ddof=0). Float64 throughout. The trace of the covariances' geometric mean is the nuclear norm
of Yc L, with Yc the centred generated features over sqrt(M-1) and L L^T the reference's covariance: no square root of
a product matrix, which is unstable where that is singular.

The standard error is that of the influence function (the derivative by the weight of a row). A bootstrap with
replacement would lower the rank with every duplicated row and so shift the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import Points, centre_of, full_float32, one_thread, slices
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a feature set, the covariance as a factor."""

    mean: torch.Tensor  # float64 [D]
    factor: torch.Tensor  # float64 [D,R], factor factor^T is the covariance (ddof=1); R = min(N, D)
    form: str  # of the factor: "rows" (the centred features themselves), "cholesky" or "eigen"

    @property
    def trace(self) -> float:
        return float(self.factor.square().sum())


def covariance(raw: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """float64 [D,D] with ddof=1, of features [N,D]."""
    total = torch.zeros(raw.shape[1], raw.shape[1], dtype=torch.float64, device=raw.device)
    for part in slices(len(raw), 1024):
        centred = raw[part].double() - mean
        # numpy sees a matrix times its own transpose and computes one half
        total += torch.from_numpy(centred.numpy().T @ centred.numpy()) if raw.is_cpu else centred.T @ centred
    return total / (len(raw) - 1)


def moments(raw: torch.Tensor) -> Moments:
    """Moments of features [N,D], N at least 2."""
    mean = centre_of(raw)
    if len(raw) <= raw.shape[1]:
        return Moments(mean, (raw.double() - mean).div_(sqrt(len(raw) - 1)).T, "rows")
    spread = covariance(raw, mean)
    factor, failed = torch.linalg.cholesky_ex(spread)
    diagonal = factor.diagonal()
    if not int(failed) and float(diagonal.min()) > 1e-7 * float(diagonal.max()):
        return Moments(mean, factor, "cholesky")
    with one_thread():
        values, vectors = torch.linalg.eigh(spread)  # singular: constant or dependent features
    return Moments(mean, vectors * values.clamp_min(0).sqrt(), "eigen")


@dataclass(frozen=True, eq=False)
class Overlap:
    """The generated covariance beside the reference's factor L."""

    mean: torch.Tensor  # float64 [D]
    outer: float  # squared distance of the means plus both traces
    gram: torch.Tensor  # float64, of Yc L: Yc L L^T Yc^T [M,M] for few rows, else L^T Yc^T Yc L [R,R]
    product: torch.Tensor | None  # float64 Yc L [M,R] for few rows

    @property
    def value(self) -> float:
        with one_thread():
            squares = torch.linalg.eigvalsh(self.gram)
        # rounding noise of 1e-16 times the largest would become 1e-8 each under the root
        floor = float(squares[-1]) * len(squares) * torch.finfo(torch.float64).eps
        return max(0.0, self.outer - 2 * float(squares[squares > floor].sqrt().sum()))


def overlap(reference: Moments, fake: torch.Tensor) -> Overlap:
    """Overlap of generated features [M,D] with the reference."""
    mean = centre_of(fake)
    outer = float((mean - reference.mean).square().sum()) + reference.trace
    if len(fake) <= reference.factor.shape[1]:
        centred = (fake.double() - mean).div_(sqrt(len(fake) - 1))
        product = centred @ reference.factor
        return Overlap(mean, outer + float(centred.square().sum()), product @ product.T, product)
    spread = covariance(fake, mean)
    gram = reference.factor.T @ spread @ reference.factor
    return Overlap(mean, outer + float(spread.trace()), gram, None)


def frechet_distance(*, real: Any, fake: Any) -> float:
    """FID of features [N,D] and [M,D] (arrays or tensors), at least two rows each. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    return overlap(moments(real), fake).value


def influence(reference: Moments, real: Points, fake: Points, found: Overlap) -> tuple[Float64, Float64]:
    """Influence of every real [N] and generated [M] row on the distance, up to a constant; float32 serves.

    Of the singular triples (u, s, v) of Yc L a generated row's share in their sum is sum_k s_k u_k^2, a real row's
    is sum_k s_k (v_k . b)^2 with b the row in coordinates of the factor.
    """
    rows, gap = len(fake), (found.mean - reference.mean).float()
    narrow = torch.float64 if len(found.gram) <= 512 else torch.float32
    with one_thread():
        vectors = torch.linalg.eigh(found.gram.to(narrow)).eigenvectors
    centred = fake.rows - gap
    with full_float32():
        if found.product is None:
            other = (centred @ (reference.factor @ vectors.double()).float()) / sqrt(rows - 1)
        else:
            other = found.product.to(narrow).T @ vectors
        singular = other.square().sum(0).sqrt()
        used = singular > 1e-6 * singular.max()
        singular, vectors, other = singular[used], vectors[:, used].to(other), other[:, used].div_(singular[used])
        left, right = (other, vectors) if found.product is None else (vectors, other)
        shares_fake = (rows - 1) * (left.square() @ singular)
        if reference.form == "rows":
            shares_real = (len(real) - 1) * (right.square() @ singular)
        else:
            spread = _undo(reference, right.double() * singular.double().sqrt())
            shares_real = (real.rows @ spread.float()).square_().sum(1)
        of_fake = centred.square().sum(1) + 2 * (centred @ gap) - shares_fake
        of_real = real.norms - 2 * (real.rows @ gap) - shares_real
    return of_real.double().cpu().numpy(), of_fake.double().cpu().numpy()


def _undo(reference: Moments, columns: torch.Tensor) -> torch.Tensor:
    """factor^-T columns."""
    if reference.form == "cholesky":
        solved: torch.Tensor = torch.linalg.solve_triangular(reference.factor.T, columns, upper=True)
        return solved
    squares = reference.factor.square().sum(0)
    return reference.factor @ (columns / squares.clamp_min(1e-12 * float(squares.max()))[:, None])


def frechet_estimate(look: Look) -> Estimate:
    """FID with its standard errors."""
    reference = look.reference.of_moments
    found = overlap(reference, look.fake.raw)
    of_real, of_fake = influence(reference, look.real, look.fake, found)
    se = mean_se(of_fake)
    return Estimate(found.value, se, both(se, mean_se(of_real, look.reference.group)))
