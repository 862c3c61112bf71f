"""A patient's anatomy, and one axial slice of it in HU.

Pixel values come from + - * /, square roots, comparisons and whole numbers alone, so that every machine draws the
same slice bit for bit (see phantom_field).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_medgan.phantom.body import Body, Person, draw_person
from pytest_medgan.phantom.bones import paint_breastbone, paint_ribs, paint_shoulders, paint_spine
from pytest_medgan.phantom.canvas import (
    Canvas,
    open_canvas,
    paint_tubes,
    stamp_tubes,
    tube_distance,
)
from pytest_medgan.phantom.field import Draws, cut, ellipsoid, ramp, union
from pytest_medgan.phantom.scan import scan
from pytest_medgan.phantom.tubes import (
    AIRWAYS,
    AORTA,
    ARTERIES,
    AZYGOS,
    GULLET,
    PULMONARY,
    VEINS,
    Tubes,
    grow_tree,
    joined,
    tubes_of,
)
from pytest_medgan.phantom.tumour import Tumour, draw_tumour
from pytest_medgan.records import Float64

_BRANCHES = 1600  # sites a lung that its vessels must reach


@dataclass(frozen=True, eq=False)
class Anatomy:
    """All that one patient's slices are painted from."""

    seed: int
    number: int  # the patient's, from 0
    person: Person
    body: Body
    vessels: Tubes  # aorta, pulmonary trunk and arteries, veins, arteries of the neck
    airways: Tubes
    gullet: Tubes
    tree: Tubes  # vessels in the lungs
    bronchi: Tubes  # airways in the lungs
    tumour: Tumour


def draw_disease(seed: int, number: int) -> tuple[Body, Tumour]:
    """A body and its tumour; even numbers have a large one, and histology alternates every second patient."""
    body = Body(draw_person(Draws(seed, number, 1)), Draws(seed, number, 2))
    return body, draw_tumour(body, Draws(seed, number, 6), large=number % 2 == 0, squamous=number // 2 % 2 == 0)


def draw_anatomy(seed: int, number: int) -> Anatomy:
    """One patient, whole."""
    body, tumour = draw_disease(seed, number)
    pipes = Draws(seed, number, 3)
    widen = pipes.between(0.9, 1.14)
    shift = (pipes.between(-5.0, 6.0), pipes.between(-5.0, 5.0), pipes.between(-9.0, 9.0))
    vessels = tubes_of((AORTA, *PULMONARY, *VEINS, *ARTERIES, AZYGOS), pipes, 4.2, widen).moved(shift)
    airways = tubes_of(AIRWAYS, pipes, 2.4, pipes.between(0.88, 1.15)).moved(shift)
    gullet = tubes_of((GULLET,), pipes, 2.5)
    tree = joined(*(grow_tree(body, side, Draws(seed, number, 4 + (side > 0)), _BRANCHES) for side in (-1.0, 1.0)))
    bronchi = _bronchi(tree)
    return Anatomy(seed, number, body.person, body, vessels, airways, gullet, tree, bronchi, tumour)


def _bronchi(tree: Tubes) -> Tubes:
    """Airways run beside the thicker arteries."""
    thick = np.flatnonzero((tree.radius[:, 1] > 1.7) & (tree.radius[:, 1] < 3.4))
    radius = tree.radius[thick] * 0.72
    aside = np.stack([radius[:, 0] * 0.9 + 1.6, -radius[:, 0] * 1.1 - 1.6, np.zeros(len(thick))], axis=1)
    return Tubes(tree.start[thick] + aside, tree.end[thick] + aside, radius)


def paint_slice(
    anatomy: Anatomy, h: float, thickness: float, index: int, *, tumour: bool = True
) -> npt.NDArray[np.int16]:
    """int16 [512,512] in HU, -1024..3071, at height `h` (mm, standard frame); `index` seeds the noise."""
    canvas = open_canvas(anatomy.body, h, thickness)
    cage = canvas.grow(anatomy.body.cage(canvas.bent_x, canvas.bent_y, h))
    _paint_wall(canvas, cage)
    _paint_chest(canvas, anatomy, cage, tumour=tumour)
    if h < 225.0:
        paint_ribs(canvas, cage)
    paint_breastbone(canvas)
    paint_shoulders(canvas)
    paint_spine(canvas)
    return scan(canvas, Draws(anatomy.seed, anatomy.number, 1000 + index))


def _paint_wall(canvas: Canvas, cage: Float64) -> None:
    """Skin, fat, muscle with fat between its layers."""
    skin = canvas.grow(canvas.outline)
    medium, fine = canvas.sheet("medium"), canvas.sheet("fine")
    texture = canvas.grow(6.0 * medium + 5.0 * fine)
    canvas.paint(ramp(skin, 1.6), -106.0 + texture)
    canvas.paint(ramp(np.abs(skin + 1.6) - 0.9, 1.2), 10.0)
    flesh = canvas.body.flesh(canvas.bent_x, canvas.bent_y, canvas.h) + 3.5 * canvas.sheet("broad") + 2.5 * medium
    flesh = canvas.grow(np.maximum(flesh, canvas.outline + 3.5))
    # the lines between muscles: beside the chest they follow its wall, above it they lose the way
    away = np.minimum(canvas.body.cage(canvas.bent_x, canvas.bent_y, min(canvas.h, 200.0)), 60.0)
    lines = canvas.grow(away + (11.0 + 0.16 * away) * medium + 14.0 * canvas.sheet("broad") + 3.0 * fine)
    layer = lines / 19.0 - np.floor(lines / 19.0)
    seam = ramp(np.abs(layer - 0.5) * 19.0 - 0.9, 1.6) * ramp(7.0 - cage, 2.0)
    muscle = 54.0 + texture * 1.5
    muscle = muscle + 0.75 * seam * (-70.0 - muscle)
    canvas.paint(ramp(flesh, 1.8), muscle)


def _paint_chest(canvas: Canvas, anatomy: Anatomy, cage: Float64, *, tumour: bool) -> None:
    """What the ribs hold."""
    body, h, x, y = canvas.body, canvas.h, canvas.bent_x, canvas.bent_y
    medium, fine = canvas.sheet("medium"), canvas.sheet("fine")
    inside = ramp(cage + 1.0, 2.0)
    share = 0.55 + 0.9 * (anatomy.person.mediastinal_fat - 0.5) + 0.9 * medium + 0.9 * fine
    fat = canvas.grow(np.minimum(np.maximum(share, 0.0), 1.0))
    if h < 238.0:
        canvas.paint(inside, 34.0 - 125.0 * fat)
    domes = body.domes(x, y, h) + 3.0 * medium
    if (domes < 2.0).any():
        _paint_abdomen(canvas, canvas.grow(domes), inside)
    wall = body.middle(x, y, h) + 3.5 * medium + 1.5 * fine
    middle = union(wall, _tubes_coarse(canvas, anatomy.vessels), 7.0)
    lungs = cut(cut(body.cage(x, y, h) + 2.5, -middle, 8.0), -domes + 1.0, 5.0) + 1.4 * fine
    side, surface = anatomy.person.effusion
    if surface < 100.0:
        # fluid gathers at the back of one side, higher towards the base
        fluid = np.maximum(surface + 0.18 * (h - 60.0) - y + 4.0 * medium, 4.0 - side * x)
        canvas.paint(ramp(canvas.grow(np.maximum(fluid, lungs)), 2.0), 12.0)
        lungs = cut(lungs, 2.0 - fluid, 4.0)
    lung = ramp(canvas.grow(lungs), 1.8) if (lungs < 1.0).any() else None
    _paint_heart(canvas, anatomy)
    paint_tubes(canvas, anatomy.gullet, 36.0)
    if lung is not None:
        _paint_lung(canvas, anatomy, lung)
    paint_tubes(canvas, anatomy.vessels, anatomy.person.blood, softness=1.8)
    paint_tubes(canvas, anatomy.airways, 20.0, wider=1.7, softness=1.6)
    paint_tubes(canvas, anatomy.airways, -992.0, softness=1.4)
    if tumour:
        _paint_tumour(canvas, anatomy, lung)


def _tubes_coarse(canvas: Canvas, tubes: Tubes) -> Float64:
    """Distance to the great vessels on the coarse nodes: the lungs give way to them."""
    index = tubes.crossing(canvas.h, 4.0)
    nearest = np.full(canvas.x.shape, 1e3)
    for piece in index:
        distance = tube_distance(canvas.x[None], canvas.y[None], canvas.h, tubes, np.asarray([piece]))[0]
        nearest = np.minimum(nearest, distance - 1.5)
    return nearest


def _paint_heart(canvas: Canvas, anatomy: Anatomy) -> None:
    """Fat under the pericardium, muscle, and chambers that contrast medium lights up."""
    if canvas.h > 112.0:
        return
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, anatomy.person
    heart = canvas.body.heart(x, y, h) + 1.5 * canvas.sheet("medium")
    if not (heart < 0.0).any():
        return
    size, (sx, sy) = person.heart, person.heart_shift
    muscle = 0.62 * person.blood + 18.0
    fat = 2.0 + 5.0 * person.mediastinal_fat + 3.0 * canvas.sheet("medium")
    dx, dy = x - sx, y - sy
    along, beside = 0.83 * (dx - 44.0) - 0.56 * (dy + 20.0), 0.56 * (dx - 44.0) + 0.83 * (dy + 20.0)
    left = ellipsoid((along, beside, h - 42.0), (30.0 * size, 17.0 * size, 34.0 * size))
    along, beside = 0.83 * (dx - 16.0) - 0.56 * (dy + 44.0), 0.56 * (dx - 16.0) + 0.83 * (dy + 44.0)
    right = ellipsoid((along, beside, h - 50.0), (36.0 * size, 14.0 * size, 40.0 * size))
    atria = np.minimum(
        ellipsoid((dx - 2.0, dy - 14.0, h - 78.0), (32.0 * size, 15.0 * size, 21.0 * size)),
        ellipsoid((dx + 22.0, dy + 16.0, h - 60.0), (22.0 * size, 23.0 * size, 32.0 * size)),
    )
    pools = np.minimum(np.minimum(left, right), atria) + 1.5 * canvas.sheet("fine")
    outer = canvas.grow(heart)
    canvas.paint(ramp(outer, 2.0), -82.0)
    canvas.paint(ramp(outer + canvas.grow(fat), 3.0), muscle)
    canvas.paint(ramp(canvas.grow(pools), 4.0), person.blood)


def _paint_abdomen(canvas: Canvas, domes: Float64, inside: Float64) -> None:
    """Liver, spleen, stomach with its bubble, fat."""
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, canvas.body.person
    medium = canvas.sheet("medium")
    size, full = person.stomach
    cover = ramp(domes, 2.0) * inside
    canvas.paint(cover, -98.0)
    enhanced = person.blood > 80.0
    liver = canvas.grow(x - 18.0 + 0.35 * y + 9.0 * medium + max(0.0, -30.0 - h) * 0.8)
    liver = np.maximum(liver, domes + 2.0)
    canvas.paint(ramp(liver, 2.0) * inside, 102.0 if enhanced else 58.0)
    spleen = ellipsoid((x - 92.0, y - 42.0, h + 30.0), (30.0, 40.0, 58.0)) + 3.0 * medium
    canvas.paint(ramp(canvas.grow(spleen), 2.0) * cover, 112.0 if enhanced else 50.0)
    stomach = canvas.grow(
        ellipsoid((x - 56.0, y + 22.0, h + 26.0), (46.0 * size, 40.0 * size, 56.0 * size)) + 4.0 * medium
    )
    canvas.paint(ramp(stomach, 2.0) * cover, 48.0)
    level = canvas.grow(canvas.y + 22.0 + 38.0 * size * full)
    canvas.paint(ramp(np.maximum(stomach + 4.0, level), 1.6) * cover, -960.0)
    canvas.paint(ramp(np.maximum(stomach + 4.0, -level), 1.6) * cover, 22.0)


def _paint_lung(canvas: Canvas, anatomy: Anatomy, lung: Float64) -> None:
    """Parenchyma denser towards the back, fissures, vessels and airways."""
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, anatomy.person
    medium, fine = canvas.sheet("medium"), canvas.sheet("fine")
    dark = np.minimum(np.maximum(medium * 2.2 + fine - 0.9, 0.0), 1.0) * (-75.0 * person.emphysema)
    base = person.lung + 0.28 * y + 14.0 * canvas.sheet("broad") + 8.0 * medium + 15.0 * fine + dark
    canvas.paint(lung, canvas.grow(base))
    # the oblique fissures, and the horizontal one of the right lung
    oblique = np.abs(0.70 * (h - 92.0) - 0.72 * (y - 18.0) + 6.0 * medium) - 0.9
    flat = np.maximum(np.abs(h - 112.0 + 0.10 * y + 10.0 * medium) - 0.8, np.maximum(x + 30.0, y - 8.0))
    canvas.paint(0.16 * lung * ramp(canvas.grow(np.minimum(oblique, flat)), 1.4), -300.0)
    lumen = stamp_tubes(canvas, anatomy.bronchi)
    wall = np.maximum(stamp_tubes(canvas, anatomy.bronchi, wider=0.9) - lumen, 0.0)
    canvas.paint(lung * stamp_tubes(canvas, anatomy.tree), 0.8 * person.blood)
    canvas.paint(0.5 * lung * wall, -150.0)
    canvas.paint(0.9 * lung * lumen, -960.0)


def _paint_tumour(canvas: Canvas, anatomy: Anatomy, lung: Float64 | None) -> None:
    """Ball, spicules in the lung, a faint halo, a core of lower density."""
    tumour, h = anatomy.tumour, canvas.h
    if abs(h - tumour.centre[2]) > 2.2 * tumour.radius + 14.0 or lung is None:
        return
    reach = 1.9 * tumour.radius + 16.0
    cx, cy, _ = tumour.centre
    box = canvas.box(cx - reach, cx + reach, cy - reach, cy + reach)
    x, y = canvas.coordinates(box)
    if not x.size:
        return
    grain = canvas.grow(canvas.sheet("fine"))[box]
    ball = tumour.distance(x, y, h) + 1.2 * grain
    halo = ramp(ball - 2.5 + 4.0 * grain, 9.0) * lung[box]
    canvas.paint_box(box, 0.30 * halo, -350.0)
    spikes = np.full(ball.shape, 1e3)
    index = tumour.spikes.crossing(h, 0.3 * canvas.thickness)
    if len(index):
        distances = tube_distance(x[None], y[None], h, tumour.spikes, index, slab=0.3 * canvas.thickness)
        spikes = distances.min(axis=0)
    canvas.paint_box(box, 0.75 * ramp(spikes, 1.6) * lung[box], 10.0)
    flesh = 42.0 + 0.16 * (anatomy.person.blood - 40.0) + 12.0 * grain
    core = ramp(ball + 0.55 * tumour.radius + 5.0 * grain, 6.0) * tumour.necrosis
    canvas.paint_box(box, ramp(ball, 1.8), flesh - 26.0 * core)
    if tumour.cavity:
        hollow = tumour.distance(x + 3.0, y - 2.0, h) + (1.0 - tumour.cavity) * tumour.radius + 4.0 * grain
        hollow = np.maximum(hollow, ball + 3.5)  # some wall is left all round
        canvas.paint_box(box, ramp(hollow, 2.2), -900.0)
