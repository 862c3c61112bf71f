"""Memorised rate: known copies, thresholds from new patients, errors, evidence and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import measure, memorised_rate, prepare_reference
from pytest_medgan.metrics.memory import FEATURE_ALARMS, PIXEL_ALARMS, new_rows, prepare_memory
from pytest_medgan.metrics.uncertainty import hits_se, mean_se
from pytest_medgan.records import Cause


def pictures(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.standard_normal((count, 64, 64)), (0, 2, 2))
    return (128 + 40 * coarse / coarse.std()).clip(0, 255).astype(np.uint8)[:, None]


TRAIN, REAL, FAKE = pictures(60, 0), pictures(600, 1), pictures(100, 2)
TRAIN_PATIENT = np.array([f"T{row // 3}" for row in range(60)])
PATIENT = np.array([f"R{row // 2}" for row in range(600)])
NAMES = ["memorised_rate"]


def with_copies() -> np.ndarray:
    """Generated images of which 10 repeat training images 0 to 9, mirrored, shifted by three pixels and darker."""
    images = FAKE.copy()
    images[20:30] = np.roll(TRAIN[:10, :, :, ::-1], 3, 3) // 2
    return images


def features(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)


def reference(**changes):
    given = {
        "groups": PATIENT,
        "pixels": REAL,
        "train": features(60, 4),
        "train_pixels": TRAIN,
        "train_groups": TRAIN_PATIENT,
        "metrics": NAMES,
    }
    return prepare_reference(features(600, 3), **(given | changes))


def test_copies_that_no_pixel_comparison_sees_are_counted():
    assert memorised_rate(fake=with_copies(), train=TRAIN, real=REAL) == pytest.approx(0.1, abs=0.02)
    assert memorised_rate(fake=FAKE, train=TRAIN, real=REAL) <= 0.02
    assert memorised_rate(fake=TRAIN, train=TRAIN, real=REAL) == 1


def test_real_images_of_new_patients_count_as_rarely_as_stated():
    memory = prepare_memory(TRAIN, REAL)
    assert memory.null.mean() == pytest.approx(PIXEL_ALARMS, abs=1 / 600)
    assert memorised_rate(fake=pictures(600, 9), train=TRAIN, real=REAL) < 0.02


def test_images_near_in_features_alone_count():
    found = measure(reference(), fake=features(100, 5), pixels=FAKE, metrics=NAMES).estimates
    near = features(100, 5)
    near[40:60] = features(60, 4)[:20] + np.float32(1e-3)
    moved = measure(reference(), fake=near, pixels=FAKE, metrics=NAMES).estimates
    assert moved["memorised_rate"].value - found["memorised_rate"].value == pytest.approx(0.2, abs=0.02)


def test_distance_in_features_is_that_of_the_nearest_new_patients():
    distances = np.arange(1.0, 601.0)
    assert prepare_memory(TRAIN, REAL, distances).distance == np.quantile(distances, FEATURE_ALARMS, method="lower")
    assert prepare_memory(TRAIN, REAL).distance is None


def test_errors_are_those_of_a_rate_and_of_the_real_images_that_count():
    ready = reference()
    found = measure(ready, fake=features(100, 5), pixels=with_copies(), metrics=NAMES, contributions=True)
    estimate, hits = found.estimates["memorised_rate"], found.contributions["memorised_rate"].units
    assert estimate.value == hits.mean()
    assert estimate.se == hits_se(hits)
    assert estimate.se_total == pytest.approx(np.hypot(estimate.se, mean_se(ready.memory.null, np.arange(600) // 2)))


def test_evidence_names_pairs_patients_and_the_attack():
    found = measure(reference(), fake=features(100, 5), pixels=with_copies(), metrics=NAMES, evidence=True).evidence
    pairs = dict(found.memorised.tolist())
    assert [pairs[row] for row in range(20, 30)] == list(range(10))
    copied, every, by_chance = found.memorised_patients
    assert 4 <= copied <= 5
    assert every == 20
    assert by_chance == pytest.approx(100 / 601)
    area, error = found.membership
    assert abs(area - 0.5) < 4 * error
    assert 0.03 < error < 0.15


def test_patients_of_reference_and_training_set_do_not_set_thresholds():
    shared = np.concatenate([TRAIN_PATIENT, PATIENT[60:]])
    assert new_rows(shared, TRAIN_PATIENT, 600).tolist() == list(range(60, 600))
    assert new_rows(None, TRAIN_PATIENT, 5).tolist() == [0, 1, 2, 3, 4]
    pixels = REAL.copy()
    pixels[:60] = TRAIN
    found = measure(
        reference(groups=shared, pixels=pixels), fake=features(100, 5), pixels=with_copies(), metrics=NAMES
    ).estimates
    assert found["memorised_rate"].value == pytest.approx(0.1, abs=0.03)


def test_what_is_missing_is_a_cause():
    def cause(ready, pixels=FAKE):
        return measure(ready, fake=features(100, 5), pixels=pixels, metrics=NAMES).causes["memorised_rate"]

    assert cause(reference(train=None, train_pixels=None, train_groups=None)) is Cause.NO_TRAINING_IMAGES
    assert cause(reference(groups=np.resize(TRAIN_PATIENT, 600))) is Cause.NO_NEW_PATIENTS
    assert cause(reference(), None) is Cause.NO_PIXELS


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(MetricInputError, match=r"train has shape \[60, 1, 64, 32\] but other images are 64x64"):
        memorised_rate(fake=FAKE, train=TRAIN[..., :32], real=REAL)
    with pytest.raises(MetricInputError, match="real is float64"):
        memorised_rate(fake=FAKE, train=TRAIN, real=REAL.astype(float))
