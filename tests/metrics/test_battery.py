"""The battery: one pass, estimates with errors, evidence, and what it says when it cannot measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.catalogue import NAMES, Metric
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import (
    CustomMetric,
    authenticity,
    copy_rate,
    density_coverage,
    duplicate_rate,
    frechet_distance,
    implausible_rate,
    improved_precision_recall,
    inception_score,
    intensity_distance,
    kernel_distance,
    measure,
    memorised_rate,
    ms_ssim_diversity,
    precision_recall_distribution,
    prepare_reference,
    score_features,
)
from pytest_medgan.metrics.nearest_real import NearestReal
from pytest_medgan.metrics.table import FUNCTIONS
from pytest_medgan.records import Cause

FEATURES = tuple(name for name in NAMES if name not in ("precision", "recall"))  # all but the slow pair


@pytest.fixture
def pixels():
    rng = np.random.default_rng(5)
    return (rng.integers(0, 256, (n, 1, 24, 24), dtype=np.uint8) for n in (400, 300, 350))


@pytest.fixture
def probabilities():
    p = np.random.default_rng(6).uniform(0, 1, 300)
    return np.stack([p, 1 - p], 1)


def test_function_table_has_the_catalogues_metrics():
    assert tuple(FUNCTIONS) == NAMES


def test_battery_values_equal_single_functions(two_sets, pixels, probabilities, one_thread_each):
    real, fake = two_sets
    real_pixels, fake_pixels, train_pixels = pixels
    fake_pixels[5], fake_pixels[9] = train_pixels[2], fake_pixels[8]
    train = real[::-1].copy() + np.float32(0.01)
    train_pixels = np.concatenate([train_pixels, train_pixels[:50]])
    window = (-1000.0, 400.0)
    found = score_features(
        real=real,
        fake=fake,
        train=train,
        probabilities=probabilities,
        real_pixels=real_pixels,
        fake_pixels=fake_pixels,
        train_pixels=train_pixels,
        window=window,
    )
    assert tuple(found) == tuple(name for name in NAMES if name != "anomaly_rate")  # which needs heads
    assert found.pop("implausible_rate") == implausible_rate(real=real_pixels, fake=fake_pixels, window=window)
    by_pixels = memorised_rate(fake=fake_pixels, train=train_pixels, real=real_pixels)
    assert found.pop("memorised_rate") >= by_pixels >= 1 / 300  # features count as well
    precision, recall = precision_recall_distribution(real=real, fake=fake)
    improved, improved_recall = improved_precision_recall(real=real, fake=fake)
    density, coverage = density_coverage(real=real, fake=fake)
    assert found == pytest.approx(
        {
            "inception_score": inception_score(probabilities=probabilities),
            "fid": frechet_distance(real=real, fake=fake),
            "kid": kernel_distance(real=real, fake=fake),
            "precision": precision,
            "recall": recall,
            "improved_precision": improved,
            "improved_recall": improved_recall,
            "density": density,
            "coverage": coverage,
            "authenticity": authenticity(fake=fake, train=train),
            "copy_rate": copy_rate(fake=fake_pixels, train=train_pixels),
            "duplicate_rate": duplicate_rate(fake=fake_pixels, real=real_pixels),
            "intensity_distance": intensity_distance(real=real_pixels, fake=fake_pixels, window=window),
            "ms_ssim": ms_ssim_diversity(fake=fake_pixels),
        },
        rel=1e-9,
    )


def test_only_metrics_asked_for_are_computed(two_sets, monkeypatch):
    real, fake = two_sets
    monkeypatch.setattr("pytest_medgan.metrics.prd.Clustered", None)
    monkeypatch.setattr("pytest_medgan.metrics.passes.products", None)
    reference = prepare_reference(real, metrics=["fid"])
    assert reference.near is None
    assert reference.kernel is None
    assert tuple(measure(reference, fake=fake, metrics=["fid"]).estimates) == ("fid",)


def test_metric_that_cannot_be_measured_has_a_cause(two_sets):
    real, fake = two_sets
    reference = prepare_reference(real, metrics=FEATURES)
    found = measure(reference, fake=fake, metrics=[*FEATURES, "recall", "cfid"])
    assert set(found.estimates) == {"fid", "kid", "improved_precision", "improved_recall", "density", "coverage"}
    assert set(found.estimates) | set(found.unmeasured) == {*FEATURES, "recall", "cfid"}
    assert found.causes == {
        "anomaly_rate": Cause.NO_HEADS,
        "inception_score": Cause.NO_PROBABILITIES,
        "authenticity": Cause.NO_TRAINING_IMAGES,
        "copy_rate": Cause.NO_TRAINING_IMAGES,
        "memorised_rate": Cause.NO_TRAINING_IMAGES,
        "duplicate_rate": Cause.NO_PIXELS,
        "intensity_distance": Cause.NO_PIXELS,
        "ms_ssim": Cause.NO_PIXELS,
        "implausible_rate": Cause.NO_WINDOW,
        "recall": Cause.NOT_PREPARED,
        "cfid": Cause.NO_SUCH_METRIC,
    }
    assert found.unmeasured == {name: cause.words for name, cause in found.causes.items()}
    assert all(cause.words and "\n" not in cause.words for cause in Cause)


def test_every_estimate_has_two_positive_errors(two_sets):
    real, fake = two_sets
    reference = prepare_reference(real, groups=np.arange(400) // 8, metrics=FEATURES)
    for name, estimate in measure(reference, fake=fake, metrics=FEATURES).estimates.items():
        assert 0 < estimate.se <= estimate.se_total < np.inf, name


@pytest.mark.parametrize("rows", [100, 300])
def test_fewer_rows_than_features_give_small_errors(rows):
    """What a quick gate has: fewer images than features."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, 1025) ** -0.5
    real, fake = (np.abs(rng.standard_normal((rows, 1024))) * scale for _ in range(2))
    found = measure(prepare_reference(real, metrics=FEATURES), fake=fake, metrics=FEATURES).estimates
    for name, estimate in found.items():
        assert 0 < estimate.se <= estimate.se_total, name
        assert estimate.se < 0.1 * max(1, abs(estimate.value)), name


def test_rate_of_zero_has_a_positive_error():
    rng = np.random.default_rng(0)
    names = ["improved_precision", "improved_recall", "density", "coverage"]
    real, fake = rng.standard_normal((200, 8)), rng.standard_normal((150, 8)) + 100
    found = measure(prepare_reference(real, metrics=names), fake=fake, metrics=names).estimates
    for name in names:
        assert found[name].value == 0
        assert 0.001 < found[name].se < 0.05, name


def test_patients_with_similar_images_raise_the_total_error(two_sets):
    _, fake = two_sets
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 20)
    real = (2 * rng.standard_normal((20, 32)))[patient] + 0.3 * rng.standard_normal((400, 32))
    names = ("fid", "kid", "improved_recall", "coverage")
    alone = measure(prepare_reference(real, metrics=names), fake=fake, metrics=names).estimates
    grouped = measure(prepare_reference(real, groups=patient, metrics=names), fake=fake, metrics=names).estimates
    for name in ("fid", "kid"):
        assert grouped[name].se_total > 1.5 * alone[name].se_total, name
    for name in names:
        assert grouped[name].value == alone[name].value
        assert grouped[name].se == pytest.approx(alone[name].se)


def test_evidence_agrees_with_the_estimates(two_sets):
    real, fake = two_sets
    names = ("improved_precision", "improved_recall", "density", "coverage")
    reference = prepare_reference(real, metrics=names, sweep=range(1, 11))
    found = measure(reference, fake=fake, metrics=names, evidence=True)
    evidence = found.evidence
    assert evidence.fake_in_real.mean() == found.estimates["improved_precision"].value
    assert evidence.real_in_fake.mean() == found.estimates["improved_recall"].value
    assert evidence.ks.tolist() == list(range(1, 11))
    for name, k in (("improved_precision", 3), ("improved_recall", 3), ("density", 5), ("coverage", 5)):
        assert evidence.sweep[name][k - 1] == found.estimates[name].value
    precision, recall = improved_precision_recall(real=real, fake=fake, k=range(1, 11))
    assert (evidence.sweep["improved_precision"] == precision).all()
    assert (evidence.sweep["improved_recall"] == recall).all()
    distance = np.sqrt(((fake[:, None].astype(np.float64) - real) ** 2).sum(2))
    assert (evidence.nearest_real == distance.argmin(1)).all()
    assert evidence.nearest_real_distance == pytest.approx(distance.min(1), rel=1e-5)
    assert ((evidence.realism >= 1 - 1e-6) == evidence.fake_in_real).all()
    plain = measure(reference, fake=fake, metrics=names)
    assert plain.evidence.ks is None
    assert plain.estimates == found.estimates


def test_ties_on_a_lattice_are_counted():
    lattice = np.random.default_rng(0).integers(0, 3, (60, 4)).astype(np.float32)
    names = ("improved_precision", "improved_recall")
    reference = prepare_reference(lattice, metrics=names)
    assert measure(reference, fake=lattice[::-1].copy(), metrics=names, evidence=True).evidence.ties > 0
    apart = np.random.default_rng(0).standard_normal((60, 4))
    reference = prepare_reference(apart, metrics=names)
    assert measure(reference, fake=apart + 0.1, metrics=names, evidence=True).evidence.ties == 0


def test_first_rows_alone_are_measured_like_any_set(two_sets):
    real, fake = two_sets
    names = ("fid", "improved_precision", "improved_recall")
    reference = prepare_reference(real, metrics=names)
    early = measure(reference, fake=torch.from_numpy(fake)[:80], metrics=names)
    assert early.estimates["fid"].value == pytest.approx(frechet_distance(real=real, fake=fake[:80]), rel=1e-9)


def test_custom_metric_is_measured_beside_the_others(two_sets):
    real, fake = two_sets
    metric = Metric("mean_gap", "Mean gap", False, 0.0, np.inf, "a user", True)

    def gap(*, real, fake):
        return float(fake[:, 0].mean() - real[:, 0].mean())

    found = measure(prepare_reference(real, metrics=()), fake=fake, metrics=(), custom=[CustomMetric(metric, gap)])
    estimate = found.estimates["mean_gap"]
    assert estimate.value == pytest.approx(gap(real=real, fake=fake))
    assert estimate.se == pytest.approx(fake[:, 0].std(ddof=1) / np.sqrt(300), rel=0.5)
    assert estimate.se_total > estimate.se


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fake": np.zeros((20, 31))}, r"fake has shape \[20, 31\] but the real features are 32 wide"),
        ({"fake": np.full((20, 32), np.inf)}, "NaN or infinite values in 20 rows"),
        ({"fake": np.zeros((0, 32))}, r"fake has shape \[0, 32\]"),
        (
            {"fake": np.zeros((20, 32)), "probabilities": np.full((19, 2), 0.5)},
            "probabilities has 19 rows but fake has 20",
        ),
        (
            {"fake": np.zeros((20, 32)), "pixels": np.zeros((19, 1, 8, 8), np.uint8)},
            "pixels has 19 rows but fake has 20",
        ),
        (
            {"fake": np.zeros((20, 32)), "pixels": np.zeros((20, 8, 8), np.uint8)},
            r"pixels is uint8 of shape \[20, 8, 8\]",
        ),
    ],
)
def test_errors_name_the_argument_and_the_shape(two_sets, arguments, said):
    reference = prepare_reference(two_sets[0], metrics=["improved_recall"])
    with pytest.raises(MetricInputError, match=said):
        measure(reference, metrics=["improved_recall"], **arguments)


def test_groups_of_another_length_are_refused(two_sets):
    with pytest.raises(MetricInputError, match=r"groups has shape \[3\]; give one group for each of the 400 rows"):
        prepare_reference(two_sets[0], groups=["a", "b", "c"])


@pytest.mark.medgan_gpu
def test_gpu_gives_the_same_values_and_errors(two_sets):
    real, fake = two_sets
    groups, cuda = np.arange(400) // 8, [torch.from_numpy(side).cuda() for side in two_sets]
    asked = ("fid", "kid", "precision", "recall", "improved_precision", "improved_recall", "density", "coverage")
    here = measure(prepare_reference(real, groups=groups, metrics=asked), fake=fake, metrics=asked).estimates
    there = measure(prepare_reference(cuda[0], groups=groups, metrics=asked), fake=cuda[1], metrics=asked).estimates
    for name in asked:
        assert there[name].value == pytest.approx(here[name].value, rel=1e-4), name
        assert there[name].se == pytest.approx(here[name].se, rel=1e-3), name
        assert there[name].se_total == pytest.approx(here[name].se_total, rel=1e-3), name
    values = score_features(real=cuda[0], fake=cuda[1], train=cuda[0] + 0.01)
    assert values == pytest.approx(score_features(real=real, fake=fake, train=real + np.float32(0.01)), rel=1e-4)


def test_unknown_metric_is_refused_and_a_single_name_accepted() -> None:
    real, fake = np.random.default_rng(0).standard_normal((2, 64, 4), np.float32)
    with pytest.raises(MetricInputError, match="unknown names: fdi; choose from"):
        score_features(real=real, fake=fake, metrics=("fdi",))
    assert list(score_features(real=real, fake=fake, metrics="fid")) == ["fid"]


def test_realism_is_the_largest_radius_over_distance():
    """An image at 4 and 3 from balls of radius 2 and 1."""
    nearest = NearestReal(torch.tensor([4.0, 1.0]), 1)
    nearest.add_block(torch.tensor([[16.0, 9.0]]), slice(0, 1))
    assert nearest.realism.tolist() == [0.5]
    assert nearest.distance.tolist() == [3.0]
