from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report.accepted import with_accepted, worth_keeping


@pytest.fixture
def found() -> Evidence:
    """Evidence on 60 generated images, with pictures of real ones."""
    images = np.arange(60 * 4, dtype=np.uint8).reshape(60, 2, 2)
    return Evidence(
        fake_in_real=np.ones(60, bool),
        thumbnails_fake=images,
        thumbnail_fake_index=np.arange(60),
        thumbnails_real=images,
        thumbnail_real_index=np.arange(60),
        ks=np.array([3, 5]),
        sweep={"density": np.array([0.5, 0.6]), "real:density": np.array([1.0, 1.0])},
        prd_curve=np.array([[1.0, 0.0]]),
    )


def test_kept_evidence_has_images_and_curves_of_the_model_alone(found: Evidence) -> None:
    kept = worth_keeping(found)
    np.testing.assert_array_equal(kept.thumbnails_fake, found.thumbnails_fake[:48])  # type: ignore[index]
    assert set(kept.sweep) == {"density"}
    assert kept.count == 60
    assert kept.prd_curve is not None
    assert kept.thumbnails_real is kept.thumbnail_real_index is None


def test_kept_images_are_the_first_rows(found: Evidence) -> None:
    """The thumbnails also hold images of galleries, whose rows come later."""
    sparse = replace(found, thumbnail_fake_index=np.arange(60) * 2)
    kept = worth_keeping(sparse)
    np.testing.assert_array_equal(kept.thumbnails_fake, found.thumbnails_fake[:24])  # type: ignore[index]


def test_kept_evidence_kept_again_is_the_same(found: Evidence) -> None:
    once = worth_keeping(found)
    twice = worth_keeping(once)
    np.testing.assert_array_equal(once.thumbnails_fake, twice.thumbnails_fake)
    assert twice.count == 60


def test_accepted_samples_and_curves_are_added(found: Evidence) -> None:
    merged = with_accepted(found, worth_keeping(found))
    assert merged.thumbnails_baseline is not None
    assert len(merged.thumbnails_baseline) == 48
    assert set(merged.sweep) == {"density", "real:density", "baseline:density"}
    assert merged.prd_curve_baseline is not None


def test_curves_of_another_count_are_left_out(found: Evidence) -> None:
    """Recall and coverage depend on the number of images."""
    merged = with_accepted(found, replace(worth_keeping(found), count=120))
    assert merged.thumbnails_baseline is not None
    assert "baseline:density" not in merged.sweep
    assert merged.prd_curve_baseline is None


def test_curves_over_other_k_are_left_out(found: Evidence) -> None:
    merged = with_accepted(found, replace(worth_keeping(found), ks=np.array([3, 7])))
    assert "baseline:density" not in merged.sweep
    assert merged.prd_curve_baseline is not None


def test_without_an_accepted_model_nothing_is_added(found: Evidence) -> None:
    assert with_accepted(found, None) is found
