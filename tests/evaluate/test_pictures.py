from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.evaluate.pictures import with_pictures
from pytest_medgan.records import Evidence, ImageSet
from pytest_medgan.report.selection import GRID


@pytest.fixture
def given() -> dict[str, Any]:
    """Sixty real images of twenty patients and as many generated ones, of 8 x 8, with features."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 60, 1, 8, 8), dtype=np.uint8)
    patients = np.array([f"{i // 3:02d}" for i in range(60)])
    return {
        "real": ImageSet(pixels[0], patients, "real", window=(-1000.0, 400.0)),
        "fake": ImageSet(pixels[1], np.full(60, "0"), "fake"),
        "real_features": pixels[0].reshape(60, 64).astype(np.float32),
        "fake_features": pixels[1].reshape(60, 64).astype(np.float32),
    }


def test_thumbnails_are_the_images_of_their_rows(given: dict[str, Any]) -> None:
    drawn = with_pictures(Evidence(), **given, include_real=True)
    for pictures, index, images in (
        (drawn.thumbnails_fake, drawn.thumbnail_fake_index, given["fake"]),
        (drawn.thumbnails_real, drawn.thumbnail_real_index, given["real"]),
    ):
        assert pictures is not None
        assert index is not None
        np.testing.assert_array_equal(pictures, images.pixels[index, 0])
    assert drawn.thumbnail_fake_index is not None
    assert set(range(GRID)) <= set(drawn.thumbnail_fake_index.tolist())
    assert drawn.window == (-1000.0, 400.0)


def test_contact_sheet_holds_every_patient(given: dict[str, Any]) -> None:
    drawn = with_pictures(Evidence(), **given, include_real=True)
    assert drawn.real_samples is not None
    assert len(drawn.real_samples) == GRID
    assert {0, 3, 57} <= set(drawn.real_samples.tolist())
    assert len(set(given["real"].groups[drawn.real_samples])) == 20


def test_real_images_are_kept_only_when_asked_for(given: dict[str, Any]) -> None:
    evidence = Evidence(copies=np.array([[0, 1]]))
    closed = with_pictures(evidence, **given, train=given["real"])
    assert closed.thumbnails_real is closed.thumbnails_train is None
    shown = with_pictures(evidence, **given, train=given["real"], include_real=True)
    assert shown.thumbnails_train is not None
    np.testing.assert_array_equal(shown.thumbnails_train[0], given["real"].pixels[1, 0])


def test_unknown_training_images_have_no_thumbnails(given: dict[str, Any]) -> None:
    shown = with_pictures(Evidence(copies=np.array([[0, 1]])), **given, include_real=True)
    assert shown.thumbnails_train is shown.thumbnail_train_index is None


def test_known_histograms_and_window_are_kept(given: dict[str, Any]) -> None:
    counted = with_pictures(Evidence(), **given)
    for counts, side in ((counted.histogram_real, "real"), (counted.histogram_fake, "fake")):
        assert counts is not None
        np.testing.assert_array_equal(counts, np.bincount(given[side].pixels.ravel(), minlength=256))
    kept = with_pictures(Evidence(histogram_real=np.arange(256), window=(0.0, 1.0), ties=3), **given)
    assert kept.histogram_real is not None
    assert kept.histogram_real.tolist() == list(range(256))
    assert (kept.window, kept.ties) == ((0.0, 1.0), 3)


def test_progress_reports_the_projection(given: dict[str, Any]) -> None:
    heard: list[tuple[str, int, int]] = []
    with_pictures(Evidence(), **given, progress=lambda *step: heard.append(step))
    assert heard == [("placing images in the plane", 0, 1), ("placing images in the plane", 1, 1)]


@pytest.mark.parametrize("side", ["real", "fake"])
def test_features_of_other_images_are_refused(given: dict[str, Any], side: str) -> None:
    few = given[side].take(slice(0, 3))
    with pytest.raises(MetricInputError, match=f"{side}_features has 60 rows and {side} 3 images"):
        with_pictures(Evidence(), **{**given, side: few})


def test_thumbnails_of_colours_keep_their_channels(given: dict[str, Any]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    colour = {**given, "fake": ImageSet(pixels, np.full(60, "0"), "fake")}
    drawn = with_pictures(Evidence(), **colour)
    assert drawn.thumbnails_fake is not None
    np.testing.assert_array_equal(drawn.thumbnails_fake, pixels[drawn.thumbnail_fake_index].transpose(0, 2, 3, 1))
    assert drawn.histogram_fake is not None
    for channel, counts in enumerate(drawn.histogram_fake):
        np.testing.assert_array_equal(counts, np.bincount(pixels[:, channel].ravel(), minlength=256))


def test_thumbnails_of_volumes_are_their_middle_slices(given: dict[str, Any]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 1, 5, 8, 8), dtype=np.uint8)
    drawn = with_pictures(Evidence(), **{**given, "fake": ImageSet(pixels, np.full(60, "0"), "fake")})
    assert drawn.thumbnails_fake is not None
    np.testing.assert_array_equal(drawn.thumbnails_fake, pixels[drawn.thumbnail_fake_index, 0, 2])
