"""Frechet distance between two Gaussians fitted to features (FID).

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"; TTUR's fid.py, pytorch-fid. Covariances use ddof=1,
as there (StyleGAN3 uses ddof=0). Float64 throughout. The trace of the covariances' geometric mean is the nuclear norm
of Yc L, with Yc the centred generated features over sqrt(M-1) and L L^T the reference's covariance: no square root of
a product matrix, which is unstable where that is singular.

The standard error is that of the exact delete-one jackknife (frechet_error.py).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.frechet_error import without_each
from pytest_medgan.metrics.moments import moments, overlap
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

ENOUGH = 2048  # rows from which a standard error is known to 2 percent


def frechet_distance(*, real: Any, fake: Any) -> float:
    """FID of features [N,D] and [M,D] (arrays or tensors), at least two rows each. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    return overlap(moments(real), fake).value


def frechet_estimate(look: Look) -> Estimate:
    """FID with its standard errors. Of many rows that are redrawn singly, the first 2,048 tell the spread."""
    reference, group = look.reference.of_moments, look.reference.group
    found = overlap(reference, look.fake.raw)
    n, m = len(look.real), len(look.fake)
    single = int(group.max()) + 1 == n
    some = slice(0, ENOUGH) if single else slice(None)
    of_real, of_fake = without_each(reference, look.real, look.fake, found, (some, slice(0, ENOUGH)))
    se = mean_se((m - 1) * of_fake) * sqrt(len(of_fake) / m)
    total = mean_se((n - 1) * of_real, None if single else group) * sqrt(len(of_real) / n)
    return Estimate(found.value, se, both(se, total))
