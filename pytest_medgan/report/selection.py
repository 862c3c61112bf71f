"""Choose the images that a report shows, as row numbers, before the pictures of the others are discarded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pytest_medgan.records import Alteration, Evidence, Implausibility, Int64, Names

GRID = 48  # images of a contact sheet
SHOWN = 12  # tiles of a gallery
DETAIL = 6  # members of a group of duplicates whose rows are named


@dataclass(frozen=True)
class Copy:
    """A generated image and the training image it nearly equals."""

    fake: int
    train: int


@dataclass(frozen=True)
class Duplicates:
    """Generated images that nearly equal one another."""

    members: tuple[int, ...]  # at most DETAIL of them, ascending
    size: int  # how many there are


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """Rows of the images whose pictures a report shows, ascending."""

    fake: Int64
    real: Int64
    train: Int64


def one_per_group(groups: Names, count: int = GRID) -> Int64:
    """Return the first row of each group, in order of appearance, for a contact sheet of different patients.

    Args:
        groups: str [N], the patient of each image.
        count: Rows wanted.

    Returns:
        int64 [at most count], ascending. Where there are fewer groups than `count`, the second row of each group
        follows, then the third, and so on.
    """
    _, group = np.unique(groups, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], group[order])
    turn = np.empty(len(groups), np.int64)
    turn[order] = np.arange(len(groups)) - starts  # how many rows of the same group come before
    return np.sort(np.argsort(turn, kind="stable")[:count]).astype(np.int64)


def furthest_outside(evidence: Evidence, count: int = SHOWN) -> tuple[int, ...]:
    """Return generated images outside the real manifold, the least realistic first.

    Args:
        evidence: Sorted by `realism` (Kynkäänniemi et al. 2019, section 5) or, without it, by the distance to the
            nearest real image.
        count: Rows wanted.

    Returns:
        Rows of the generated set.
    """
    if evidence.realism is not None:
        order = np.argsort(evidence.realism, kind="stable")
    elif evidence.nearest_real_distance is not None:
        order = np.argsort(-evidence.nearest_real_distance, kind="stable")
    else:
        return ()
    inside = evidence.fake_in_real
    outside = order if inside is None else order[~inside[order]]
    return tuple(int(i) for i in outside[:count])


def suspected_copies(evidence: Evidence, count: int = SHOWN) -> tuple[Copy, ...]:
    """Return pairs of a generated and a training image that are alike.

    Args:
        evidence: Holds the pairs that are near-identical in pixels in `copies`, and those that are alike after one is
            moved, turned or mirrored in `memorised`.
        count: Pairs wanted.

    Returns:
        The near-identical pairs, then the others of images that are not among them.
    """
    equal = [] if evidence.copies is None else evidence.copies.tolist()
    known = {fake for fake, _ in equal}
    moved = [] if evidence.memorised is None else [pair for pair in evidence.memorised.tolist() if pair[0] not in known]
    return tuple(Copy(fake, train) for fake, train in [*equal, *moved][:count])


def flagged_images(evidence: Evidence, count: int = SHOWN) -> tuple[tuple[int, Alteration], ...]:
    """Return generated images that a head flags and what is wrong with them, the kinds in turn, common ones first.

    Args:
        evidence: Holds them in `anomalies`.
        count: Images wanted.
    """
    return tuple((row, list(Alteration)[place]) for row, place in _in_turn(evidence.anomalies)[:count])


def implausible_images(evidence: Evidence, count: int = SHOWN) -> tuple[tuple[int, Implausibility], ...]:
    """Return generated images outside the range of real ones and in what, the kinds in turn, common ones first.

    Args:
        evidence: Holds them in `implausible`.
        count: Images wanted.
    """
    return tuple((row, list(Implausibility)[place]) for row, place in _in_turn(evidence.implausible)[:count])


def _in_turn(flagged: Int64 | None) -> list[tuple[int, int]]:
    """Return (image, place of its kind) of flagged images [P,2], one of each kind, then the next of each."""
    by_kind = [] if flagged is None else _rows_by_kind(flagged)
    turns = [(turn, place, row, kind) for place, (kind, rows) in enumerate(by_kind) for turn, row in enumerate(rows)]
    return [(row, kind) for _, _, row, kind in sorted(turns, key=lambda one: one[:2])]


def _rows_by_kind(flagged: Int64) -> list[tuple[int, list[int]]]:
    """Return the places of kinds with the images that show them, most images first."""
    places, counts = np.unique(flagged[:, 1], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(int(place), flagged[flagged[:, 1] == place, 0].tolist()) for place in places[order]]


def duplicate_groups(evidence: Evidence, count: int = SHOWN) -> tuple[Duplicates, ...]:
    """Return groups of generated images that are near-identical to one another, the largest first.

    Args:
        evidence: Holds the pairs in `duplicates`.
        count: Groups wanted.

    Returns:
        The connected components of the pairs.
    """
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
        Duplicates(tuple(int(m) for m in members[group == g][:DETAIL]), int(sizes[g])) for g in largest if sizes[g] > 1
    )


def chosen_images(evidence: Evidence, grid: int = GRID) -> ChosenImages:
    """Return every image that the report shows.

    Args:
        evidence: Names the images of galleries, plane and contact sheets.
        grid: Images of a contact sheet.

    Returns:
        The first `grid` generated images, the real images of the contact sheet, the images of the galleries with
        those shown next to them, and the points of the plane.
    """
    copies, outside = suspected_copies(evidence), furthest_outside(evidence)
    fake = [*range(grid), *outside, *(c.fake for c in copies), *(d.members[0] for d in duplicate_groups(evidence))]
    fake += [row for row, _ in (*flagged_images(evidence), *implausible_images(evidence))]
    real = [] if evidence.real_samples is None else evidence.real_samples[:grid].tolist()
    if evidence.nearest_real is not None:
        real += [int(evidence.nearest_real[i]) for i in outside]
    if evidence.coordinate_index is not None and evidence.coordinate_is_real is not None:
        fake += evidence.coordinate_index[~evidence.coordinate_is_real].tolist()
        real += evidence.coordinate_index[evidence.coordinate_is_real].tolist()
    return ChosenImages(_sorted_rows(fake), _sorted_rows(real), _sorted_rows([c.train for c in copies]))


def _sorted_rows(rows: list[int]) -> Int64:
    """Return the distinct rows, ascending."""
    return np.unique(np.asarray(rows, dtype=np.int64))
