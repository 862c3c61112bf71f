"""One named helper per metric: each is one line over `assert_metric`, which says what the arguments mean."""

from __future__ import annotations

from pytest_medgan.gate.assertions import assert_metric
from pytest_medgan.records import Evaluation, Limit, Row, Scores, Verdict


def assert_inception_score_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert an inception score of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "inception_score", limit, confidence=confidence)


def assert_fid_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a Fréchet inception distance of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "fid", limit, confidence=confidence)


def assert_kid_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a kernel inception distance of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "kid", limit, confidence=confidence)


def assert_precision_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a precision (Sajjadi et al. 2018) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "precision", limit, confidence=confidence)


def assert_recall_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a recall (Sajjadi et al. 2018) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "recall", limit, confidence=confidence)


def assert_improved_precision_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert an improved precision (Kynkäänniemi et al. 2019) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "improved_precision", limit, confidence=confidence)


def assert_improved_recall_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert an improved recall (Kynkäänniemi et al. 2019) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "improved_recall", limit, confidence=confidence)


def assert_density_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a density of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "density", limit, confidence=confidence)


def assert_coverage_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a coverage of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "coverage", limit, confidence=confidence)


def assert_authenticity_above(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert an authenticity of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "authenticity", limit, confidence=confidence)


def assert_copy_rate_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a share of copied training images of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "copy_rate", limit, confidence=confidence)


def assert_duplicate_rate_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a share of duplicates among the generated images of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "duplicate_rate", limit, confidence=confidence)


def assert_intensity_distance_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a distance between grey-level distributions of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "intensity_distance", limit, confidence=confidence)


def assert_ms_ssim_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a mean MS-SSIM of pairs of generated images, which falls with their diversity, of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "ms_ssim", limit, confidence=confidence)


def assert_anomaly_rate_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert an anomaly rate of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "anomaly_rate", limit, confidence=confidence)


def assert_memorised_rate_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a share of images that repeat a training image, moved, turned or mirrored, of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "memorised_rate", limit, confidence=confidence)


def assert_implausible_rate_below(
    scores: Evaluation | Scores, limit: float | Limit | Row, *, confidence: float | None = None
) -> Verdict:
    """Assert a share of images whose anatomy lies outside the range of real images of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "implausible_rate", limit, confidence=confidence)
