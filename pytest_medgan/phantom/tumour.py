"""The tumour of the phantom: a lobed ball with spicules, and the outline that a radiotherapy planner would draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.field import Cloud, Draws
from pytest_medgan.phantom.tubes import Tubes
from pytest_medgan.records import Float64

_RAYS = 48


@dataclass(frozen=True, eq=False)
class Tumour:
    """Placed in the standard frame (mm); its radius is along a mean direction."""

    centre: tuple[float, float, float]  # x, y, h
    radius: float
    stretch: tuple[float, float, float]
    lobes: Cloud  # read on the unit sphere
    roughness: float
    spikes: Tubes
    necrosis: float  # 0..1
    cavity: float  # share of the radius that is hollow
    squamous: bool

    def distance(self, x: Float64, y: Float64, h: Float64 | float) -> Float64:
        """Return the signed distance to the ball without its spicules, at points of one shape."""
        dx, dy, dh, away = self._offset(x, y, h)
        ux, uy, uh = dx / away, dy / away, dh / away
        lobes = self.lobes.at(ux, uy, uh) + 0.5 * self.lobes.at(-1.9 * uy, 1.9 * uh, 1.9 * ux)
        return away - self.radius * (1.0 + self.roughness * lobes)

    def bound(self, x: Float64, y: Float64, h: float) -> Float64:
        """Return what `distance` is at least; lobes lie in -1.5..1.5."""
        _, _, _, away = self._offset(x, y, h)
        return away - self.radius * (1.0 + 1.5 * self.roughness)

    def _offset(self, x: Float64, y: Float64, h: Float64 | float) -> tuple[Float64, Float64, Float64, Float64]:
        """Return the offset from the centre in units of the stretch, and its length."""
        dx, dy = (x - self.centre[0]) / self.stretch[0], (y - self.centre[1]) / self.stretch[1]
        dh = np.zeros(np.broadcast_shapes(dx.shape, dy.shape)) + (h - self.centre[2]) / self.stretch[2]
        return dx, dy, dh, np.sqrt(dx * dx + dy * dy + dh * dh) + 1e-6

    def outlines(self, heights: Sequence[float]) -> list[Float64 | None]:
        """Return the contour at each height, [rays,2] (x, y) in the standard frame; None where there is no tumour."""
        x0, y0 = self.centre[0], self.centre[1]
        levels = np.asarray(heights, dtype=np.float64)
        met = self.distance(np.full(len(levels), x0), np.full(len(levels), y0), levels) <= -1.0
        h, edge = levels[met, None], circle(_RAYS)
        low, high = np.zeros((len(h), _RAYS)), np.full((len(h), _RAYS), 2.2 * self.radius)
        for _ in range(30):
            middle = 0.5 * (low + high)
            inside = self.distance(x0 + edge[:, 0] * middle, y0 + edge[:, 1] * middle, h) < 0.0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        found = iter(np.stack([x0 + edge[:, 0] * low, y0 + edge[:, 1] * low], axis=2))
        return [next(found) if there else None for there in met.tolist()]


def circle(count: int) -> Float64:
    """Return points round the unit circle, [count,2]; rational, so the same everywhere. `count` is a multiple of 4."""
    quarter = count // 4
    t = np.arange(quarter, dtype=np.float64) / quarter
    t = t * (0.82843 + 0.17157 * t)  # evens out the half-angle form: tan(pi/8) = 0.41421 at the middle
    x, y = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
    points = np.stack([x, y], axis=1)
    turns = [points]
    for _ in range(3):
        points = np.stack([-points[:, 1], points[:, 0]], axis=1)
        turns.append(points)
    return np.concatenate(turns)


def draw_tumour(body: Body, draws: Draws, *, large: bool, squamous: bool) -> Tumour:
    """Draw a tumour: squamous ones grow near the hilum, adenocarcinomas in the periphery of the lung."""
    radius = draws.between(16.0, 31.0) if large else draws.between(6.5, 15.0)
    centre = _site(body, draws, radius, squamous)
    stretch = (draws.between(0.85, 1.2), draws.between(0.85, 1.2), draws.between(0.9, 1.25))
    lobes = Cloud(draws, 0.9, (4.2, 4.2, 4.2))
    spikes = _spikes(draws, centre, radius, 18 + draws.whole(16))
    roughness = draws.between(0.16, 0.34)
    necrosis = draws.between(0.2, 1.0) if large else draws.between(0.0, 0.3)
    cavity = draws.between(0.3, 0.6) if large and draws.whole(4) == 0 else 0.0
    return Tumour(centre, radius, stretch, lobes, roughness, spikes, necrosis, cavity, squamous)


def _site(body: Body, draws: Draws, radius: float, central: bool) -> tuple[float, float, float]:
    """Return a point in a lung at the wanted depth, with room for the tumour."""
    raw = draws.array(4000, 3)
    x, y, h = -125.0 + 250.0 * raw[:, 0], -80.0 + 160.0 * raw[:, 1], 35.0 + 165.0 * raw[:, 2]
    lungs = body.lungs(x, y, h, body.middle(x, y, h, body.heart(x, y, h)))
    hilum = np.abs(np.abs(x) - 58.0) + np.abs(y - 10.0) + np.abs(h - 105.0)
    room = lungs < -0.45 * radius
    wanted = room & (hilum < 62.0) if central else room & (hilum > 75.0) & (lungs > -1.4 * radius)
    for choice in (wanted, room, lungs < 0.0):
        found = np.flatnonzero(choice)
        if len(found):
            at = int(found[0])
            return float(x[at]), float(y[at]), float(h[at])
    return 70.0, 0.0, 110.0


def _spikes(draws: Draws, centre: tuple[float, float, float], radius: float, count: int) -> Tubes:
    """Draw thin strands out of the surface."""
    way = draws.array(count, 3) * 2.0 - 1.0
    way = way / (np.sqrt(way[:, :1] * way[:, :1] + way[:, 1:2] * way[:, 1:2] + way[:, 2:] * way[:, 2:]) + 1e-3)
    middle = np.asarray(centre)
    reach = draws.array(count, 1)
    start = middle + way * (0.75 * radius)
    end = middle + way * (radius * 1.1 + 3.0 + 11.0 * reach * reach)
    thick = np.stack([1.1 + 0.035 * radius + 0.4 * reach[:, 0], np.full(count, 0.25)], axis=1)
    return Tubes(start, end, thick)
