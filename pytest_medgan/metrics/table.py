"""The functions that compute each metric: one row per metric, in the order of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_medgan.metrics.anomalies import anomaly_contribution, anomaly_estimate
from pytest_medgan.metrics.authenticity import authenticity_contribution, authenticity_estimate
from pytest_medgan.metrics.copies import copy_contribution, copy_estimate
from pytest_medgan.metrics.density_coverage import (
    coverage_contribution,
    coverage_estimate,
    density_contribution,
    density_estimate,
)
from pytest_medgan.metrics.duplicates import duplicate_contribution, duplicate_estimate
from pytest_medgan.metrics.frechet import frechet_contribution, frechet_estimate
from pytest_medgan.metrics.implausible import implausible_contribution, implausible_estimate
from pytest_medgan.metrics.improved_pr import (
    precision_contribution,
    precision_estimate,
    recall_contribution,
    recall_estimate,
)
from pytest_medgan.metrics.inception_score import inception_contribution, inception_estimate
from pytest_medgan.metrics.intensity import intensity_contribution, intensity_estimate
from pytest_medgan.metrics.kernel import kernel_contribution, kernel_estimate
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.memorisation import memorised_contribution, memorised_estimate
from pytest_medgan.metrics.ms_ssim import ms_ssim_contribution, ms_ssim_estimate
from pytest_medgan.metrics.prd import (
    prd_precision_contribution,
    prd_precision_estimate,
    prd_recall_contribution,
    prd_recall_estimate,
)
from pytest_medgan.records import Contribution, Estimate


@dataclass(frozen=True)
class Functions:
    """The two functions of a metric.

    `estimate` measures a generated set. `contribution` serves to compare two models whose images come from the same
    latents: with a fixed reference, a metric is, to first order, a constant plus the mean of one contribution per
    image. This is exact for metrics that are means (density, improved precision, authenticity, copies); the others
    use their influence function or the jackknife. The difference of the two models is then the mean of the differences
    of contributions, image by image. Its standard error is small if the models generate nearly the same images.
    """

    estimate: Callable[[Look], Estimate]  # value and standard errors of a generated set
    contribution: Callable[[Look], Contribution]  # contribution of each generated image


FUNCTIONS: Mapping[str, Functions] = MappingProxyType(
    {
        "inception_score": Functions(inception_estimate, inception_contribution),
        "fid": Functions(frechet_estimate, frechet_contribution),
        "kid": Functions(kernel_estimate, kernel_contribution),
        "precision": Functions(prd_precision_estimate, prd_precision_contribution),
        "recall": Functions(prd_recall_estimate, prd_recall_contribution),
        "improved_precision": Functions(precision_estimate, precision_contribution),
        "improved_recall": Functions(recall_estimate, recall_contribution),
        "density": Functions(density_estimate, density_contribution),
        "coverage": Functions(coverage_estimate, coverage_contribution),
        "authenticity": Functions(authenticity_estimate, authenticity_contribution),
        "copy_rate": Functions(copy_estimate, copy_contribution),
        "duplicate_rate": Functions(duplicate_estimate, duplicate_contribution),
        "intensity_distance": Functions(intensity_estimate, intensity_contribution),
        "ms_ssim": Functions(ms_ssim_estimate, ms_ssim_contribution),
        "anomaly_rate": Functions(anomaly_estimate, anomaly_contribution),
        "memorised_rate": Functions(memorised_estimate, memorised_contribution),
        "implausible_rate": Functions(implausible_estimate, implausible_contribution),
    }
)
