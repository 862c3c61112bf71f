"""What groups of images add to a metric, where the images of a group are drawn together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pytest_medgan.records import Contribution, Int64

BY_BLOCK = frozenset({"improved_recall", "coverage"})  # their units are blocks of whole groups already


def contribution_by_group(name: str, found: Contribution, group: Int64) -> Contribution | None:
    """Return a contribution with one unit per group; None where its units are not single images.

    Args:
        name: The metric.
        found: What each image contributes, units float64 [M].
        group: int64 [M], numbered from 0.

    Returns:
        Units float64 [G] with the same mean; those of a group of many images count for more.
    """
    if name in BY_BLOCK:
        return found
    if len(found.units) != len(group):
        return None
    sums = np.bincount(group, weights=found.units)
    return replace(found, units=np.asarray(sums * (len(sums) / len(group)), np.float64))
