"""Frechet distance between two Gaussians fitted to features (FID).

Paper: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule". Reference code: TTUR's fid.py, pytorch-fid.

Conventions: covariances use ddof=1, as both do (StyleGAN3 uses ddof=0). All of it is float64. The trace of the
geometric mean of both covariances is the nuclear norm of Yc L, with Yc the centred generated features over sqrt(M-1)
and L L^T the reference's covariance. No square root of a product of matrices is taken, which would be
unstable for singular ones.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import NotMeasuredError, need
from pytest_medgan.metrics.frechet_error import ENOUGH, LeftOutRows, distances_without_each
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.moments import Overlap, compute_moments, compute_overlap
from pytest_medgan.metrics.uncertainty import combine_se, mean_se
from pytest_medgan.records import Cause, Contribution, Estimate

FEWEST = 3  # rows from which a standard error is known


def frechet_distance(*, real: Any, fake: Any) -> float:
    """Return the Frechet distance of two feature sets.

    Args:
        real: Features [N,D], array or tensor of numbers, N at least 2.
        fake: Generated features [M,D], M at least 2.

    Returns:
        The distance, at least 0, in squared feature units.

    Raises:
        MetricInputError: An argument has another shape or values that are not finite.

    References:
        Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"; pytorch-fid.

    Examples:
        >>> round(frechet_distance(real=[[1, 2], [1, 2], [1, 2]], fake=[[2, 2], [1, 2], [1, 2]]), 6)
        0.444444
    """
    real, fake = inputs.pair(real, fake, least=2)
    return compute_overlap(compute_moments(real), fake).value


def frechet_estimate(look: Look) -> Estimate:
    """Return FID with the standard errors of the delete-one jackknife.

    If rows are independent, only the first 2,048 are deleted: they are enough to estimate the error.
    """
    reference = need(look.reference.moments, Cause.NOT_PREPARED)
    left_out = need(look.reference.left_out, Cause.NOT_PREPARED)
    group, fake_group, n, m = look.reference.group, look.fake_group, len(look.real), len(look.fake)
    if m < FEWEST:
        raise NotMeasuredError(Cause.TOO_FEW_IMAGES)
    if n < FEWEST:
        raise NotMeasuredError(Cause.TOO_FEW_REAL_IMAGES)
    found = look.keep(_overlap)
    single = int(group.max()) + 1 == n
    rows = slice(0, ENOUGH if fake_group is None else m)
    of_real, of_fake = distances_without_each(reference, look.real, look.fake, found, left_out=left_out, rows_fake=rows)
    se = mean_se((m - 1) * of_fake, fake_group) * sqrt(len(of_fake) / m)
    reference_se = mean_se((n - 1) * of_real, None if single else group) * sqrt(len(of_real) / n)
    return Estimate(found.value, se, combine_se(se, reference_se))


def frechet_contribution(look: Look) -> Contribution:
    """Return the delete-one pseudo-values of the generated images, the first 2,048 of many independent ones."""
    m, reference = len(look.fake), need(look.reference.moments, Cause.NOT_PREPARED)
    rows = slice(0, ENOUGH if look.fake_group is None else m)
    found, none = look.keep(_overlap), LeftOutRows(slice(0, 0), None)
    _, without = distances_without_each(reference, look.real, look.fake, found, left_out=none, rows_fake=rows)
    return Contribution(-(m - 1) * without, share=len(without) / m)


def _overlap(look: Look) -> Overlap:
    """Return the overlap of the generated features with the reference."""
    return compute_overlap(need(look.reference.moments, Cause.NOT_PREPARED), look.fake.raw)
