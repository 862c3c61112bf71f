"""Tubes of the phantom: great vessels, airways, and the branching vessels of the lungs, as tapered straight pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.field import Draws, cube_root
from pytest_medgan.records import Float64, Int64

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
        """All pieces shifted, mm."""
        return Tubes(self.start + np.asarray(by), self.end + np.asarray(by), self.radius)

    def crossing(self, h: float, reach: float) -> Int64:
        """The pieces that come within `reach` mm (and their own radius) of one height."""
        low = np.minimum(self.start[:, 2], self.end[:, 2])
        high = np.maximum(self.start[:, 2], self.end[:, 2])
        margin = np.maximum(self.radius[:, 0], self.radius[:, 1]) + reach
        return np.flatnonzero((low - margin < h) & (high + margin > h))


def tubes_of(lines: tuple[tuple[Knot, ...], ...], draws: Draws, jitter: float, widen: float = 1.0) -> Tubes:
    """Polylines to pieces. Every knot moves up to `jitter` mm, equal knots alike, so that branches stay joined."""
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
    """Points spread through one lung, [count,3] at most."""
    raw = draws.array(count * 4, 3)
    x = side * (8.0 + 130.0 * raw[:, 0])
    y = -92.0 + 184.0 * raw[:, 1]
    h = -40.0 + 280.0 * raw[:, 2]
    inside = body.lungs(x, y, h, body.middle(x, y, h)) < -4.0
    return np.stack([x, y, h], axis=1)[inside][:count]


def grow_tree(body: Body, side: float, draws: Draws, count: int) -> Tubes:
    """The vessels of one lung: every site joins the node that keeps both the joint and the way to the hilum short.

    Radii follow Murray's law (the cube of a parent's radius is the sum of its children's cubes).
    """
    hilum = np.asarray([side * 40.0, 14.0, 100.0])
    sites = _sites(body, side, draws, count)
    away = sites - hilum
    distance = np.sqrt(away[:, 0] * away[:, 0] + away[:, 1] * away[:, 1] + away[:, 2] * away[:, 2])
    sites = sites[np.argsort(distance, kind="stable")]
    nodes = np.concatenate([hilum[None], sites])
    total = len(nodes)
    path = np.zeros(total)
    parent = np.zeros(total, dtype=np.int64)
    x, y, h = nodes[:, 0].copy(), nodes[:, 1].copy(), nodes[:, 2].copy()
    for new in range(1, total):
        dx, dy, dh = x[:new] - x[new], y[:new] - y[new], h[:new] - h[new]
        near = np.sqrt(dx * dx + dy * dy + dh * dh)
        chosen = int(np.argmin(near + 0.55 * path[:new]))
        parent[new] = chosen
        path[new] = path[chosen] + near[chosen]
    cubes = np.full(total, 0.45 * 0.45 * 0.45)
    for node in range(total - 1, 0, -1):
        cubes[parent[node]] += cubes[node]
    radius = np.minimum(cube_root(cubes), 4.5)
    return _pieces(nodes, parent, radius, draws)


def _pieces(nodes: Float64, parent: Int64, radius: Float64, draws: Draws) -> Tubes:
    """Edges to short pieces, bent a little, so that each fits a small stamp."""
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
    """Several groups as one."""
    return Tubes(
        np.concatenate([g.start for g in groups]),
        np.concatenate([g.end for g in groups]),
        np.concatenate([g.radius for g in groups]),
    )
