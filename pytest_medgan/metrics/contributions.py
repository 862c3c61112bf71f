"""What every image adds to a metric, so that two models can be compared image by image on common latents.

A metric of a generated set is, to first order, a constant and the mean over its images of what each adds: exactly so
where it is a mean (density, improved precision, authenticity, copies), by its influence function or by the jackknife
elsewhere, with the reference held fixed throughout. Two sets drawn from the same latents then differ by the mean of
the differences row by row, whose spread is small where the models draw nearly the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from pytest_medgan.metrics.frechet import ENOUGH
from pytest_medgan.metrics.frechet_error import without_each
from pytest_medgan.metrics.inception_score import influence as inception_influence
from pytest_medgan.metrics.intensity import cumulative, grey_step
from pytest_medgan.metrics.kernel_sums import own_kernel
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.moments import overlap
from pytest_medgan.metrics.ms_ssim import pair_values
from pytest_medgan.metrics.prd_curve import BETA
from pytest_medgan.records import Contribution, Float64


def contributions(look: Look) -> dict[str, Contribution]:
    """Of every metric that was asked for and measured."""
    return {name: CONTRIBUTIONS[name](look) for name in look.metrics}


def _inception(look: Look) -> Contribution:
    if look.probabilities is None:
        raise LookupError("no probabilities were given")
    return Contribution(inception_influence(look.probabilities, look.seed))


def _frechet(look: Look) -> Contribution:
    """Delete-one pseudo-values; of many rows the first 2,048 tell the spread."""
    found, m = overlap(look.reference.of_moments, look.fake.raw), len(look.fake)
    some = (slice(0, 1), slice(0, ENOUGH))
    _, without = without_each(look.reference.of_moments, look.real, look.fake, found, some)
    return Contribution(-(m - 1) * without, share=len(without) / m)


def _kernel(look: Look) -> Contribution:
    """First-order projections, twice."""
    own = (look.fake_kernel.over_columns() - own_kernel(look.fake, look.reference.centre)) / (len(look.fake) - 1)
    return Contribution((2 * (own - look.cross_kernel.over_columns() / len(look.real))).cpu().numpy())


def _prd(beta: float) -> Callable[[Look], Contribution]:
    def of(look: Look) -> Contribution:
        return Contribution(look.clustered.influence(beta), look.clustered.best(beta)[1])

    return of


def _improved_precision(look: Look) -> Contribution:
    return Contribution(look.real_balls.members(look.reference.ks.improved).double().cpu().numpy())


def _improved_recall(look: Look) -> Contribution:
    balls, k = look.fake_balls, look.reference.ks.improved
    whole = float(balls.members(k).double().mean())
    return _blocks(whole, balls.deletions[k].members() / len(look.real))


def _density(look: Look) -> Contribution:
    k = look.reference.ks.density
    return Contribution(look.real_balls.counts(k).double().cpu().numpy() / k)


def _coverage(look: Look) -> Contribution:
    balls, k = look.real_balls, look.reference.ks.density
    covered, (low, high) = int(balls.covered(k).sum()), balls.spans[k]
    alone = np.bincount(low[low == high].cpu().numpy(), minlength=int(look.fake_block.max()) + 1)
    return _blocks(covered / len(look.real), (covered - alone) / len(look.real))


def _blocks(whole: float, without: Float64) -> Contribution:
    """Pseudo-values of blocks of images, which are the same images in both models."""
    count = len(without)
    return Contribution(count * whole - (count - 1) * without)


def _authenticity(look: Look) -> Contribution:
    return Contribution(np.asarray(look.nearest_training.authentic, np.float64))


def _copies(look: Look) -> Contribution:
    return Contribution(np.bincount(look.copies[:, 0], minlength=len(look.fake)).astype(np.float64))


def _duplicates(look: Look) -> Contribution:
    """Pseudo-values: without one image of a lone pair the other is no duplicate any more."""
    partners = np.bincount(look.duplicates[:, 0], minlength=len(look.fake))
    lone = look.duplicates[partners[look.duplicates[:, 0]] == 1]
    return Contribution(np.asarray((partners > 0) + np.bincount(lone[:, 1], minlength=len(look.fake)), np.float64))


def _intensity(look: Look) -> Contribution:
    below = cumulative(look.fake_histograms)
    side = np.sign(below.mean(0) - cumulative(look.reference.of_histograms).mean(0))
    return Contribution(below @ (grey_step(look.reference.window) * side))


def _ms_ssim(look: Look) -> Contribution:
    """One a pair of images, the same pairs in both models."""
    if look.pixels is None:
        raise LookupError("no pixels were given")
    return Contribution(pair_values(look.pixels, seed=look.seed))


# one row a metric, in the catalogue's order
CONTRIBUTIONS: Mapping[str, Callable[[Look], Contribution]] = MappingProxyType(
    {
        "inception_score": _inception,
        "fid": _frechet,
        "kid": _kernel,
        "precision": _prd(1 / BETA),
        "recall": _prd(BETA),
        "improved_precision": _improved_precision,
        "improved_recall": _improved_recall,
        "density": _density,
        "coverage": _coverage,
        "authenticity": _authenticity,
        "copy_rate": _copies,
        "duplicate_rate": _duplicates,
        "intensity_distance": _intensity,
        "ms_ssim": _ms_ssim,
    }
)
