"""Sets on which arithmetic could break down: every one gets finite numbers or a cause in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import (
    Battery,
    frechet_distance,
    improved_precision_recall,
    kernel_distance,
    measure,
    prepare_reference,
)
from pytest_medgan.records import Cause

RNG = np.random.default_rng(0)
PLAIN = RNG.standard_normal((60, 12))
NEEDS_MORE = {
    1: {"fid", "precision", "recall", "improved_recall", "ms_ssim"},
    2: {"fid", "precision", "recall", "improved_recall", "ms_ssim"},
    3: {"precision", "recall", "improved_recall", "ms_ssim"},
    4: {"precision", "recall"},
    9: {"precision", "recall"},
    10: set(),
}


def battery(real: np.ndarray, fake: np.ndarray, *, constant: bool = False, groups: object = None) -> Battery:
    """Measure everything, with pixels that are as constant as the features."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (len(real) + len(fake), 1, 16, 16), dtype=np.uint8)
    pixels, fake_pixels = images[: len(real)], images[len(real) :]
    if constant:
        fake_pixels = np.full_like(fake_pixels, 100)
    probabilities = np.tile([0.25, 0.75], (len(fake), 1)) if constant else rng.dirichlet([1, 1], len(fake))
    reference = prepare_reference(real, groups=groups, pixels=pixels, train=real, train_pixels=pixels)
    return measure(
        reference, fake=fake, probabilities=probabilities, pixels=fake_pixels, evidence=True, contributions=True
    )


def check_finite(found: Battery) -> None:
    """Check that every estimate, error and contribution is a number, and that errors are not negative."""
    for name, estimate in found.estimates.items():
        assert all(map(math.isfinite, (estimate.value, estimate.se, estimate.se_total))), (name, estimate)
        assert 0 <= estimate.se <= estimate.se_total, name
        assert np.isfinite(found.contributions[name].units).all(), name
    assert set(found.estimates) | set(found.causes) == set(NAMES)
    assert not set(found.estimates) & set(found.causes)
    assert not np.isnan(found.evidence.realism).any()


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        (PLAIN, np.full((40, 12), 0.3)),
        (PLAIN, np.tile(PLAIN[:1], (40, 1))),
        (np.full((60, 12), 0.3), PLAIN[:40]),
        (np.full((60, 12), 0.3), np.full((40, 12), 0.3)),
        (np.full((60, 12), 0.3), np.full((40, 12), 0.7)),
        (np.zeros((60, 12)), np.zeros((40, 12))),
        (PLAIN, np.repeat(PLAIN[:2], 20, 0)),
        (PLAIN[:, :1], PLAIN[:40, :1] + 0.1),
        (PLAIN[:11], PLAIN[11:23]),
        (np.full((11, 12), 0.3), np.full((14, 12), 0.1)),
    ],
    ids=[
        "constant model",
        "model that repeats a real image",
        "constant reference",
        "both constant and equal",
        "both constant and apart",
        "all zero",
        "two distinct images",
        "one feature",
        "fewer rows than features",
        "few constant rows",
    ],
)
def test_degenerate_set_gives_finite_numbers(real, fake):
    found = battery(real, fake, constant=len(np.unique(fake, axis=0)) == 1)
    check_finite(found)
    few = {"memorised_rate"} if len(real) < 20 else set()
    assert set(found.causes) == {"anomaly_rate", "implausible_rate"} | few


def test_constant_model_scores_as_collapsed():
    found = battery(PLAIN, np.tile(PLAIN[:1], (40, 1)), constant=True).estimates
    assert found["inception_score"].value == pytest.approx(1)
    assert found["ms_ssim"].value == pytest.approx(1)
    assert found["duplicate_rate"].value == 1
    assert found["authenticity"].value == 0
    assert found["fid"].value == pytest.approx(((PLAIN[0] - PLAIN.mean(0)) ** 2).sum() + PLAIN.var(0, ddof=1).sum())
    assert found["fid"].se == 0


@pytest.mark.parametrize("rows", [2, 3, 4, 9, 10])
def test_too_few_generated_images_are_a_cause(rows):
    found = battery(PLAIN, PLAIN[:rows] + 0.1)
    check_finite(found)
    few = {name for name, cause in found.causes.items() if cause is Cause.TOO_FEW_IMAGES}
    assert few == NEEDS_MORE[rows] == set(found.causes) - {"anomaly_rate", "implausible_rate"}


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        (2, {"fid", "precision", "recall", "improved_precision", "density", "coverage"}),
        (3, {"precision", "recall", "improved_precision", "density", "coverage"}),
        (4, {"precision", "recall", "density", "coverage"}),
        (9, {"precision", "recall"}),
        (10, set()),
    ],
)
def test_too_few_reference_images_are_a_cause(rows, missing):
    rng = np.random.default_rng(1)
    found = measure(prepare_reference(PLAIN[:rows]), fake=rng.standard_normal((40, 12)), contributions=True)
    few = {name for name, cause in found.causes.items() if cause is Cause.TOO_FEW_REAL_IMAGES}
    assert few == missing
    assert all(math.isfinite(estimate.value) and math.isfinite(estimate.se) for estimate in found.estimates.values())


def test_images_smaller_than_the_window_are_a_cause():
    images = np.zeros((20, 1, 10, 16), np.uint8)
    reference = prepare_reference(PLAIN, metrics=["ms_ssim"])
    found = measure(reference, fake=PLAIN[:20], pixels=images, metrics=["ms_ssim"])
    assert found.causes == {"ms_ssim": Cause.IMAGES_TOO_SMALL}
    assert "11x11" in found.unmeasured["ms_ssim"]


def test_value_that_is_not_finite_is_a_cause(monkeypatch):
    monkeypatch.setattr("pytest_medgan.metrics.moments.Overlap.value", property(lambda self: math.nan))
    found = measure(prepare_reference(PLAIN, metrics=["fid", "kid"]), fake=PLAIN[:20], metrics=["fid", "kid"])
    assert found.causes == {"fid": Cause.NOT_FINITE}
    assert set(found.estimates) == {"kid"}


def test_total_error_of_a_single_patient_is_unknown():
    others = ("inception_score", "ms_ssim", "copy_rate", "duplicate_rate", "anomaly_rate", "implausible_rate")
    names = [name for name in NAMES if name not in others]
    found = battery(PLAIN, PLAIN[:40] + 0.3, groups=np.zeros(60)).estimates
    for name in names:
        if name != "authenticity":  # whose training images have no patients here
            assert math.isnan(found[name].se_total), name
        assert math.isfinite(found[name].se), name


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e4, 1e7, 1e9, 1e13])
def test_scale_of_features_changes_distances_alone(scale, kernel_oracle):
    """KID lost its cubes above 1e7 in float32, and distances vanish below 1e-19."""
    real, fake = (np.random.default_rng(seed).standard_normal((50, 12)) * 0.7**seed * scale for seed in (0, 1))
    plain = [side / scale for side in (real, fake)]
    kernel = kernel_oracle(real=real, fake=fake)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(kernel, rel=1e-5, abs=1e-9)
    assert frechet_distance(real=real, fake=fake) == pytest.approx(
        frechet_distance(real=plain[0], fake=plain[1]) * scale**2, rel=1e-9
    )
    expected = improved_precision_recall(real=plain[0], fake=plain[1])
    assert improved_precision_recall(real=real, fake=fake) == expected
    if scale > 1e-20:
        check_finite(battery(real, fake))


def test_error_of_kid_scales_with_its_value():
    """A common factor of 1e9 on centred features multiplies the cubic part of the kernel by 1e54."""
    real, fake = (np.random.default_rng(seed).standard_normal((80, 12)) + seed for seed in (0, 1))
    names = ["kid"]
    found = [
        measure(prepare_reference(real * scale, metrics=names), fake=fake * scale, metrics=names).estimates["kid"]
        for scale in (1e6, 1e9)
    ]
    for kind in ("value", "se", "se_total"):
        assert getattr(found[1], kind) == pytest.approx(getattr(found[0], kind) * 1e18, rel=1e-4), kind


def test_features_whose_distances_overflow_are_refused():
    with pytest.raises(MetricInputError, match=r"fake of shape \[60, 12\] has values up to .*e\+20.*; scale"):
        frechet_distance(real=PLAIN, fake=PLAIN * 1e20)
