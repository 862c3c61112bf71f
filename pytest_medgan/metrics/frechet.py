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
from pytest_medgan.metrics.gram import centre_of, full_float32, one_thread
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


def moments(raw: torch.Tensor) -> Moments:
    """Moments of features [N,D], N at least 2."""
    mean = centre_of(raw)
    centred = (raw.double() - mean).div_(sqrt(len(raw) - 1))
    if len(raw) <= raw.shape[1]:
        return Moments(mean, centred.T, "rows")
    covariance = centred.T @ centred
    factor, failed = torch.linalg.cholesky_ex(covariance)
    diagonal = factor.diagonal()
    if not int(failed) and float(diagonal.min()) > 1e-7 * float(diagonal.max()):
        return Moments(mean, factor, "cholesky")
    with one_thread():
        values, vectors = torch.linalg.eigh(covariance)  # singular: constant or dependent features
    return Moments(mean, vectors * values.clamp_min(0).sqrt(), "eigen")


def frechet_distance(*, real: Any, fake: Any) -> float:
    """FID of features [N,D] and [M,D] (arrays or tensors), at least two rows each. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    return _value(*_projected(moments(real), fake))


def _projected(reference: Moments, fake: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Squared distance of the means plus both traces; Yc L [M,R]; the smaller Gram matrix of that product."""
    mean = centre_of(fake)
    centred = (fake.double() - mean).div_(sqrt(len(fake) - 1))
    outer = float((mean - reference.mean).square().sum()) + reference.trace + float(centred.square().sum())
    product = centred @ reference.factor
    wide = product.shape[0] <= product.shape[1]
    return outer, product, product @ product.T if wide else product.T @ product


def _value(outer: float, product: torch.Tensor, gram: torch.Tensor) -> float:
    with one_thread():
        squares = torch.linalg.eigvalsh(gram)
    # rounding noise of 1e-16 times the largest would become 1e-8 each under the root
    floor = float(squares[-1]) * len(squares) * torch.finfo(torch.float64).eps
    return max(0.0, outer - 2 * float(squares[squares > floor].sqrt().sum()))


def influence(
    reference: Moments, real: torch.Tensor, fake: torch.Tensor, product: torch.Tensor, gram: torch.Tensor
) -> tuple[Float64, Float64]:
    """Influence of every real [N] and generated [M] row on the distance, up to a constant.

    Of the nuclear norm's singular triples (u, s, v): a generated row's share is sum_k s_k u_k^2, a real row's is
    sum_k s_k (v_k . b)^2 with b the row in coordinates of the factor.
    """
    rows = len(fake)
    narrow = torch.float64 if len(gram) <= 512 else torch.float32  # float32 serves a standard error
    with one_thread():
        vectors = torch.linalg.eigh(gram.to(narrow)).eigenvectors
    thin = product.to(narrow)
    with full_float32():
        other = thin.T @ vectors if len(gram) == rows else thin @ vectors
        singular = other.square().sum(0).sqrt()
        used = singular > 1e-6 * singular.max()
        singular, vectors, other = singular[used], vectors[:, used], other[:, used]
        left, right = (vectors, other / singular) if len(gram) == rows else (other / singular, vectors)
        shares_fake = (rows - 1) * (left.square() @ singular)
        if reference.form == "rows":
            shares_real = (len(real) - 1) * (right.square() @ singular)
        else:
            spread = _undo(reference, right.double() * singular.double().sqrt())
            shares_real = ((real.double() - reference.mean).to(narrow) @ spread.to(narrow)).square().sum(1)
    gap = reference.mean - centre_of(fake)
    real, fake = real.double() - reference.mean, fake.double() - centre_of(fake)
    of_fake = fake.square().sum(1) - 2 * fake @ gap - shares_fake.double()
    of_real = real.square().sum(1) + 2 * real @ gap - shares_real.double()
    return of_real.cpu().numpy(), of_fake.cpu().numpy()


def _undo(reference: Moments, columns: torch.Tensor) -> torch.Tensor:
    """factor^-T columns."""
    if reference.form == "cholesky":
        solved: torch.Tensor = torch.linalg.solve_triangular(reference.factor.T, columns, upper=True)
        return solved
    squares = reference.factor.square().sum(0)
    return reference.factor @ (columns / squares.clamp_min(1e-12 * float(squares.max()))[:, None])


def frechet_estimate(look: Look) -> Estimate:
    """FID with its standard errors."""
    reference, real, fake = look.reference.of_moments, look.real.raw, look.fake.raw
    outer, product, gram = _projected(reference, fake)
    of_real, of_fake = influence(reference, real, fake, product, gram)
    se = mean_se(of_fake)
    return Estimate(_value(outer, product, gram), se, both(se, mean_se(of_real, look.reference.group)))
