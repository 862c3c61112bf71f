"""Measures of anatomy: tissues by hand, outlines against a flood fill, noise of known level and grain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pytest_medgan.metrics.anatomy import MEASURES, measure_anatomy

WINDOW = (-1000.0, 400.0)


def grey(hu: float) -> int:
    return round((hu + 1000) / 1400 * 255)


def body(lung_open: bool = False) -> np.ndarray:
    """A square of soft tissue in air, with a square of lung in it, from which a channel may lead outside."""
    image = np.zeros((1, 1, 64, 64), np.uint8)
    image[..., 8:56, 8:56] = grey(50)
    image[..., 24:40, 24:40] = grey(-800)
    if lung_open:
        image[..., 40:56, 30:32] = grey(-900)
    return image


def measured(image: np.ndarray) -> dict[str, float]:
    return dict(zip(MEASURES, measure_anatomy(image, WINDOW)[0], strict=True))


def test_shares_of_tissues_are_those_of_the_drawing():
    image = body()
    image[..., 10:12, 10:20] = grey(-100)
    image[..., 44:54, 44:54] = grey(300)
    found = measured(image)
    assert found["air"] == pytest.approx(1 - 48**2 / 64**2)
    assert found["lung"] == pytest.approx(16**2 / 64**2)
    assert found["fat"] == pytest.approx(20 / 64**2)
    assert found["bone"] == pytest.approx(100 / 64**2)
    assert found["soft tissue"] == pytest.approx((48**2 - 16**2 - 20 - 100) / 64**2)


@pytest.mark.parametrize(
    ("hu", "tissue"), [(-990, "air"), (-600, "lung"), (-60, "fat"), (0, "soft tissue"), (200, "bone")]
)
def test_every_tissue_has_its_interval(hu: float, tissue: str):
    found = measured(np.full((1, 1, 32, 32), grey(hu), np.uint8))
    assert {name for name in MEASURES[:5] if found[name] == 1} == {tissue}


@pytest.mark.parametrize(
    ("hu", "tissue"),
    [(-951, "air"), (-950, "lung"), (-500, "lung"), (-499, None), (-191, None), (-190, "fat"), (-30, "fat"),
     (-29, "soft tissue"), (150, "soft tissue"), (151, "bone")],
)  # fmt: skip
def test_ends_of_intervals_belong_to_their_tissue(hu: int, tissue: str | None):
    image = np.full((1, 1, 32, 32), 100, np.uint8)  # one HU a grey level
    found = dict(zip(MEASURES, measure_anatomy(image, (hu - 100.0, hu + 155.0))[0], strict=True))
    assert {name for name in MEASURES[:5] if found[name] == 1} == ({tissue} if tissue else set())
    assert found["air at border"] == found["air outside"] == (hu < -500)


def test_white_has_the_upper_end_of_the_window():
    white = np.full((1, 1, 32, 32), 255, np.uint8)
    assert measure_anatomy(white, (0.0, 151.0))[0, MEASURES.index("bone")] == 1
    assert measure_anatomy(white, (0.0, 150.0))[0, MEASURES.index("soft tissue")] == 1


def test_border_has_four_sides():
    for side in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
        image = np.full((1, 1, 32, 32), grey(50), np.uint8)
        image[0, 0][side] = grey(-900)
        assert measured(image)["air at border"] == pytest.approx(32 / 124)
        assert measured(image)["air outside"] == pytest.approx(32 / 32**2)


def test_open_outline_joins_the_lung_with_the_air_outside():
    closed, opened = measured(body()), measured(body(lung_open=True))
    assert closed["air outside"] == pytest.approx(1 - 48**2 / 64**2)
    assert opened["air outside"] == pytest.approx(1 - 48**2 / 64**2 + (16**2 + 32) / 64**2)
    assert closed["air at border"] == opened["air at border"] == 1
    assert measured(np.full((1, 1, 32, 32), grey(40), np.uint8))["air at border"] == 0


def test_air_outside_equals_a_flood_fill_from_the_border():
    rng = np.random.default_rng(0)
    images = (ndimage.gaussian_filter(rng.standard_normal((6, 40, 48)), (0, 2, 2)) > 0).astype(np.uint8)[:, None] * 200
    for image, share in zip(
        images[:, 0], measure_anatomy(images, WINDOW)[:, MEASURES.index("air outside")], strict=True
    ):
        air = image == 0
        reached = np.zeros_like(air)
        while True:
            wider = np.pad(reached, 1, constant_values=True)
            spread = wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:] | reached
            if (spread & air == reached).all():
                break
            reached = spread & air
        assert share == reached.mean()


def test_noise_has_its_level_and_grain():
    rng = np.random.default_rng(1)
    white = rng.standard_normal((20, 1, 128, 128))
    coarse = ndimage.gaussian_filter(white, (0, 0, 1.5, 1.5))
    plane = 100 + 0.2 * np.arange(128)
    level, grain = {}, {}
    for name, noise in (("white", 8 * white), ("half", 4 * white), ("coarse", 8 * coarse / coarse.std())):
        images = (plane + noise).round().clip(1, 254).astype(np.uint8)
        level[name], grain[name] = np.median(measure_anatomy(images, WINDOW)[:, -2:], axis=0)
    assert -0.15 < level["white"] - np.log(8 / 2) < 0  # means of 2x2 halve it; flat blocks are quieter than others
    assert level["white"] - level["half"] == pytest.approx(np.log(2), abs=0.05)
    assert grain["white"] == pytest.approx(np.log(2), abs=0.1)  # means of 4x4 halve it again
    assert grain["half"] == pytest.approx(grain["white"], abs=0.1)
    assert grain["coarse"] < grain["white"] - 0.5


def test_noise_is_unknown_where_all_is_black_white_or_too_small():
    black, small = np.zeros((1, 1, 64, 64), np.uint8), np.full((1, 1, 16, 16), 100, np.uint8)
    for images in (black, black + np.uint8(255), small):
        assert np.isnan(measure_anatomy(images, WINDOW)[:, -2:]).all()
        assert not np.isnan(measure_anatomy(images, WINDOW)[:, :-2]).any()


@pytest.mark.parametrize(("blocks", "known"), [(3, False), (4, True)])
def test_noise_needs_four_blocks_without_black_or_white(blocks: int, known: bool):
    image = np.zeros((1, 1, 64, 64), np.uint8)
    image[..., 8:16, : 8 * blocks] = np.random.default_rng(3).integers(100, 120, (8, 8 * blocks))
    assert np.isfinite(measure_anatomy(image, WINDOW)[:, -2:]).all() == known


def test_order_and_number_of_images_do_not_matter():
    images = np.random.default_rng(2).integers(0, 256, (9, 1, 50, 43), dtype=np.uint8)
    found = measure_anatomy(images, WINDOW)
    assert (measure_anatomy(images[::-1], WINDOW)[::-1] == found).all()
    assert (measure_anatomy(images[4:5], WINDOW) == found[4:5]).all()
