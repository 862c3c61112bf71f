from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report.plane import EDGE, framed, plane

Draw = Callable[..., Evidence]


def test_a_point_lies_where_the_picture_shows_it(draw: Draw) -> None:
    evidence = draw("fair", include_real=True)
    drawn = plane(evidence)
    assert drawn is not None
    assert evidence.coordinates is not None
    assert len(drawn.points) == len(evidence.coordinates)
    for point, (x, y) in zip(drawn.points, evidence.coordinates, strict=True):
        assert point.left == pytest.approx(50 * (x / EDGE + 1), abs=0.01)
        assert point.top == pytest.approx(50 * (1 - y / EDGE), abs=0.01)


def test_every_point_finds_its_own_picture(draw: Draw) -> None:
    """The tile's number counts the side's points, and the sprite holds them in that order."""
    drawn = plane(draw("fair", include_real=True))
    assert drawn is not None
    for real in (True, False):
        side = [p for p in drawn.points if p.real is real]
        assert [p.tile for p in side] == list(range(len(side)))
        assert drawn.columns**2 >= len(side)


def test_without_real_pictures_real_points_have_none(draw: Draw) -> None:
    drawn = plane(draw("fair"))
    assert drawn is not None
    assert drawn.sprite_real == ""
    assert all(p.tile == -1 for p in drawn.points if p.real)
    assert all(p.tile >= 0 for p in drawn.points if not p.real)


def test_notes_say_where_a_point_lies(draw: Draw) -> None:
    evidence = draw("broken")
    drawn = plane(evidence)
    assert drawn is not None
    fake = next(p for p in drawn.points if not p.real)
    assert fake.note.startswith(f"generated image {fake.index}, outside the real manifold, realism 0.")
    bare = plane(replace(evidence, fake_in_real=None, real_in_fake=None, realism=None))
    assert bare is not None
    assert {p.note.rsplit(" ", 1)[0] for p in bare.points} == {"generated image", "real image"}


def test_thumbnails_do_not_cover_one_another() -> None:
    at = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    tiles = np.arange(500)
    tiles[::2] = -1
    kept = framed(at, tiles, most=40)
    assert 20 < len(kept) <= 40
    assert all(place % 2 for place in kept)
    gaps = np.abs(at[list(kept)][:, None] - at[list(kept)][None]).max(-1)
    assert gaps[~np.eye(len(kept), dtype=bool)].min() > 2 * EDGE * 26 / (72 * 7)


def test_no_coordinates_no_plane() -> None:
    assert plane(Evidence()) is None
