"""Polygon filling."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.ct.polygons import fill_polygon


def test_fill_polygon_rectangle_between_pixel_centres() -> None:
    mask = fill_polygon(np.array([[1.5, 2.5], [1.5, 5.5], [4.5, 5.5], [4.5, 2.5]]), 8, 8)
    assert mask.sum() == 9
    assert mask[2:5, 3:6].all()


def test_fill_polygon_neighbours_share_no_pixel_and_leave_no_gap() -> None:
    left = fill_polygon(np.array([[0.0, 0.0], [0.0, 4.0], [8.0, 4.0], [8.0, 0.0]]), 10, 10)
    right = fill_polygon(np.array([[0.0, 4.0], [0.0, 9.0], [8.0, 9.0], [8.0, 4.0]]), 10, 10)
    assert not (left & right).any()
    assert (left | right)[:8, :9].all()


def test_fill_polygon_beyond_the_image_is_cut_off() -> None:
    mask = fill_polygon(np.array([[-5.0, -5.0], [-5.0, 20.0], [20.0, 20.0], [20.0, -5.0]]), 8, 8)
    assert mask.all()


@pytest.mark.parametrize("seed", range(8))
def test_fill_polygon_equals_an_independent_rule(seed: int) -> None:
    """matplotlib's winding test agrees on a star-shaped polygon wherever no centre lies on an edge."""
    path = pytest.importorskip("matplotlib.path")
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 17))
    radius = random.uniform(4, 15, 17)
    corners = np.stack([20.3 + radius * np.sin(angle), 18.7 + radius * np.cos(angle)], axis=1)
    row, column = np.mgrid[:40, :40]
    expected = path.Path(corners).contains_points(np.stack([row.ravel(), column.ravel()], axis=1)).reshape(40, 40)
    assert (fill_polygon(corners, 40, 40) == expected).all()
