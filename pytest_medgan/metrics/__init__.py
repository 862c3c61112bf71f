"""Fidelity and diversity of generated images, arrays in and floats out, and how certain the numbers are."""

from pytest_medgan.metrics.alterations import altered_images
from pytest_medgan.metrics.anomalies import anomaly_rate
from pytest_medgan.metrics.authenticity import authenticity
from pytest_medgan.metrics.battery import Battery, measure, score_features
from pytest_medgan.metrics.copies import copy_rate
from pytest_medgan.metrics.custom import CustomMetric
from pytest_medgan.metrics.density_coverage import density_coverage
from pytest_medgan.metrics.duplicates import duplicate_rate
from pytest_medgan.metrics.frechet import frechet_distance
from pytest_medgan.metrics.heads import Heads, fit_heads
from pytest_medgan.metrics.implausible import implausible_rate
from pytest_medgan.metrics.improved_pr import improved_precision_recall
from pytest_medgan.metrics.inception_score import inception_score
from pytest_medgan.metrics.intensity import intensity_distance
from pytest_medgan.metrics.kernel import kernel_distance
from pytest_medgan.metrics.memorisation import memorised_rate
from pytest_medgan.metrics.ms_ssim import ms_ssim_diversity
from pytest_medgan.metrics.prd import precision_recall_distribution
from pytest_medgan.metrics.reference import Reference, prepare_reference
from pytest_medgan.metrics.revisions import revisions

__all__ = [
    "Battery",
    "CustomMetric",
    "Heads",
    "Reference",
    "altered_images",
    "anomaly_rate",
    "authenticity",
    "copy_rate",
    "density_coverage",
    "duplicate_rate",
    "fit_heads",
    "frechet_distance",
    "implausible_rate",
    "improved_precision_recall",
    "inception_score",
    "intensity_distance",
    "kernel_distance",
    "measure",
    "memorised_rate",
    "ms_ssim_diversity",
    "precision_recall_distribution",
    "prepare_reference",
    "revisions",
    "score_features",
]
