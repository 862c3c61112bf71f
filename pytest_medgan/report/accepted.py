"""The accepted model's samples and curves, added to the evidence of a run so that the report can show both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pytest_medgan.records import Evidence
from pytest_medgan.report.selection import GRID

BASELINE_SWEEP = "baseline:"
REAL_SWEEP = "real:"


def worth_keeping(evidence: Evidence) -> Evidence:
    """Return what a later run shows of a model once it has been accepted: its first images and its curves.

    Args:
        evidence: The model's evidence with thumbnails.

    Returns:
        Evidence without anything of real images.
    """
    images, index = evidence.thumbnails_fake, evidence.thumbnail_fake_index
    first = None if images is None else images[:GRID] if index is None else images[index < GRID]
    own = {name: curve for name, curve in evidence.sweep.items() if ":" not in name}
    return Evidence(
        thumbnails_fake=first, ks=evidence.ks, sweep=own, prd_curve=evidence.prd_curve, count=_count(evidence)
    )


def with_accepted(evidence: Evidence, accepted: Evidence | None) -> Evidence:
    """Return evidence with the samples and curves of the accepted model.

    Args:
        evidence: Evidence of a run.
        accepted: What `worth_keeping` returned for the accepted model; None where it is not available.

    Returns:
        The evidence. Curves of another number of images, or over other k, are left out: they cannot be compared.
    """
    if accepted is None:
        return evidence
    drawn = replace(evidence, thumbnails_baseline=accepted.thumbnails_fake)
    if accepted.count is None or accepted.count != _count(evidence):
        return drawn
    same_ks = evidence.ks is not None and accepted.ks is not None and np.array_equal(evidence.ks, accepted.ks)
    sweep = {f"{BASELINE_SWEEP}{name}": curve for name, curve in accepted.sweep.items()} if same_ks else {}
    return replace(drawn, prd_curve_baseline=accepted.prd_curve, sweep={**evidence.sweep, **sweep})


def _count(evidence: Evidence) -> int | None:
    """Return the number of generated images that the curves rest on."""
    if evidence.count is not None or evidence.fake_in_real is None:
        return evidence.count
    return len(evidence.fake_in_real)
