"""pytest-medgan: regression tests for generative models of medical images.

The public names are imported when first used, so that importing the package loads neither torch nor pydicom.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "assert_anomaly_rate_below",
    "assert_authenticity_above",
    "assert_copy_rate_below",
    "assert_coverage_above",
    "assert_density_above",
    "assert_duplicate_rate_below",
    "assert_fid_below",
    "assert_implausible_rate_below",
    "assert_improved_precision_above",
    "assert_improved_recall_above",
    "assert_inception_score_above",
    "assert_intensity_distance_below",
    "assert_kid_below",
    "assert_memorised_rate_below",
    "assert_metric",
    "assert_ms_ssim_below",
    "assert_no_regression",
    "assert_precision_above",
    "assert_recall_above",
    "assert_turing_accuracy_below",
]

_ELSEWHERE = {  # the named helpers are in gate.named
    "assert_metric": "pytest_medgan.gate.assertions",
    "assert_no_regression": "pytest_medgan.gate.assertions",
    "assert_turing_accuracy_below": "pytest_medgan.turing",  # judges readers, and no scores
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "pytest_medgan.gate.named")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
