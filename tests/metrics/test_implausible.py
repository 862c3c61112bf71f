"""Implausible rate: known cases, the stated share of real images, errors, evidence and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import implausible_rate, measure, prepare_reference
from pytest_medgan.metrics.anatomy import MEASURES, measure_anatomy
from pytest_medgan.metrics.false_alarms import alarm_threshold
from pytest_medgan.metrics.plausible import FALSE_ALARMS, LEAST_SPREAD, SIDES, fit_range
from pytest_medgan.metrics.uncertainty import hits_se
from pytest_medgan.records import Cause, Implausibility

WINDOW = (-1000.0, 400.0)
NAMES = ["implausible_rate"]
KINDS = list(Implausibility)


def slices(count: int, seed: int) -> np.ndarray:
    """Bodies of soft tissue with lungs in air, of varying size, with noise of two grey levels."""
    rng = np.random.default_rng(seed)
    row, column = np.indices((48, 48)) - 23.5
    radius = rng.uniform(17, 21, (count, 1, 1))
    distance = np.hypot(row, column)
    images = np.where(distance < radius, 190.0, 5.0)
    images = np.where(distance < rng.uniform(7, 10, (count, 1, 1)), 40.0, images)
    return (images + rng.normal(0, 2, images.shape)).round().clip(1, 254).astype(np.uint8)[:, None]


REAL, FAKE = slices(400, 0), slices(100, 1)
PATIENT = np.arange(400) // 4


def with_bone() -> np.ndarray:
    """Generated images of which images 20 to 29 hold bone, and 30 to 34 have a gap in the outline."""
    images = FAKE.copy()
    images[20:30, :, 20:28, 20:28] = 250
    images[30:35, :, 22:26, 24:] = 5
    return images


def features(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)


def reference(**changes):
    given = {"groups": PATIENT, "pixels": REAL, "window": WINDOW, "metrics": NAMES}
    return prepare_reference(features(400, 3), **(given | changes))


def test_known_images_are_counted_and_others_are_not():
    plain = implausible_rate(real=REAL, fake=FAKE, window=WINDOW, groups=PATIENT)
    assert plain <= 0.08
    found = implausible_rate(real=REAL, fake=with_bone(), window=WINDOW, groups=PATIENT)
    assert 15 <= round(100 * found, 6) <= round(15 + 100 * plain, 6)
    assert implausible_rate(real=REAL, fake=np.zeros_like(FAKE), window=WINDOW) == 1
    assert implausible_rate(real=REAL, fake=255 - FAKE, window=WINDOW) == 1


def alike(rng: np.random.Generator, count: int) -> np.ndarray:
    """Measures of images, five of a patient and alike."""
    patients = rng.standard_normal((count // 5, len(MEASURES))).repeat(5, 0)
    return 2 * patients + rng.standard_normal((count, len(MEASURES)))


def test_share_of_new_patients_outside_is_as_stated():
    rng = np.random.default_rng(0)
    fitted = fit_range(alike(rng, 2000), np.arange(2000) // 5)
    assert 0.5 * FALSE_ALARMS < (fitted.real > 0).mean() <= FALSE_ALARMS
    fresh = (fitted.margins(alike(rng, 20000)).max(2) > 0).mean()
    assert 0.5 * FALSE_ALARMS < fresh < 1.5 * FALSE_ALARMS


def test_share_of_new_patients_outside_is_as_stated_on_average_for_few_patients():
    rng, shares = np.random.default_rng(1), []
    for _ in range(60):
        fitted = fit_range(alike(rng, 300), np.arange(300) // 5)
        shares.append((fitted.margins(alike(rng, 1000)).max(2) > 0).mean())
    assert np.mean(shares) < FALSE_ALARMS + 3 * np.std(shares) / np.sqrt(60)


@pytest.mark.parametrize(("of_each", "share"), [(5, 0.02), (12, 1 / 25)])
def test_threshold_is_that_of_the_largest_distance_in_the_range_of_the_other_half(of_each: int, share: float):
    rng = np.random.default_rng(7)
    values, patients = alike(rng, 300), np.arange(300) // of_each
    fitted = fit_range(values, patients, seed=2)
    half = np.random.default_rng(2).permutation(np.arange(300 // of_each) % 2)[patients]
    largest = (fitted.margins(values) + fitted.threshold).max(2)[half, np.arange(300)]
    assert fitted.threshold == pytest.approx(alarm_threshold(largest, patients, share), rel=1e-12)
    assert fitted.real == pytest.approx(largest - fitted.threshold, abs=1e-12)
    assert (fitted.group == patients).all()


def test_margins_equal_those_computed_image_by_image():
    rng = np.random.default_rng(5)
    values, patients, new = (
        rng.gamma(2, 1, (240, len(MEASURES))),
        np.arange(240) // 6,
        rng.gamma(2, 1, (7, len(MEASURES))),
    )
    fitted = fit_range(values, patients, seed=3)
    half = np.random.default_rng(3).permutation(np.arange(40) % 2)[patients]

    def distances(own: np.ndarray, image: np.ndarray) -> list[float]:
        low, middle, high = (np.quantile(own, q, axis=0) for q in (0.05, 0.5, 0.95))
        found = []
        for place, value in enumerate(image):
            below, above = (max(d[place], LEAST_SPREAD[place]) for d in (middle - low, high - middle))
            found += [(middle[place] - value) / below] if SIDES[place][0] else []
            found.append((value - middle[place]) / above)
        shares = own[:, :7] - middle[:7]
        inverse = np.linalg.inv(shares.T @ shares / len(own) + np.diag(np.square(LEAST_SPREAD[:7])))
        lengths = np.sqrt(np.einsum("ni,ij,nj->n", shares, inverse, shares))
        apart = (image - middle)[:7]
        return [*found, np.sqrt(apart @ inverse @ apart) / np.quantile(lengths, 0.95)]

    for fold in range(2):
        own = values[half != fold]
        known = np.array([distances(own, image) for image in own])
        average = (known[known > 1] - 1).mean()
        excess = [((side[side > 1] - 1).sum() + 5 * average) / ((side > 1).sum() + 5) for side in known.T]
        for row, image in enumerate(new):
            expected = (np.array(distances(own, image)) - 1) / excess
            found = fitted.margins(new)[fold, row] + fitted.threshold
            assert found == pytest.approx(expected, rel=1e-9)
            assert len(found) == len(KINDS)


def test_what_grey_levels_cannot_tell_apart_is_not_outside_where_all_real_images_are_equal():
    same = np.full((240, len(MEASURES)), 0.3)
    fitted = fit_range(same, np.arange(240) // 6)
    one = np.eye(len(MEASURES))[0]
    assert (fitted.margins(same[:2] + 0.009 * one).max(2) < 0).all()
    assert (fitted.margins(same[:2] + 0.011 * one).max(2) > 0).all()


def test_unknown_noise_and_softer_images_are_not_outside():
    rng = np.random.default_rng(1)
    fitted = fit_range(rng.standard_normal((400, len(MEASURES))), PATIENT)
    image = np.zeros((3, len(MEASURES)))
    image[0, -2:] = np.nan
    image[1, -2], image[2, -1] = -50, -50
    assert (fitted.margins(image) < 0).all()
    image[1, -2], image[2, -1] = 50, 50
    places = fitted.margins(image).argmax(2)
    assert {KINDS[place] for place in places[:, 1]} == {Implausibility.MUCH_NOISE}
    assert {KINDS[place] for place in places[:, 2]} == {Implausibility.FINE_NOISE}


def test_errors_are_those_of_a_rate_and_of_the_thresholds():
    ready = reference()
    found = measure(ready, fake=features(100, 5), pixels=with_bone(), metrics=NAMES, contributions=True)
    estimate, hits = found.estimates["implausible_rate"], found.contributions["implausible_rate"].units
    assert estimate.value == hits.mean() == implausible_rate(real=REAL, fake=with_bone(), window=WINDOW, groups=PATIENT)
    assert estimate.se == hits_se(hits)
    assert estimate.se <= estimate.se_total
    of_real = hits_se((ready.plausible.real > 0).astype(float), PATIENT)
    least, most = np.quantile(ready.plausible.real, [0.97, 0.99])
    largest = ready.plausible.margins(measure_anatomy(with_bone(), WINDOW)).max(2)
    slope = ((largest > least).mean() - (largest > most).mean()) / 0.02
    assert slope > 0
    assert estimate.se_total == pytest.approx(np.hypot(estimate.se, slope * of_real), rel=1e-12)


def test_errors_take_images_of_a_patient_and_slices_of_a_volume_together():
    ready = reference()
    largest = ready.plausible.margins(measure_anatomy(with_bone(), WINDOW)).max(2)
    real = ready.plausible.real.copy()
    real[:20] = np.linspace(0.01, 1.2 * largest.max(), 20)  # of five patients
    plausible = replace(ready.plausible, real=real)
    volume = np.arange(100) // 5
    found = measure(
        replace(ready, plausible=plausible),
        fake=features(100, 5),
        pixels=with_bone(),
        metrics=NAMES,
        contributions=True,
        fake_groups=volume,
    )
    hits = (largest > 0).mean(0)
    estimate = found.estimates["implausible_rate"]
    assert estimate.se == hits_se(hits, volume) > 1.2 * hits_se(hits)
    of_real = hits_se((real > 0).astype(float), PATIENT)
    assert of_real > 1.2 * hits_se((real > 0).astype(float))
    least, most = np.quantile(real, [0.97, 0.99])
    slope = ((largest > least).mean() - (largest > most).mean()) / 0.02
    assert slope > 0
    assert estimate.se_total == pytest.approx(np.hypot(estimate.se, slope * of_real), rel=1e-12)


def test_evidence_names_images_and_what_is_outside():
    found = measure(reference(), fake=features(100, 5), pixels=with_bone(), metrics=NAMES, evidence=True).evidence
    named = {row: KINDS[place] for row, place in found.implausible.tolist()}
    assert {named[row] for row in range(20, 30)} == {Implausibility.MUCH_BONE}
    assert {named[row] for row in range(30, 35)} <= {Implausibility.MUCH_OUTSIDE, Implausibility.LITTLE_AIR_AT_BORDER,
                                                     Implausibility.MIXTURE}  # fmt: skip
    assert Implausibility.MUCH_OUTSIDE in named.values()


def test_evidence_holds_the_images_outside_both_ranges():
    ready, images = reference(), slices(1000, 9)
    found = measure(ready, fake=features(1000, 5), pixels=images, metrics=NAMES, evidence=True).evidence
    outside = ready.plausible.margins(measure_anatomy(images, WINDOW)).max(2) > 0
    assert (outside.sum(0) == 1).any()
    assert found.implausible[:, 0].tolist() == np.flatnonzero(outside.all(0)).tolist()


def test_what_is_missing_is_a_cause():
    def cause(ready, pixels=FAKE):
        return measure(ready, fake=features(100, 5), pixels=pixels, metrics=NAMES).causes["implausible_rate"]

    assert cause(reference(window=None)) is Cause.NO_WINDOW
    assert cause(reference(groups=np.arange(400) % 7)) is Cause.NO_RANGE
    assert cause(reference(pixels=None)) is Cause.NO_RANGE
    assert cause(reference(), None) is Cause.NO_PIXELS
    assert "window" in Cause.NO_WINDOW.words


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(MetricInputError, match=r"fake has shape \[100, 1, 48, 32\] but other images are 48x48"):
        implausible_rate(real=REAL, fake=FAKE[..., :32], window=WINDOW)
    with pytest.raises(MetricInputError, match="real has 50 images; give at least 200 images of 8 patients"):
        implausible_rate(real=REAL[:50], fake=FAKE, window=WINDOW)
    with pytest.raises(MetricInputError, match="window is"):
        implausible_rate(real=REAL, fake=FAKE, window=(400, -1000))
