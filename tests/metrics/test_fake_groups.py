"""Errors where generated images are not independent: real held-out images, of which a patient has several."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.catalogue import NAMES, Metric
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import CustomMetric, measure, prepare_reference
from pytest_medgan.metrics.ms_ssim import _pairs_se
from pytest_medgan.metrics.uncertainty import hits_se, mean_se, rate_se

PATIENTS, SLICES = 24, 4
MIXING = np.random.default_rng(0).standard_normal((3, 6))
CALIBRATED = ("inception_score", "fid", "kid", "improved_precision", "improved_recall", "density", "coverage")
CALIBRATED += ("authenticity", "intensity_distance", "ms_ssim")


def draw(rng: np.random.Generator, patients: int = PATIENTS, spread: float = 0.15):
    """Features float32 [patients*SLICES,6], images and class probabilities; the slices of a patient are alike."""
    latent = np.repeat(rng.standard_normal((patients, 3)), SLICES, 0)
    latent = latent + spread * rng.standard_normal(latent.shape)
    rows, columns = np.mgrid[:16, :16]
    bright = np.exp(-((rows - 8 - 2 * latent[:, :1, None]) ** 2 + (columns - 8) ** 2) / 20)
    images = (80 + 15 * latent[:, 1, None, None] + 80 * bright).clip(0, 255).astype(np.uint8)[:, None]
    features = (latent @ MIXING + 0.05 * rng.standard_normal((len(latent), 6))).astype(np.float32)
    odds = np.exp(latent[:, :2] * 1.5)
    return features, images, odds / odds.sum(1, keepdims=True)


GROUP = np.repeat(np.arange(PATIENTS), SLICES)


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(1)
    real, pixels, _ = draw(rng, 40)
    train, train_pixels, _ = draw(rng, 40)
    patient = np.repeat(np.arange(40), SLICES)
    return prepare_reference(
        real, groups=patient, pixels=pixels, train=train, train_groups=patient, train_pixels=train_pixels
    )


def battery(reference, sample, groups, metrics=CALIBRATED):
    features, pixels, probabilities = sample
    return measure(
        reference, fake=features, pixels=pixels, probabilities=probabilities, fake_groups=groups, metrics=metrics
    ).estimates


def test_errors_by_patient_are_the_spread_over_new_patients(reference):
    """Errors by patient are 0.7 to 2 times the true error; errors by slice are smaller, except recall and coverage."""
    values = {name: [] for name in CALIBRATED}
    grouped, single = ({name: [] for name in CALIBRATED} for _ in range(2))
    for turn in range(60):
        sample = draw(np.random.default_rng([2, turn]))
        ours, theirs = battery(reference, sample, GROUP), battery(reference, sample, None)
        for name in CALIBRATED:
            values[name].append(ours[name].value)
            grouped[name].append(ours[name].se)
            single[name].append(theirs[name].se)
            assert ours[name].value == theirs[name].value
            assert ours[name].se_total >= ours[name].se
    for name in CALIBRATED:
        true = np.std(values[name], ddof=1)
        by_patient, by_slice = (np.sqrt(np.mean(np.square(claims[name]))) / true for claims in (grouped, single))
        assert 0.7 < by_patient < 2.0, (name, by_patient)
        if name not in ("improved_recall", "coverage"):
            assert by_patient > 1.15 * by_slice, (name, by_patient, by_slice)


@pytest.mark.slow
def test_errors_of_prd_by_patient_are_the_spread_over_new_patients(reference):
    names = ("precision", "recall")
    found = [battery(reference, draw(np.random.default_rng([3, turn])), GROUP, names) for turn in range(60)]
    for name in names:
        claimed = np.sqrt(np.mean([each[name].se ** 2 for each in found]))
        assert 0.6 < claimed / np.std([each[name].value for each in found], ddof=1) < 2.0, name


def test_prd_by_patient_has_larger_errors(reference):
    """Halves of patients spread more than halves of slices; influence by patient wherever there is any."""
    larger, names = 0, ("precision", "recall")
    for seed in range(3):
        sample = draw(np.random.default_rng([4, seed]))
        grouped, single = battery(reference, sample, GROUP, names), battery(reference, sample, None, names)
        for name in names:
            assert grouped[name].value == single[name].value
            assert grouped[name].se_total > 1.05 * single[name].se_total
            larger += grouped[name].se > 1.1 * single[name].se
    assert larger >= 3


def test_images_in_groups_of_their_own_are_independent(reference):
    sample = draw(np.random.default_rng(5))
    grouped, single = (battery(reference, sample, groups, NAMES) for groups in (np.arange(96)[::-1], None))
    for name in grouped:
        assert grouped[name].value == single[name].value
        assert grouped[name].se == pytest.approx(single[name].se, rel=0.05), name


def test_repeated_images_in_one_group_count_as_one(reference):
    features, pixels, probabilities = draw(np.random.default_rng(6))
    names = ("density", "intensity_distance", "authenticity", "improved_precision")
    plain = battery(reference, (features, pixels, probabilities), None, names)
    thrice = tuple(np.repeat(each, 3, 0) for each in (features, pixels, probabilities))
    grouped = battery(reference, thrice, np.repeat(np.arange(96), 3), names)
    for name in names:
        assert grouped[name].se == pytest.approx(plain[name].se, rel=1e-6 if name in names[:2] else 0.05), name


def test_error_of_duplicates_within_groups_is_that_of_groups():
    """Six of 24 groups hold four equal images each: the rate has the error of a mean over groups."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (96, 1, 16, 16), dtype=np.uint8)
    for patient in range(6):
        images[patient == GROUP] = images[patient == GROUP][:1]
    features = rng.standard_normal((96, 4))
    real = prepare_reference(features, pixels=rng.integers(0, 256, (96, 1, 16, 16), dtype=np.uint8))
    found = measure(real, fake=features, pixels=images, fake_groups=GROUP, metrics=["duplicate_rate"])
    estimate = found.estimates["duplicate_rate"]
    assert estimate.value == 0.25
    assert estimate.se == pytest.approx(mean_se((GROUP < 6).astype(float), GROUP), rel=1e-9)


def test_duplicates_between_two_groups_vanish_with_either():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)
    images[20:24] = images[:4]
    features, group = rng.standard_normal((40, 4)), np.arange(40) // 4
    real = prepare_reference(features, pixels=rng.integers(0, 256, (40, 1, 16, 16), dtype=np.uint8))
    found = measure(real, fake=features, pixels=images, fake_groups=group, metrics=["duplicate_rate"])
    without = np.where(np.isin(np.arange(10), [0, 5]), 0, 8) / 36  # the rate without each group
    pseudo = 10 * 0.2 - 9 * without
    assert found.estimates["duplicate_rate"].se == pytest.approx(np.sqrt(np.mean((pseudo - pseudo.mean()) ** 2) / 9))


def test_error_of_a_rate_by_group():
    hits = np.repeat([1.0, 0.0], 48)
    assert hits_se(hits) == rate_se(48, 96)
    assert hits_se(hits, GROUP) == pytest.approx(mean_se(hits, GROUP), rel=0.05)
    spread = np.tile([1.0, 0.0], 48)  # every group half: the rate of single images remains
    assert hits_se(spread, GROUP) == rate_se(48, 96)
    assert hits_se(np.ones(96), GROUP) > 0.001
    assert np.isnan(hits_se(hits, np.zeros(96, int)))


def test_error_of_pairs_that_share_groups_equals_the_definition():
    rng = np.random.default_rng(0)
    values, rows, group = rng.standard_normal(30), rng.permutation(60).reshape(30, 2), np.arange(60) // 10
    values += rng.standard_normal(6)[group[rows]].sum(1)
    residual, total = values - values.mean(), 0.0
    for p in range(30):
        for q in range(30):
            shared = sum(int(a == b) for a in set(group[rows[p]]) for b in set(group[rows[q]]))
            total += residual[p] * residual[q] * (1 if p == q else shared)
    expected = np.sqrt(6 / 5 * total) / 30
    assert expected > mean_se(values)
    assert _pairs_se(values, rows, group) == pytest.approx(expected)
    assert _pairs_se(values, rows, None) == mean_se(values)
    assert np.isnan(_pairs_se(values, rows, np.zeros(60, int)))


def test_custom_metric_deletes_whole_groups(reference):
    features, _, _ = draw(np.random.default_rng(7))
    seen = []

    def mean(*, real, fake):
        seen.append(len(fake))
        return float(fake[:, 0].mean())

    custom = CustomMetric(Metric("mean", "Mean", True, -1.0, 1.0, "a user", True), mean)
    found = measure(reference, fake=features, fake_groups=GROUP, metrics=(), custom=[custom]).estimates["mean"]
    assert {96 - count for count in seen} <= {0, SLICES, 2 * SLICES}
    assert found.se == pytest.approx(mean_se(features[:, 0].astype(np.float64), GROUP), rel=0.15)


def test_groups_of_another_length_are_refused(reference):
    features, _, _ = draw(np.random.default_rng(8))
    with pytest.raises(MetricInputError, match=r"fake_groups has shape \[95\]; give one group for each of the 96 rows"):
        measure(reference, fake=features, fake_groups=GROUP[:95], metrics=["density"])
