"""Arrays in, floats out: fidelity and diversity of generated images, and how certain the numbers are."""

from pytest_medgan.metrics.battery import Battery, CustomMetric, measure, score_features
from pytest_medgan.metrics.density_coverage import density_coverage
from pytest_medgan.metrics.frechet import frechet_distance
from pytest_medgan.metrics.improved_pr import improved_precision_recall
from pytest_medgan.metrics.kernel import kernel_distance
from pytest_medgan.metrics.reference import Reference, prepare_reference

__all__ = [
    "Battery",
    "CustomMetric",
    "Reference",
    "density_coverage",
    "frechet_distance",
    "improved_precision_recall",
    "kernel_distance",
    "measure",
    "prepare_reference",
    "score_features",
]
