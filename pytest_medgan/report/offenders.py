"""Which generated images a person should look at first; indices only, so that their pictures can be kept in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pytest_medgan.records import Evidence, Int64

SHOWN = 12  # of a kind
MEMBERS = 6  # of one group of duplicates


@dataclass(frozen=True)
class Copy:
    """A generated image and the training image it nearly equals."""

    fake: int
    train: int


@dataclass(frozen=True)
class Twins:
    """Generated images that nearly equal one another."""

    members: tuple[int, ...]  # at most MEMBERS of them, ascending
    size: int  # how many there are


def furthest_outside(evidence: Evidence, count: int = SHOWN) -> tuple[int, ...]:
    """Generated images outside the real manifold, the least realistic first.

    By realism (Kynkäänniemi et al. 2019, section 5: the largest ratio of a real ball's radius to the distance from its
    centre), or by the distance to the nearest real image where realism was not computed.
    """
    inside = evidence.fake_in_real
    if evidence.realism is not None:
        order = np.argsort(evidence.realism, kind="stable")
    elif evidence.nearest_real_distance is not None:
        order = np.argsort(-evidence.nearest_real_distance, kind="stable")
    else:
        return ()
    outside = order if inside is None else order[~inside[order]]
    return tuple(int(i) for i in outside[:count])


def suspected_copies(evidence: Evidence, count: int = SHOWN) -> tuple[Copy, ...]:
    """Pairs of a generated and a training image that are near-identical in pixels."""
    pairs = evidence.copies
    return () if pairs is None else tuple(Copy(int(fake), int(train)) for fake, train in pairs[:count])


def duplicate_groups(evidence: Evidence, count: int = SHOWN) -> tuple[Twins, ...]:
    """Generated images that are near-identical to one another, joined to groups, the largest group first."""
    pairs = evidence.duplicates
    if pairs is None or not len(pairs):
        return ()
    members, places = np.unique(pairs, return_inverse=True)
    left, right = places.reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(pairs)), (left, right)), shape=(len(members), len(members)))
    groups, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=groups)
    largest = np.argsort(-sizes, kind="stable")[:count]
    return tuple(
        Twins(tuple(int(m) for m in members[group == g][:MEMBERS]), int(sizes[g])) for g in largest if sizes[g] > 1
    )


def wanted(evidence: Evidence, grid: int) -> tuple[Int64, Int64, Int64]:
    """The generated, real and training images whose pictures the report shows, ascending: the first `grid`, the
    offenders with what they are shown beside, and the points of the plane."""
    copies, outside = suspected_copies(evidence), furthest_outside(evidence)
    fake = [*(c.fake for c in copies), *outside, *(m for t in duplicate_groups(evidence) for m in t.members)]
    fake += range(grid)
    real = list(range(grid))
    if evidence.nearest_real is not None:
        real += [int(evidence.nearest_real[i]) for i in outside]
    if evidence.coordinate_index is not None and evidence.coordinate_is_real is not None:
        fake += evidence.coordinate_index[~evidence.coordinate_is_real].tolist()
        real += evidence.coordinate_index[evidence.coordinate_is_real].tolist()
    return _rows(fake), _rows(real), _rows([c.train for c in copies])


def _rows(values: list[int]) -> Int64:
    return np.unique(np.asarray(values, dtype=np.int64))
