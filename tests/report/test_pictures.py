from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.records import Evidence
from pytest_medgan.report.pictures import GRID, with_pictures


@pytest.fixture
def given(images: dict[str, Any]) -> dict[str, Any]:
    real, fake = images["real"], images["fair"]
    flat = [side.reshape(len(side), 8, 16, 8, 16).mean((2, 4)).reshape(len(side), 64) for side in (real, fake)]
    features = [side.astype(np.float32) for side in flat]
    return {"real_features": features[0], "fake_features": features[1], "real_pixels": real, "fake_pixels": fake}


def test_thumbnails_are_the_very_images(given: dict[str, Any]) -> None:
    drawn = with_pictures(Evidence(), **given, include_real=True, window=(-1000.0, 400.0))
    for pictures, index, pixels in (
        (drawn.thumbnails_fake, drawn.thumbnail_fake_index, given["fake_pixels"]),
        (drawn.thumbnails_real, drawn.thumbnail_real_index, given["real_pixels"]),
    ):
        assert pictures is not None
        assert index is not None
        np.testing.assert_array_equal(pictures, pixels[index, 0])
        assert set(range(GRID)) <= set(index.tolist())
    assert drawn.window == (-1000.0, 400.0)


def test_real_images_are_taken_only_when_asked_for(given: dict[str, Any]) -> None:
    evidence = Evidence(copies=np.array([[0, 1]]))
    closed = with_pictures(evidence, **given, train_pixels=given["real_pixels"])
    assert closed.thumbnails_real is closed.thumbnails_train is None
    shown = with_pictures(evidence, **given, train_pixels=given["real_pixels"], include_real=True)
    assert shown.thumbnails_train is not None
    np.testing.assert_array_equal(shown.thumbnails_train[0], given["real_pixels"][1, 0])


def test_what_the_metrics_measured_stays(given: dict[str, Any]) -> None:
    """Histograms and window that are there already are kept; the others are counted here."""
    counted = with_pictures(Evidence(), **given)
    assert counted.histogram_real is not None
    np.testing.assert_array_equal(counted.histogram_real, np.bincount(given["real_pixels"].ravel(), minlength=256))
    kept = with_pictures(Evidence(histogram_real=np.arange(256), window=(0.0, 1.0), ties=3), **given, window=(2.0, 3.0))
    assert kept.histogram_real is not None
    assert kept.histogram_real.tolist() == list(range(256))
    assert (kept.window, kept.ties) == ((0.0, 1.0), 3)


def test_progress_is_told(given: dict[str, Any]) -> None:
    heard: list[tuple[str, int, int]] = []
    with_pictures(Evidence(), **given, progress=lambda *step: heard.append(step))
    assert heard == [("placing images in the plane", 0, 1), ("placing images in the plane", 1, 1)]


def test_features_and_pixels_must_be_of_the_same_images(given: dict[str, Any]) -> None:
    with pytest.raises(MetricInputError, match="fake_features has 72 rows and fake_pixels 3"):
        with_pictures(Evidence(), **{**given, "fake_pixels": given["fake_pixels"][:3]})
