"""Anomaly rate: known shares, errors, evidence and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import anomaly_rate, fit_heads, measure, prepare_reference
from pytest_medgan.metrics.anomalies import flagged_shares
from pytest_medgan.metrics.uncertainty import hits_se, mean_se
from pytest_medgan.records import Alteration, Cause

PATIENT = np.arange(600) // 6
COLUMN = {Alteration.UPSIDE_DOWN: 0, Alteration.NOISE: 1}


def real_features(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)


def altered(seed: int, count: int, name: Alteration) -> np.ndarray:
    rows = real_features(seed, count)
    rows[:, COLUMN[name]] += 7
    return rows


REAL = real_features(0, 600)
ALTERED = {name: altered(1 + place, 600, name) for name, place in COLUMN.items()}


def rate(fake: np.ndarray) -> float:
    return anomaly_rate(real=REAL, altered=ALTERED, fake=fake, groups=PATIENT)


@pytest.fixture(scope="module")
def reference():
    return prepare_reference(REAL, groups=PATIENT, metrics=["anomaly_rate"], heads=fit_heads(REAL, ALTERED, PATIENT))


def test_rate_is_two_percent_of_real_images_and_all_of_altered_ones():
    assert 0.005 < rate(real_features(5, 4000)) < 0.04
    for name in COLUMN:
        assert rate(altered(6, 1000, name)) > 0.99


def test_a_tenth_of_altered_images_adds_a_tenth():
    fake = real_features(5, 4000)
    some = fake.copy()
    some[:400] = altered(7, 400, Alteration.NOISE)
    assert rate(some) - rate(fake) == pytest.approx(0.1, abs=0.006)


def test_rate_does_not_depend_on_the_number_of_images():
    fake = np.concatenate([real_features(5, 900), altered(7, 100, Alteration.NOISE)])
    assert rate(np.tile(fake, (3, 1))) == rate(fake)
    parts = [rate(fake[start::10]) for start in range(10)]
    assert np.mean(parts) == pytest.approx(rate(fake))


def test_rate_is_a_mean_over_both_sets_of_heads(reference):
    fake = np.concatenate([real_features(5, 300), altered(7, 60, Alteration.NOISE)])
    heads = reference.heads
    by_hand = [
        np.mean(
            [max(image @ heads.weights[fold][:, h] + heads.offsets[fold][h] for h in range(2)) > 0 for image in fake]
        )
        for fold in range(2)
    ]
    found = measure(reference, fake=fake, metrics=["anomaly_rate"], contributions=True)
    assert found.estimates["anomaly_rate"].value == np.mean(by_hand) == rate(fake)
    assert found.contributions["anomaly_rate"].units == pytest.approx(flagged_shares(heads, fake))


def test_errors_are_those_of_a_rate_and_of_the_thresholds(reference):
    fake = np.concatenate([real_features(5, 500), altered(7, 60, Alteration.NOISE) - np.float32(4)])
    found = measure(reference, fake=fake, metrics=["anomaly_rate"]).estimates["anomaly_rate"]
    heads = reference.heads
    hits = flagged_shares(heads, fake)
    assert found.se == hits_se(hits)
    cuts = np.quantile(heads.real, [0.97, 0.99])
    shares = [(heads.margins(fake).max(2) > cut).mean() for cut in cuts]
    slope = (shares[0] - shares[1]) / 0.02
    assert found.se_total == pytest.approx(np.hypot(found.se, slope * mean_se(heads.real > 0, PATIENT)))
    assert found.se_total > found.se


def test_total_error_covers_the_spread_over_references():
    """Twenty references of other patients against one generated set: most of the spread is in the total error."""
    fake = np.concatenate([real_features(5, 2000), altered(7, 200, Alteration.NOISE) - np.float32(4.5)])
    values, parts = [], []
    for turn in range(20):
        real = real_features(100 + turn, 600)
        other = {name: altered(200 + 20 * place + turn, 600, name) for name, place in COLUMN.items()}
        reference = prepare_reference(
            real, groups=PATIENT, metrics=["anomaly_rate"], heads=fit_heads(real, other, PATIENT)
        )
        found = measure(reference, fake=fake, metrics=["anomaly_rate"]).estimates["anomaly_rate"]
        values.append(found.value)
        parts.append(found.se_total**2 - found.se**2)
    claimed, true = np.sqrt(np.mean(parts)), np.std(values, ddof=1)
    assert 0.5 * true < claimed < 2 * true


def test_images_of_one_patient_are_redrawn_together(reference):
    fake = np.repeat(np.concatenate([real_features(5, 90), altered(7, 10, Alteration.NOISE)]), 8, 0)
    single = measure(reference, fake=fake, metrics=["anomaly_rate"]).estimates["anomaly_rate"]
    grouped = measure(reference, fake=fake, metrics=["anomaly_rate"], fake_groups=np.arange(800) // 8).estimates
    assert grouped["anomaly_rate"].se > 2 * single.se


def test_evidence_names_flagged_images_and_what_is_wrong(reference):
    fake = np.concatenate(
        [real_features(5, 100), altered(7, 5, Alteration.UPSIDE_DOWN), altered(8, 5, Alteration.NOISE)]
    )
    pairs = measure(reference, fake=fake, metrics=["anomaly_rate"], evidence=True).evidence.anomalies
    order = list(Alteration)
    named = {int(row): order[place] for row, place in pairs}
    assert [named[row] for row in range(100, 110)] == [Alteration.UPSIDE_DOWN] * 5 + [Alteration.NOISE] * 5
    assert len([row for row in named if row < 100]) < 6


def test_maps_are_what_heads_look_at(reference):
    features, maps = np.zeros((50, 5)), altered(7, 50, Alteration.NOISE)
    found = measure(reference, fake=features, maps=maps, metrics=["anomaly_rate"]).estimates["anomaly_rate"]
    assert found.value == 1


def test_reference_without_heads_is_a_cause():
    found = measure(prepare_reference(REAL, metrics=["anomaly_rate"]), fake=REAL[:50], metrics=["anomaly_rate"])
    assert found.causes == {"anomaly_rate": Cause.NO_HEADS}


def test_arrays_that_do_not_fit_are_refused(reference):
    with pytest.raises(MetricInputError, match=r"altered\[noise\] has 599 rows but real has 600"):
        anomaly_rate(real=REAL, altered={Alteration.NOISE: REAL[:599]}, fake=REAL)
    with pytest.raises(MetricInputError, match="real has 100 rows; give at least 200 images of 8 patients"):
        anomaly_rate(real=REAL[:100], altered={Alteration.NOISE: REAL[:100] + 5}, fake=REAL)
    with pytest.raises(MetricInputError, match="fake has shape"):
        anomaly_rate(real=REAL, altered=ALTERED, fake=REAL[:, :3])
    with pytest.raises(MetricInputError, match="maps has 9 rows but fake has 10"):
        measure(reference, fake=REAL[:10], maps=REAL[:9], metrics=["anomaly_rate"])
