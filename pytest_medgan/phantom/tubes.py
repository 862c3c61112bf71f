"""Tubes of the phantom: great vessels, airways, and the branching vessels of the lungs, as tapered straight pieces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.field import Draws, cube_root
from pytest_medgan.records import Float64, Int64

_BLOCK = 64  # sites that join a tree at a time
Knot = tuple[float, float, float, float]  # x, y, h, radius

AORTA: tuple[Knot, ...] = (
    (7, -12, 84, 14), (-5, -22, 104, 15), (-11, -27, 125, 15.5), (-8, -23, 145, 14.5), (2, -13, 159, 13.5),
    (13, 4, 163, 13), (21, 20, 158, 12.5), (24, 32, 144, 12), (25, 37, 118, 11.8), (24, 38, 80, 11.5),
    (20, 34, 40, 11.2), (13, 28, 0, 11), (6, 24, -60, 10),
)  # fmt: skip
PULMONARY: tuple[tuple[Knot, ...], ...] = (
    ((24, -40, 88, 13), (22, -33, 110, 13.5), (20, -18, 124, 12)),
    ((20, -18, 124, 11.5), (31, 0, 130, 11), (41, 14, 121, 9), (47, 20, 104, 7.5), (50, 26, 86, 6)),
    ((20, -18, 122, 11.5), (6, -8, 119, 11.5), (-14, -3, 116, 10.5), (-34, 1, 111, 9.5), (-46, 9, 99, 7.5)),
    ((-46, 9, 99, 7), (-50, 18, 84, 6)),
)
VEINS: tuple[tuple[Knot, ...], ...] = (
    ((-28, -14, 84, 10), (-29, -20, 112, 9), (-27, -25, 150, 8.5), (-25, -29, 176, 8)),
    ((-25, -29, 176, 7.5), (-33, -30, 205, 7), (-46, -20, 240, 7)),
    ((-25, -30, 174, 7), (4, -40, 180, 6.5), (29, -36, 196, 6.5), (46, -22, 240, 6.5)),
    ((24, 12, 84, 7), (44, 10, 80, 6), (58, 14, 72, 4.5)),
    ((-20, 12, 84, 7), (-42, 10, 82, 6), (-58, 14, 74, 4.5)),
    ((-22, -8, 30, 11), (-26, -4, -10, 12), (-24, 2, -60, 12)),
)
ARTERIES: tuple[tuple[Knot, ...], ...] = (
    ((-3, -15, 162, 6.5), (-11, -15, 190, 6), (-23, -10, 215, 5.2), (-34, -2, 245, 4.5)),
    ((8, -7, 165, 4.6), (13, -7, 200, 4.3), (22, -4, 250, 4)),
    ((18, 9, 165, 5.2), (24, 7, 200, 5), (38, 2, 226, 4.6), (60, -6, 240, 4)),
)
AIRWAYS: tuple[tuple[Knot, ...], ...] = (
    ((0, -6, 262, 8.6), (0, 2, 215, 8.6), (-1, 10, 160, 8.4), (-1, 14, 134, 8.2)),
    ((-1, 14, 134, 7.4), (-18, 16, 118, 6.8), (-33, 17, 105, 6.2), (-38, 18, 88, 5), (-46, 25, 64, 3.4)),
    ((-18, 15, 120, 4.8), (-46, 10, 126, 4), (-62, 2, 138, 2.6)),
    ((0, 14, 134, 7), (17, 18, 117, 6.2), (35, 21, 105, 5.6), (45, 25, 86, 4.6), (54, 32, 64, 3.2)),
    ((36, 20, 107, 4.4), (56, 3, 118, 3.4), (66, -12, 124, 2.4)),
    ((-38, 18, 92, 3.6), (-56, -8, 80, 2.6)),
)
GULLET: tuple[Knot, ...] = ((3, 12, 262, 6), (5, 20, 200, 6.2), (6, 27, 130, 6.4), (6, 25, 80, 6.6), (12, 16, 20, 7.5))
AZYGOS: tuple[Knot, ...] = (
    (-9, 36, -40, 3.6),
    (-9, 37, 60, 4),
    (-10, 34, 120, 4.4),
    (-22, 8, 146, 4.8),
    (-27, -20, 148, 4.8),
)


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight tapered pieces; rows belong together."""

    start: Float64  # [P,3], x, y, h
    end: Float64  # [P,3]
    radius: Float64  # [P,2], at either end, mm

    def moved(self, by: tuple[float, float, float]) -> Tubes:
        """Return all pieces shifted, mm."""
        return Tubes(self.start + np.asarray(by), self.end + np.asarray(by), self.radius)

    @cached_property
    def _heights(self) -> tuple[Float64, Float64]:
        """The lowest and the highest point of each piece, its radius included."""
        radius = np.maximum(self.radius[:, 0], self.radius[:, 1])
        low = np.minimum(self.start[:, 2], self.end[:, 2]) - radius
        return low, np.maximum(self.start[:, 2], self.end[:, 2]) + radius

    @cached_property
    def edges(self) -> tuple[Float64, Float64, Float64, Float64, Float64]:
        """From start to end: x, y, h, the squared length (never 0) and how much the radius grows, [P] each."""
        x, y, h = (self.end[:, axis] - self.start[:, axis] for axis in range(3))
        return x, y, h, x * x + y * y + h * h + 1e-9, self.radius[:, 1] - self.radius[:, 0]

    def crossing(self, h: float, reach: float) -> Int64:
        """Return the pieces that come within `reach` mm (and their own radius) of one height."""
        low, high = self._heights
        return np.flatnonzero((low < h + reach) & (high > h - reach))


def tubes_of(lines: tuple[tuple[Knot, ...], ...], draws: Draws, jitter: float, widen: float = 1.0) -> Tubes:
    """Cut polylines into pieces. Knots move up to `jitter` mm, equal knots alike, so that branches stay joined."""
    moved: dict[tuple[float, float, float], Float64] = {}
    starts, ends, radii = [], [], []
    for line in lines:
        places = []
        for x, y, h, _ in line:
            if (x, y, h) not in moved:
                moved[x, y, h] = np.asarray([x, y, h]) + (draws.array(3) * 2.0 - 1.0) * jitter
            places.append(moved[x, y, h])
        for index in range(len(line) - 1):
            starts.append(places[index])
            ends.append(places[index + 1])
            radii.append((line[index][3] * widen, line[index + 1][3] * widen))
    return Tubes(np.stack(starts), np.stack(ends), np.asarray(radii, dtype=np.float64))


def _sites(body: Body, side: float, draws: Draws, count: int) -> Float64:
    """Draw points spread through one lung, [count,3] at most."""
    raw = draws.array(count * 4, 3)
    x = side * (8.0 + 130.0 * raw[:, 0])
    y = -92.0 + 184.0 * raw[:, 1]
    h = -40.0 + 280.0 * raw[:, 2]
    inside = body.lungs(x, y, h, body.middle(x, y, h, body.heart(x, y, h))) < -4.0
    return np.stack([x, y, h], axis=1)[inside][:count]


def grow_tree(body: Body, side: float, draws: Draws, count: int) -> Tubes:
    """Grow the vessels of one lung: every site joins the node that keeps the joint and the way to the hilum short.

    Radii follow Murray's law (the cube of a parent's radius is the sum of its children's cubes).
    """
    hilum = np.asarray([side * 40.0, 14.0, 100.0])
    sites = _sites(body, side, draws, count)
    away = sites - hilum
    straight = np.sqrt(away[:, 0] * away[:, 0] + away[:, 1] * away[:, 1] + away[:, 2] * away[:, 2])
    order = np.argsort(straight, kind="stable")
    nodes = np.concatenate([hilum[None], sites[order]])
    parent = _join(nodes, np.concatenate([[0.0], straight[order]]))
    cubes = [0.45 * 0.45 * 0.45] * len(nodes)
    for node in range(len(nodes) - 1, 0, -1):
        cubes[parent[node]] += cubes[node]
    radius = np.minimum(cube_root(np.asarray(cubes)), 4.5)
    return _pieces(nodes, np.asarray(parent), radius, draws)


def _join(nodes: Float64, straight: Float64) -> list[int]:
    """Return the parent of every node but the first.

    Args:
        nodes: x, y, h, [N,3], by rising distance from the first.
        straight: That distance, [N] mm.
    """
    axes, points = np.ascontiguousarray(nodes.T), nodes.tolist()
    path, weighted = [0.0], np.zeros(len(nodes))  # mm to the hilum, and its share in the choice
    parent = [0]
    for first in range(1, len(nodes), _BLOCK):
        last = min(first + _BLOCK, len(nodes))
        # to all earlier nodes at once; only those of the block itself have to be joined one by one
        costs = _distances(axes[:, first:last], axes[:, :first])
        costs += weighted[:first]
        best = np.argmin(costs, axis=1)
        least = np.min(costs, axis=1)
        inner = _distances(axes[:, first:last], axes[:, first:last])
        # no way to the hilum is shorter than the straight one
        rivals = np.any(np.tril(inner + 0.55 * straight[first:last] < least[:, None], -1), axis=1)
        for row, (joint, rival) in enumerate(zip(best.tolist(), rivals.tolist(), strict=True)):
            new = first + row
            if rival:
                within = inner[row, :row] + weighted[first:new]
                nearest = int(within.argmin())
                parent.append(first + nearest if within[nearest] < least[row] else joint)
            else:
                parent.append(joint)
            (x0, y0, h0), (x1, y1, h1) = points[parent[new]], points[new]
            dx, dy, dh = x0 - x1, y0 - y1, h0 - h1
            path.append(path[parent[new]] + sqrt(dx * dx + dy * dy + dh * dh))
            weighted[new] = 0.55 * path[new]
    return parent


def _distances(points: Float64, others: Float64) -> Float64:
    """Return the distance of every point [3,P] to every other [3,Q], float64 [P,Q]."""
    total, offset = np.zeros((2, points.shape[1], others.shape[1]))
    for own, other in zip(points, others, strict=True):
        np.subtract(other, own[:, None], out=offset)
        offset *= offset
        total += offset
    return np.sqrt(total, out=total)


def _pieces(nodes: Float64, parent: Int64, radius: Float64, draws: Draws) -> Tubes:
    """Cut edges into short pieces, bent a little, so that each fits a small stamp."""
    child = np.arange(1, len(nodes))
    a, b = nodes[parent[child]], nodes[child]
    edge = b - a
    length = np.sqrt(edge[:, 0] * edge[:, 0] + edge[:, 1] * edge[:, 1] + edge[:, 2] * edge[:, 2])
    bend = (draws.array(len(child), 3) * 2.0 - 1.0) * length[:, None] * 0.14
    parts = 3
    starts, ends = [], []
    for part in range(parts):
        t0, t1 = part / parts, (part + 1) / parts
        starts.append(a + edge * t0 + bend * (4.0 * t0 * (1.0 - t0)))
        ends.append(a + edge * t1 + bend * (4.0 * t1 * (1.0 - t1)))
    # a branch leaves its parent with its own width, not the parent's
    wide = np.minimum(radius[parent[child]], radius[child] * 1.25)
    radii = [
        np.stack(
            [wide + (radius[child] - wide) * (p / parts), wide + (radius[child] - wide) * ((p + 1) / parts)], axis=1
        )
        for p in range(parts)
    ]
    return Tubes(np.concatenate(starts), np.concatenate(ends), np.concatenate(radii))


def joined(*groups: Tubes) -> Tubes:
    """Return several groups as one."""
    return Tubes(
        np.concatenate([g.start for g in groups]),
        np.concatenate([g.end for g in groups]),
        np.concatenate([g.radius for g in groups]),
    )
