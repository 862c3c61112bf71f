"""A patient's anatomy, and one axial slice of it in HU; every machine draws the same bits (see `field`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_medgan.phantom.body import Body, Person, draw_person
from pytest_medgan.phantom.bones import paint_breastbone, paint_ribs, paint_shoulders, paint_spine
from pytest_medgan.phantom.canvas import Canvas, Tiles, lay, open_canvas
from pytest_medgan.phantom.field import Draws, cut, ellipsoid, ramp, union
from pytest_medgan.phantom.scan import scan
from pytest_medgan.phantom.tube_painting import coarse_distance, cover_by_branches, paint_tubes
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
from pytest_medgan.phantom.tumour_painting import paint_tumour
from pytest_medgan.records import Float64

_BRANCHES = 1600  # sites a lung that its vessels must reach
_APEX = 238.0  # mm; the chest ends below this height
_SEAM = 19.0  # mm between the lines of fat in muscle


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Everything that is needed to paint the slices of one patient."""

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
    """Draw a body and its tumour, which is large for even numbers; histology changes every second patient."""
    body = Body(draw_person(Draws(seed, number, 1)), Draws(seed, number, 2))
    return body, draw_tumour(body, Draws(seed, number, 6), large=number % 2 == 0, squamous=number // 2 % 2 == 0)


def draw_anatomy(seed: int, number: int) -> Anatomy:
    """Draw the complete anatomy of one patient."""
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
    """Return airways that run next to the thicker arteries."""
    thick = np.flatnonzero((tree.radius[:, 1] > 1.7) & (tree.radius[:, 1] < 3.4))
    radius = tree.radius[thick] * 0.72
    aside = np.stack([radius[:, 0] * 0.9 + 1.6, -radius[:, 0] * 1.1 - 1.6, np.zeros(len(thick))], axis=1)
    return Tubes(tree.start[thick] + aside, tree.end[thick] + aside, radius)


def paint_slice(
    anatomy: Anatomy, h: float, thickness: float, index: int, *, tumour: bool = True
) -> npt.NDArray[np.int16]:
    """Paint one slice.

    Args:
        anatomy: The patient.
        h: Height of the slice in the standard frame, mm.
        thickness: Of the slice, mm.
        index: Seeds the noise.
        tumour: Whether to paint it.

    Returns:
        HU, int16 [512,512] in -1024..3071.
    """
    canvas = open_canvas(anatomy.body, h, thickness)
    _paint_wall(canvas)
    _paint_chest(canvas, anatomy, tumour=tumour)
    paint_ribs(canvas)
    paint_breastbone(canvas)
    paint_shoulders(canvas)
    paint_spine(canvas)
    return scan(canvas, Draws(anatomy.seed, anatomy.number, 1000 + index))


def _paint_wall(canvas: Canvas) -> None:
    """Paint skin, fat, and muscle with fat between its layers."""
    medium, fine, broad = canvas.sheet("medium"), canvas.sheet("fine"), canvas.sheet("broad")
    shown = canvas.below(canvas.outline, 0.9)
    if canvas.h < _APEX:  # the inside of the rib cage is painted over later
        shown &= canvas.above(canvas.cage(), -2.1)
    tiles = Tiles.where(shown)
    fat = tiles.grow(6.0 * medium + 5.0 * fine)
    fat -= 106.0
    canvas.paint(tiles, ramp(tiles.grow(canvas.outline), 1.6), fat)
    ring = Tiles.where(shown & canvas.above(canvas.outline, -3.2))
    canvas.paint(ring, ramp(np.abs(ring.grow(canvas.outline) + 1.6) - 0.9, 1.2), 10.0)
    flesh = canvas.body.flesh(canvas.bent_x, canvas.bent_y, canvas.h, canvas.cage(195.0)) + 3.5 * broad + 2.5 * medium
    flesh = np.maximum(flesh, canvas.outline + 3.5)
    tiles = Tiles.where(shown & canvas.below(flesh, 0.9))
    muscle = tiles.grow(9.0 * medium + 7.5 * fine)
    muscle += 54.0
    # the lines between muscles follow the wall beside the chest; above the chest they are irregular
    away = np.minimum(canvas.cage(200.0), 60.0)
    line = tiles.grow((away + (11.0 + 0.16 * away) * medium + 14.0 * broad + 3.0 * fine) / _SEAM)
    line -= np.floor(line)
    line -= 0.5
    np.abs(line, out=line)
    line *= _SEAM
    line -= 0.9
    seam = ramp(line, 1.6)
    seam *= ramp(tiles.grow(7.0 - canvas.cage()), 2.0)
    seam *= 0.75
    lay(muscle, seam, -70.0)
    canvas.paint(tiles, ramp(tiles.grow(flesh), 1.8), muscle)


def _paint_chest(canvas: Canvas, anatomy: Anatomy, *, tumour: bool) -> None:
    """Paint the organs inside the rib cage."""
    body, h, x, y = canvas.body, canvas.h, canvas.bent_x, canvas.bent_y
    medium, fine, cage = canvas.sheet("medium"), canvas.sheet("fine"), canvas.cage()
    domes = body.domes(x, y, h) + 3.0 * medium
    wall = body.middle(x, y, h, canvas.heart) + 3.5 * medium + 1.5 * fine
    # the great vessels displace the lungs
    middle = union(wall, coarse_distance(canvas, anatomy.vessels, 22.0) - 1.5, 7.0)
    lungs = cut(cut(cage + 2.5, -middle, 8.0), -domes + 1.0, 5.0) + 1.4 * fine
    side, surface = anatomy.person.effusion
    if surface < 100.0:
        # fluid gathers at the back of one side, higher towards the base
        fluid = np.maximum(surface + 0.18 * (h - 60.0) - y + 4.0 * medium, 4.0 - side * x)
        wet = np.maximum(fluid, lungs)
        lungs = cut(lungs, 2.0 - fluid, 4.0)
    if h < _APEX:
        share = 0.55 + 0.9 * (anatomy.person.mediastinal_fat - 0.5) + 0.9 * medium + 0.9 * fine
        value = 34.0 - 125.0 * np.minimum(np.maximum(share, 0.0), 1.0)
        tiles = Tiles.where(canvas.below(cage, 0.0) & canvas.above(lungs, -0.9))  # the rest is painted over
        canvas.paint(tiles, ramp(tiles.grow(cage + 1.0), 2.0), tiles.grow(value))
    _paint_abdomen(canvas, domes)
    if surface < 100.0:
        tiles = Tiles.where(canvas.below(wet, 1.0))
        canvas.paint(tiles, ramp(tiles.grow(wet), 2.0), 12.0)
    _paint_heart(canvas, anatomy)
    paint_tubes(canvas, anatomy.gullet, 36.0)
    lung = _paint_lung(canvas, anatomy, lungs) if (lungs < 1.0).any() else None
    paint_tubes(canvas, anatomy.vessels, anatomy.person.blood, softness=1.8)
    paint_tubes(canvas, anatomy.airways, 20.0, extra_radius=1.7, softness=1.6)
    paint_tubes(canvas, anatomy.airways, -992.0, softness=1.4)
    if tumour and lung is not None:
        paint_tumour(canvas, anatomy.tumour, anatomy.person.blood, lung)


def _paint_heart(canvas: Canvas, anatomy: Anatomy) -> None:
    """Paint fat under the pericardium, muscle, and chambers that contrast medium lights up."""
    if canvas.h > 112.0:
        return
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, anatomy.person
    heart = canvas.heart + 1.5 * canvas.sheet("medium")
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
    tiles = Tiles.where(canvas.below(heart, 1.0))
    canvas.paint(tiles, ramp(tiles.grow(heart), 2.0), -82.0)
    tiles = Tiles.where(canvas.below(heart + fat, 1.5))
    canvas.paint(tiles, ramp(tiles.grow(heart + fat), 3.0), muscle)
    tiles = Tiles.where(canvas.below(pools, 2.0))
    canvas.paint(tiles, ramp(tiles.grow(pools), 4.0), person.blood)


def _paint_abdomen(canvas: Canvas, domes: Float64) -> None:
    """Paint liver, spleen, stomach with its bubble, fat; `domes` is the distance to the diaphragm, on coarse nodes."""
    tiles = Tiles.where(canvas.below(domes, 1.0) & canvas.below(canvas.cage(), 0.0))
    if not len(tiles):
        return
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, canvas.body.person
    medium = canvas.sheet("medium")
    size, full = person.stomach
    inside = ramp(tiles.grow(canvas.cage()) + 1.0, 2.0)
    cover = ramp(tiles.grow(domes), 2.0) * inside
    canvas.paint(tiles, cover, -98.0)
    enhanced = person.blood > 80.0
    liver = tiles.grow(x - 18.0 + 0.35 * y + 9.0 * medium + max(0.0, -30.0 - h) * 0.8)
    liver = np.maximum(liver, tiles.grow(domes) + 2.0)
    canvas.paint(tiles, ramp(liver, 2.0) * inside, 102.0 if enhanced else 58.0)
    spleen = ellipsoid((x - 92.0, y - 42.0, h + 30.0), (30.0, 40.0, 58.0)) + 3.0 * medium
    canvas.paint(tiles, ramp(tiles.grow(spleen), 2.0) * cover, 112.0 if enhanced else 50.0)
    stomach = tiles.grow(
        ellipsoid((x - 56.0, y + 22.0, h + 26.0), (46.0 * size, 40.0 * size, 56.0 * size)) + 4.0 * medium
    )
    canvas.paint(tiles, ramp(stomach, 2.0) * cover, 48.0)
    level = tiles.grow(canvas.y + 22.0 + 38.0 * size * full)
    canvas.paint(tiles, ramp(np.maximum(stomach + 4.0, level), 1.6) * cover, -960.0)
    canvas.paint(tiles, ramp(np.maximum(stomach + 4.0, -level), 1.6) * cover, 22.0)


def _paint_lung(canvas: Canvas, anatomy: Anatomy, lungs: Float64) -> Float64:
    """Paint parenchyma denser towards the back, fissures, vessels and airways.

    `lungs` is the distance to the lungs on coarse nodes; returns how much of each pixel they cover, [rows,columns].
    """
    x, y, h, person = canvas.bent_x, canvas.bent_y, canvas.h, anatomy.person
    medium, fine = canvas.sheet("medium"), canvas.sheet("fine")
    lung = np.zeros(canvas.shape)
    aerated = canvas.below(lungs, 0.9)
    tiles = Tiles.where(aerated)
    cover = ramp(tiles.grow(lungs), 1.8)
    tiles.put(lung, cover)
    dark = np.minimum(np.maximum(medium * 2.2 + fine - 0.9, 0.0), 1.0) * (-75.0 * person.emphysema)
    base = person.lung + 0.28 * y + 14.0 * canvas.sheet("broad") + 8.0 * medium + 15.0 * fine + dark
    canvas.paint(tiles, cover, tiles.grow(base))
    # the oblique fissures, and the horizontal one of the right lung
    oblique = np.abs(0.70 * (h - 92.0) - 0.72 * (y - 18.0) + 6.0 * medium) - 0.9
    flat = np.maximum(np.abs(h - 112.0 + 0.10 * y + 10.0 * medium) - 0.8, np.maximum(x + 30.0, y - 8.0))
    fissure = np.minimum(oblique, flat)
    part = Tiles.where(aerated & canvas.below(fissure, 0.7))
    canvas.paint(part, 0.16 * part.take(lung) * ramp(part.grow(fissure), 1.4), -300.0)
    _, (vessels,) = cover_by_branches(canvas, anatomy.tree)
    canvas.paint(tiles, cover * tiles.take(vessels), 0.8 * person.blood)
    part, (lumen, wall) = cover_by_branches(canvas, anatomy.bronchi, extra_radii=(0.0, 0.9))
    air, cover = part.take(lumen), part.take(lung)
    canvas.paint(part, 0.5 * cover * np.maximum(part.take(wall) - air, 0.0), -150.0)
    canvas.paint(part, 0.9 * cover * air, -960.0)
    return lung
