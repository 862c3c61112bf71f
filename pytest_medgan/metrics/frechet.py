"""Frechet distance between two Gaussians fitted to features (FID).

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"; TTUR's fid.py, pytorch-fid. Covariances use ddof=1,
as there (StyleGAN3 uses ddof=0). Float64 throughout. The trace of the covariances' geometric mean is the nuclear norm
of Yc L, with Yc the centred generated features over sqrt(M-1) and L L^T the reference's covariance: no square root of
a product matrix, which is unstable where that is singular.

The standard error is that of the exact delete-one jackknife, for which one more product is enough (`drop`). With
fewer rows than features the influence function would be wrong: there a row adds about its own length to the sum of
singular values, and the derivative by its weight gives half of that. A bootstrap with replacement would lower the rank
with every duplicated row and so shift the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
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


def without_each(reference: Moments, real: Points, fake: Points, found: Overlap) -> tuple[Float64, Float64]:
    """The distance without each real [N] and without each generated [M] row, up to a constant; float32 serves.

    Without a row a covariance changes by a rank of one, and the sum of singular values by `drop`.
    """
    gap = (found.mean - reference.mean).float()
    narrow = torch.float64 if len(found.gram) <= 512 else torch.float32
    with one_thread():
        vectors = torch.linalg.eigh(found.gram.to(narrow)).eigenvectors
    centred = fake.rows - gap
    with full_float32():
        if found.product is None:
            other = (centred @ (reference.factor @ vectors.double()).float()) / sqrt(len(fake) - 1)
        else:
            other = found.product.to(narrow).T @ vectors
        singular = other.square().sum(0).sqrt()
        used = singular > 1e-6 * singular.max()
        singular, vectors, other = singular[used], vectors[:, used].to(other), other[:, used].div_(singular[used])
        left, right = (other, vectors) if found.product is None else (vectors, other)
        if reference.form != "rows":
            right = (real.rows @ _undo(reference, right.double()).float()) / sqrt(len(real) - 1)
        total = float(singular.double().sum())
        return (
            _without(real.norms, real.rows @ gap, drop(right, singular), total),
            _without(centred.square().sum(1), -(centred @ gap), drop(left, singular), total),
        )


def _without(norms: torch.Tensor, along: torch.Tensor, drops: torch.Tensor, total: float) -> Float64:
    """The distance without each row [n], up to a constant: `along` is its product with the other mean less its own."""
    n = len(norms)
    if n < 3:  # no covariance is left
        return np.full(n, np.nan)
    mean = norms.double() / (n - 1) ** 2 + 2 * along.double() / (n - 1)
    trace = -norms.double() * n / (n - 1) / (n - 2)
    return (mean + trace - 2 * sqrt((n - 1) / (n - 2)) * (total - drops)).cpu().numpy()


def drop(vectors: torch.Tensor, singular: torch.Tensor) -> torch.Tensor:
    """By how much the sum of singular values [K] of a centred matrix falls without each row: float64 [n].

    `vectors` [n,K] are the left singular vectors. From sqrt(x) = 2/pi int x / (x + s^2) ds follows
    tr sqrt(A) - tr sqrt(A - z z^T) = -1/pi int log(1 - g(s)) ds with g(s) = z^T (A + s^2)^-1 z, here by the trapezoid
    rule in log s, with what lies beyond the last node in closed form.
    """
    spectrum = singular.double()
    first, last = 1e-5 * float(spectrum.mean()), 100 * float(spectrum.max())
    nodes = torch.linspace(log(first), log(last), int(log(last / first) / 0.2) + 2, dtype=torch.float64).exp()
    nodes = nodes.to(spectrum)
    share = spectrum[:, None].square() / (spectrum[:, None].square() + nodes.square())
    step = log(float(nodes[1] / nodes[0]))
    found = []
    for part in slices(len(vectors), 512):
        squares = vectors[part].double().square() * (len(vectors) / (len(vectors) - 1))
        held, left = squares @ share, squares @ (1 - share)
        left += (1 - squares.sum(1, keepdim=True)).clamp_min(0)
        logs = torch.where(held < 0.5, torch.log1p(-held.clamp_max(0.5)), left.clamp_min(1e-30).log())
        weighted = logs * nodes
        inner = weighted.sum(1) - 0.5 * (weighted[:, 0] + weighted[:, -1])
        beyond = squares @ spectrum.square() / last
        found.append((beyond - step * inner) / pi)
    return torch.cat(found)


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
    of_real, of_fake = without_each(reference, look.real, look.fake, found)
    n, m = len(of_real), len(of_fake)
    se = mean_se((m - 1) * of_fake)
    return Estimate(found.value, se, both(se, mean_se((n - 1) * of_real, look.reference.group)))
