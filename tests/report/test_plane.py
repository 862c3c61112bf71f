from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.records import Evidence
from pytest_medgan.report.plane import LEAST_HEIGHT, TILE, WIDTH, frame_of, placed_thumbnails, plane

Draw = Callable[..., Evidence]


def test_point_lies_where_the_picture_shows_it(draw: Draw) -> None:
    evidence = draw("fair", include_real=True)
    drawn = plane(evidence)
    assert drawn is not None
    assert evidence.coordinates is not None
    frame = frame_of(evidence.coordinates)
    assert len(drawn.points) == len(evidence.coordinates)
    for point, (x, y) in zip(drawn.points, evidence.coordinates, strict=True):
        assert point.left == pytest.approx(50 * (x / frame.half_width + 1), abs=0.01)
        assert point.top == pytest.approx(50 * (1 - y / frame.half_height), abs=0.01)


def test_every_point_has_its_own_tile(draw: Draw) -> None:
    """Tiles are numbered within a kind, in the order of the points."""
    drawn = plane(draw("fair", include_real=True))
    assert drawn is not None
    for real in (True, False):
        side = [p for p in drawn.points if p.real is real]
        assert [p.tile for p in side] == list(range(len(side)))
        assert drawn.columns**2 >= len(side)


def test_tile_shows_the_image_of_its_point() -> None:
    """Seven generated images of one grey level each, of which the points show some in another order of rows."""
    greys = np.arange(7) * 30 + 20
    rows = np.array([6, 2, 4, 1])
    evidence = Evidence(
        coordinates=np.array([[-1, 0], [1, 0], [0, 0.5], [0, -0.5], [0.5, 0]], np.float32),
        coordinate_is_real=np.array([True, False, False, False, False]),
        coordinate_index=np.array([0, *rows]),
        thumbnails_fake=np.repeat(greys[1:], TILE * TILE).reshape(6, TILE, TILE).astype(np.uint8),
        thumbnail_fake_index=np.arange(1, 7),
    )
    drawn = plane(evidence)
    assert drawn is not None
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn.sprite_fake.partition(",")[2]))), np.int64)
    for point in drawn.points[1:]:
        top, left = (TILE * place for place in divmod(point.tile, drawn.columns))
        middle = sprite[top + TILE // 2, left + TILE // 2]
        assert abs(int(middle) - int(greys[point.index])) < 6


def test_real_points_have_no_tile_without_real_images(draw: Draw) -> None:
    drawn = plane(draw("fair"))
    assert drawn is not None
    assert drawn.sprite_real == ""
    assert all(p.tile == -1 for p in drawn.points if p.real)
    assert all(p.tile >= 0 for p in drawn.points if not p.real)


def test_note_says_where_a_point_lies(draw: Draw) -> None:
    evidence = draw("broken")
    drawn = plane(evidence)
    assert drawn is not None
    fake = next(p for p in drawn.points if not p.real)
    assert fake.note.startswith(f"generated image {fake.index}, near no real image, realism 0.")
    assert evidence.real_in_fake is not None
    for point in (p for p in drawn.points if p.real):
        near = "near generated images" if evidence.real_in_fake[point.index] else "near no generated image"
        assert point.note == f"real image {point.index}, {near}"
    bare = plane(replace(evidence, fake_in_real=None, real_in_fake=None, realism=None))
    assert bare is not None
    assert {p.note.rsplit(" ", 1)[0] for p in bare.points} == {"generated image", "real image"}


def test_frame_fits_the_points_and_fills_the_width() -> None:
    wide = frame_of(np.array([[-1.0, -0.7], [1.0, 0.7]], np.float32))
    assert wide.half_width == pytest.approx(1.12)
    assert wide.half_height == pytest.approx(0.82)
    assert wide.height == pytest.approx(WIDTH * 0.82 / 1.12)
    flat = frame_of(np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32))
    assert flat.height == pytest.approx(LEAST_HEIGHT)


def test_thumbnails_cover_neither_one_another_nor_their_point() -> None:
    at = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    tiles = np.arange(500)
    tiles[::2] = -1
    frame = frame_of(at)
    placed = placed_thumbnails(at, tiles, frame, most=40)
    assert 20 < len(placed) <= 40
    assert all(thumbnail.place % 2 for thumbnail in placed)
    centres = np.array([thumbnail.centre for thumbnail in placed])
    gaps = np.abs(centres[:, None] - centres[None]).max(-1)
    assert gaps[~np.eye(len(placed), dtype=bool)].min() > frame.thumbnail
    own = np.abs(centres - at[[thumbnail.place for thumbnail in placed]]).max(1)
    assert own.min() > 0.5 * frame.thumbnail
    assert (
        np.abs(centres) < [frame.half_width - 0.5 * frame.thumbnail, frame.half_height - 0.5 * frame.thumbnail]
    ).all()


def test_evidence_without_coordinates_has_no_plane() -> None:
    assert plane(Evidence()) is None
