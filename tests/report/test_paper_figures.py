"""The paper's figures are pictures of what they are given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.records import Evidence
from pytest_medgan.report.paper_figures import plane_png, samples_png, sweep_png

RED, BLUE = (192, 38, 38), (26, 95, 180)


def pixels_of(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def close_to(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(-1) < 12).sum())


@pytest.fixture
def evidence() -> Evidence:
    rng = np.random.default_rng(0)
    return Evidence(
        coordinates=rng.normal(size=(40, 2)).astype(np.float32),
        coordinate_is_real=np.arange(40) < 20,
        coordinate_index=np.tile(np.arange(20), 2),
        thumbnails_fake=np.full((20, 32, 32), 200, np.uint8),
        thumbnail_fake_index=np.arange(20),
        ks=np.array([1, 3, 10]),
        sweep={
            "improved_precision": np.array([0.1, 0.5, 0.9]),
            "improved_recall": np.array([0.2, 0.4, 0.8]),
            "real:improved_precision": np.array([0.5, 0.9, 1.0]),
        },
    )


def test_samples_are_placed_row_by_row() -> None:
    images = (np.arange(16, dtype=np.uint8) * 10)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    picture = pixels_of(samples_png(images))[..., 0]
    assert picture.shape == (8, 32)
    assert (picture[::4, ::4] == (np.arange(16) * 10).reshape(2, 8)).all()


def test_plane_shows_both_kinds_in_their_colours(evidence: Evidence) -> None:
    picture = pixels_of(plane_png(evidence, "title"))
    assert close_to(picture, RED) > 100
    assert close_to(picture, BLUE) > 100
    assert close_to(picture, (200, 200, 200)) > 1000  # thumbnails keep their grey


def test_plane_without_thumbnails_has_points_alone(evidence: Evidence) -> None:
    bare = Evidence(
        coordinates=evidence.coordinates,
        coordinate_is_real=evidence.coordinate_is_real,
        coordinate_index=evidence.coordinate_index,
    )
    assert close_to(pixels_of(plane_png(bare, "title")), (200, 200, 200)) < 1000
    assert plane_png(Evidence(), "title") is None


def test_sweep_has_a_line_for_each_model_and_the_real_row(evidence: Evidence) -> None:
    one, two = sweep_png({"DCGAN": evidence}), sweep_png({"DCGAN": evidence, "PGGAN": evidence})
    assert one is not None
    assert one != two
    without_real = {key: curve for key, curve in evidence.sweep.items() if not key.startswith("real:")}
    assert one != sweep_png({"DCGAN": Evidence(ks=evidence.ks, sweep=without_real)})
    assert sweep_png({"DCGAN": Evidence()}) is None


def test_equal_figures_are_equal_bytes(evidence: Evidence) -> None:
    assert sweep_png({"DCGAN": evidence}) == sweep_png({"DCGAN": evidence})
    assert plane_png(evidence, "title") == plane_png(evidence, "title")
