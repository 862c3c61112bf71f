"""A patient of the phantom: the parameters drawn for one person, and the surfaces of the large organs.

Organs live in a standard frame in mm: x to the patient's left, y to the back, h upwards from the lung bases (apex near
235), origin between chest wall and chest wall. The patient's own size, tilt and place in the scanner map it to DICOM
patient coordinates. Proportions follow what axial CT shows; no figure is taken from a particular person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.field import Cloud, Draws, Profile, cut, ellipsoid, union
from pytest_medgan.records import Float64

EXTENT = (520.0, 520.0, 560.0)  # mm of the clouds

_CAGE_WIDTH = Profile(
    (-60, 130), (0, 137), (60, 140), (120, 132), (160, 118), (195, 94), (222, 66), (238, 38), (246, 8)
)
_CAGE_DEPTH = Profile((-60, 88), (0, 96), (60, 97), (120, 93), (160, 82), (195, 60), (222, 42), (238, 25), (246, 6))
_CAGE_BACK = Profile((120, -2), (160, 2), (200, 14), (240, 24))
_BODY_WIDTH = Profile((-60, 146), (0, 150), (60, 154), (120, 158), (160, 158), (200, 148), (230, 112), (262, 64))
_BODY_DEPTH = Profile((-60, 106), (0, 113), (60, 115), (120, 113), (160, 106), (200, 91), (230, 80), (262, 66))
_SHOULDER_OUT = Profile((90, 114), (150, 126), (200, 134), (250, 138))
_SHOULDER_WIDTH = Profile((90, 26), (130, 42), (180, 52), (230, 60), (260, 58))
_SHOULDER_DEPTH = Profile((90, 32), (130, 48), (180, 56), (230, 54), (260, 48))
_MIDDLE_WIDTH = Profile((-20, 14), (85, 14), (105, 25), (150, 26), (185, 27), (210, 27), (235, 15))
_SPINE_BACK = Profile((-60, 44), (0, 50), (60, 56), (110, 57), (160, 50), (200, 40), (240, 30))


@dataclass(frozen=True)
class Person:
    """What is drawn for one patient."""

    width: float  # of the standard frame
    depth: float
    height: float
    tilt: tuple[float, float]  # cosine and sine of the rotation about the long axis
    place: tuple[float, float]  # mm from the middle of the image to the body's origin
    spacing: float  # mm per pixel
    fat: float  # mm under the skin
    muscle: float  # factor on the muscle layer
    female: bool
    blood: float  # HU, contrast medium included
    lung: float  # HU
    emphysema: float  # 0..1
    noise: float  # HU, in the middle of the body
    heart: float  # size factor
    heart_shift: tuple[float, float]
    domes: tuple[float, float]  # h of the two domes of the diaphragm, right and left
    ribs: float  # h offset of the ribs
    bone: float  # factor on bone density
    middle: float  # width factor of the mediastinum
    mediastinal_fat: float  # 0..1
    table: int  # kind of couch
    effusion: tuple[float, float]  # side (-1 right, 1 left), y of the fluid's surface; beyond the cage where dry
    stomach: tuple[float, float]  # size factor, how full of fluid


def draw_person(draws: Draws) -> Person:
    """Draw one patient. The order of the draws is part of the phantom: a change gives other patients."""
    female = draws.whole(3) == 0
    size = draws.between(0.91, 1.05) - (0.03 if female else 0.0)
    t = draws.between(-0.03, 0.03)
    contrast = draws.whole(3) > 0
    return Person(
        width=size * draws.between(0.95, 1.05),
        depth=size * draws.between(0.9, 1.1),
        height=size * draws.between(0.93, 1.07),
        tilt=((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)),
        place=(draws.between(-9.0, 9.0), draws.between(-14.0, 10.0)),
        spacing=(0.9765625, 0.9765625, 0.953125, 0.9140625)[draws.whole(4)],
        fat=4.0 + 20.0 * draws.between(0.0, 1.0) * draws.between(0.2, 1.0),
        muscle=draws.between(0.75, 1.15) - (0.1 if female else 0.0),
        female=female,
        blood=draws.between(115.0, 190.0) if contrast else draws.between(36.0, 48.0),
        lung=draws.between(-885.0, -815.0),
        emphysema=max(0.0, draws.between(-0.8, 1.0)),
        noise=draws.between(9.0, 21.0),
        heart=draws.between(0.86, 1.12),
        heart_shift=(draws.between(-6.0, 8.0), draws.between(-6.0, 4.0)),
        domes=(draws.between(8.0, 34.0), draws.between(-4.0, 20.0)),
        ribs=draws.between(0.0, 24.0),
        bone=draws.between(0.75, 1.2),
        middle=draws.between(0.85, 1.25),
        mediastinal_fat=draws.between(0.0, 1.0),
        table=draws.whole(2),
        effusion=(2.0 * draws.whole(2) - 1.0, draws.between(28.0, 62.0) if draws.whole(5) == 0 else 200.0),
        stomach=(draws.between(0.6, 1.0), draws.between(0.0, 1.0)),
    )


class Body:
    """The surfaces of one patient, as signed distances in mm of the standard frame, negative inside."""

    def __init__(self, person: Person, draws: Draws) -> None:
        self.person = person
        self.broad = Cloud(draws, 62.0, EXTENT)
        self.bend_x = Cloud(draws, 70.0, EXTENT)
        self.bend_y = Cloud(draws, 70.0, EXTENT)
        self.medium = Cloud(draws, 24.0, EXTENT)
        self.fine = Cloud(draws, 9.0, EXTENT)

    def to_standard(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Map DICOM patient x, y to the standard frame, before the organs' own bending."""
        person = self.person
        dx, dy = x - person.place[0], y - person.place[1]
        cosine, sine = person.tilt
        across = dx * (cosine / person.width) + dy * (sine / person.width)
        return across, dy * (cosine / person.depth) - dx * (sine / person.depth)

    def to_patient(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Map the standard frame to DICOM patient x, y."""
        person = self.person
        dx, dy = x * person.width, y * person.depth
        cosine, sine = person.tilt
        return dx * cosine - dy * sine + person.place[0], dx * sine + dy * cosine + person.place[1]

    def outline(self, x: Float64, y: Float64, h: float) -> Float64:
        """Return the skin."""
        person = self.person
        trunk = ellipsoid((x * (1.0 + 0.0006 * y), y + 2.0), (_BODY_WIDTH(h) + person.fat, _BODY_DEPTH(h) + person.fat))
        across = np.abs(x)
        shape = union(trunk, self._shoulder(across, y, h) - 0.6 * person.fat, 34.0)
        if person.female:
            droop = max(1.0 - abs(h - 92.0) / 62.0, 0.0)
            breast = ellipsoid((across - 72.0, y + 88.0), (52.0, 22.0 + 26.0 * droop))
            shape = union(shape, breast + 60.0 * (1.0 - droop) * (1.0 - droop), 18.0)
        back = y - (_BODY_DEPTH(h) + 0.55 * person.fat - 4.0)  # the couch flattens the back
        return cut(shape, back, 26.0)

    def _shoulder(self, across: Float64, y: Float64, h: float) -> Float64:
        """Return one shoulder; `across` is |x|."""
        radii = (_SHOULDER_WIDTH(h), _SHOULDER_DEPTH(h))
        return ellipsoid((across - _SHOULDER_OUT(h), y - 22.0), radii)

    def flesh(self, x: Float64, y: Float64, h: float, cage: Float64) -> Float64:
        """Return where muscle begins under the fat: thickest beside the spine and at the shoulder.

        `cage` is the distance to the ribs' inner face at this height, or at 195 mm where that is lower.
        """
        bulk = self.person.muscle
        across = np.abs(x)
        trunk = cage - (9.0 + 4.0 * bulk)
        erector = ellipsoid((across - 30.0, y - 82.0), (34.0, 19.0 + 5.0 * bulk))
        front = y + (_BODY_DEPTH(h) - 27.0 - 5.0 * bulk)
        pectoral = ellipsoid((across - 66.0, front), (56.0, 9.0 + 8.0 * bulk))
        lateral = ellipsoid((across - 128.0, y - 28.0), (19.0 + 7.0 * bulk, 42.0 + 8.0 * bulk))
        shoulder = self._shoulder(across, y, h) + 4.0 + 5.0 * (1.2 - bulk)
        shape = union(trunk, erector, 12.0)
        if h > 84.0:
            shape = union(shape, pectoral + max(0.0, 108.0 - h) * 0.5 + max(0.0, h - 205.0) * 1.2, 8.0)
            shape = union(shape, lateral + max(0.0, 150.0 - h) * 0.25, 10.0)
            shape = union(shape, shoulder, 14.0)
        neck = ellipsoid((x, y - 12.0), (max(0.0, h - 150.0) * 0.9 + 1.0, 58.0))
        return union(shape, neck, 14.0) if h > 180.0 else shape

    def cage(self, x: Float64, y: Float64, h: Float64 | float) -> Float64:
        """Return the inner face of the ribs."""
        back = y - _CAGE_BACK(h)
        front = np.minimum(np.maximum(-back, 0.0), 90.0) / 90.0
        return ellipsoid((x * (1.0 + 0.14 * front * front), back), (_CAGE_WIDTH(h), _CAGE_DEPTH(h)))

    def heart(self, x: Float64, y: Float64, h: Float64 | float) -> Float64:
        """Return the heart with its atria, pericardium included."""
        size = self.person.heart
        dx, dy = x - self.person.heart_shift[0], y - self.person.heart_shift[1]
        along, beside = 0.83 * (dx - 24.0) - 0.56 * (dy + 26.0), 0.56 * (dx - 24.0) + 0.83 * (dy + 26.0)
        up = h - 46.0
        main = ellipsoid((along, beside, up), (60.0 * size, 43.0 * size, 60.0 * size))
        left = ellipsoid((dx - 2.0, dy - 14.0, h - 78.0), (36.0 * size, 19.0 * size, 24.0 * size))
        right = ellipsoid((dx + 22.0, dy + 16.0, h - 62.0), (28.0 * size, 28.0 * size, 36.0 * size))
        return union(union(main, left, 8.0), right, 10.0)

    def spine_back(self, h: float) -> float:
        """Return y of the middle of the vertebral bodies."""
        return _SPINE_BACK(h)

    def middle(self, x: Float64, y: Float64, h: Float64 | float, heart: Float64) -> Float64:
        """Return the mediastinum without its vessels: heart, the sheet from sternum to spine, the spine's bulge."""
        front = np.minimum(np.maximum(-18.0 - y, 0.0) / 46.0, 1.0)
        wide = _MIDDLE_WIDTH(h) * self.person.middle * (1.0 - 0.78 * front)
        # the lungs reach in behind the airways, before the spine
        recess = np.maximum(1.0 - np.abs(y - 30.0) * (1.0 / 20.0), 0.0)
        sheet = np.abs(x - 3.0) - wide * (1.0 - 0.5 * recess)
        spine = ellipsoid((x, y - _SPINE_BACK(h) - 8.0), (23.0, 34.0))
        return union(union(sheet, heart, 9.0), spine, 9.0)

    def domes(self, x: Float64, y: Float64, h: Float64 | float) -> Float64:
        """Return the abdomen under the diaphragm."""
        right, left = self.person.domes
        up = h + 110.0
        first = ellipsoid((x + 62.0, y + 6.0, up), (88.0, 92.0, 110.0 + right))
        second = ellipsoid((x - 66.0, y + 4.0, up), (80.0, 84.0, 110.0 + left))
        centre = ellipsoid((x, y + 30.0, up), (100.0, 62.0, 108.0))
        return union(union(first, second, 10.0), centre, 16.0)

    def lungs(self, x: Float64, y: Float64, h: Float64 | float, middle: Float64) -> Float64:
        """Return both lungs: the inside of the rib cage without the mediastinum and above the diaphragm."""
        inner = cut(self.cage(x, y, h) + 2.5, -middle, 9.0)
        return cut(inner, -self.domes(x, y, h) + 1.0, 5.0)
