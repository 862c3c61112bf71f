"""The scorecard for synthetic medical data, filled from what was measured.

The seven criteria are those of Zamzmi et al. 2025, Scorecard for synthetic medical data evaluation (Communications
Engineering 4, 130, doi 10.1038/s44172-025-00450-1). Which metric counts for which criterion is this project's choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_medgan.records import Scores
from pytest_medgan.report.comparisons import Standing, standings
from pytest_medgan.report.record import ModelRecord

NOT_MEASURED = "not measured"

# criterion -> (question, metrics that answer it)
_CRITERIA = (
    (
        "Congruence",
        "Do generated images resemble real ones?",
        ("fid", "kid", "precision", "improved_precision", "density", "intensity_distance"),
    ),
    (
        "Coverage",
        "Do they show the variety of real images, and new ones?",
        ("recall", "improved_recall", "coverage", "ms_ssim", "duplicate_rate"),
    ),
    ("Constraint", "Do they keep to what anatomy and physics allow?", ("anomaly_rate", "implausible_rate")),
    ("Completeness", "Do they carry everything that the intended task needs?", ()),
    ("Compliance", "Do they repeat training patients?", ("copy_rate", "memorised_rate", "authenticity")),
    ("Comprehension", "Is it clear how they were made and what they are fit for?", ()),
    ("Consistency", "Is their quality stable?", ()),
)


@dataclass(frozen=True)
class Criterion:
    """One criterion of the scorecard."""

    name: str
    question: str
    findings: tuple[str, ...]  # empty where nothing was measured


def scorecard(model: ModelRecord) -> tuple[Criterion, ...]:
    """Return the seven criteria with what was measured for each.

    Args:
        model: One model of a run.

    Returns:
        The criteria in the order of the publication.
    """
    by_name = {s.metric: s for s in standings(model)}
    found = []
    for name, question, metrics in _CRITERIA:
        findings = tuple(_finding(by_name[m]) for m in metrics if m in by_name and by_name[m].measured is not None)
        if name == "Consistency" and model.last is not None:
            findings = _consistency(model.last)
        found.append(Criterion(name, question, findings))
    return tuple(found)


def _finding(standing: Standing) -> str:
    """Return a metric's value, and the value of real images next to it."""
    value = standing.scale.with_unit(standing.measured.mean if standing.measured else None)
    real = f" (real images: {standing.scale.with_unit(standing.real.mean)})" if standing.real else ""
    return f"{standing.label} {value}{real}"


def _consistency(look: Scores) -> tuple[str, ...]:
    """Return the metric that differs most between sample groups, relative to its mean."""
    spreads = {
        look.metric(name).label: score.sd / abs(score.mean)
        for name, score in look.metrics.items()
        if len(score.values) > 1 and score.mean and math.isfinite(score.sd / score.mean)
    }
    if not spreads:
        return ()
    label = max(spreads, key=lambda name: spreads[name])
    return (
        f"over {len(look.groups)} sample groups {label} varies most: its standard deviation is "
        f"{100 * spreads[label]:.1f}% of its mean",
    )
