"""Standard errors and contributions of every metric, against literal float64 code that measures again and again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pytest_medgan.metrics import (
    Battery,
    authenticity,
    density_coverage,
    duplicate_rate,
    frechet_distance,
    improved_precision_recall,
    measure,
    prepare_reference,
)
from pytest_medgan.metrics.frechet_error import distances_without_each, prepare_rows
from pytest_medgan.metrics.kmeans import cluster
from pytest_medgan.metrics.moments import compute_overlap
from pytest_medgan.metrics.pairwise import mean_of, points
from pytest_medgan.metrics.prd_curve import curve, f_beta, f_pair
from pytest_medgan.metrics.similarity import ms_ssim

Array = np.ndarray
NAMES = ("fid", "kid", "precision", "recall", "improved_precision", "improved_recall", "density", "coverage")
PATIENTS = 24


def rate_error(hits: int, trials: int) -> float:
    """Agresti and Coull: two hits and two misses more."""
    rate = (hits + 2) / (trials + 4)
    return float(np.sqrt(rate * (1 - rate) / (trials + 4)))


def mean_error(values: Array, group: Array | None = None) -> float:
    """The standard error of a mean whose rows are redrawn by group."""
    group = np.arange(len(values)) if group is None else group
    names = np.unique(group)
    sums = np.array([(values[group == name] - values.mean()).sum() for name in names])
    return float(np.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / len(values))


def jackknife_error(whole: float, without: Array, sizes: Array) -> float:
    """Busing, Meijer and van der Leeden 1999, equation 8, blocks of unequal size."""
    n, g = sizes.sum(), len(sizes)
    h = n / sizes
    estimate = g * whole - ((1 - sizes / n) * without).sum()
    pseudo = h * whole - (h - 1) * without
    return float(np.sqrt(((pseudo - estimate) ** 2 / (h - 1)).sum() / g))


@pytest.fixture(scope="module")
def sets() -> tuple[Array, Array, Array, Array]:
    """(real [96,6] of 24 patients of unequal size, fake [80,6], train [70,6], patient [96])."""
    rng = np.random.default_rng(0)
    patient = np.sort(np.concatenate([np.arange(PATIENTS), rng.integers(0, PATIENTS, 72)]))
    real = rng.standard_normal((PATIENTS, 6))[patient] * 0.6 + rng.standard_normal((96, 6)) * 0.8
    fake = 0.9 * rng.standard_normal((80, 6)) + 0.25
    train = np.concatenate([rng.standard_normal((50, 6)), fake[:20] + 0.1 * rng.standard_normal((20, 6))])
    return real.astype(np.float32), fake.astype(np.float32), train.astype(np.float32), patient


TRAIN_PATIENT = np.repeat(np.arange(14), 5)


@pytest.fixture(scope="module")
def found(sets) -> Battery:
    real, fake, train, patient = sets
    names = (*NAMES, "authenticity")
    reference = prepare_reference(real, groups=patient, train=train, train_groups=TRAIN_PATIENT, metrics=names)
    return measure(reference, fake=fake, metrics=names, contributions=True)


def without_patients(sets, function: Callable[[Array], float]) -> tuple[Array, Array]:
    """The value without each patient of the reference, and their sizes."""
    real, _, _, patient = sets
    return (
        np.array([function(real[patient != name]) for name in range(PATIENTS)]),
        np.bincount(patient),
    )


def without_images(sets, function: Callable[[Array], float]) -> Array:
    """The value without each generated image."""
    fake = sets[1]
    return np.array([function(np.delete(fake, row, 0)) for row in range(len(fake))])


def check(found: Battery, name: str, se: float, se_total: float, rel: float = 1e-6) -> None:
    assert found.estimates[name].se == pytest.approx(se, rel=rel)
    assert found.estimates[name].se_total == pytest.approx(se_total, rel=rel)


def test_errors_of_fid_are_the_jackknife(sets, found):
    real, fake, _, patient = sets
    n, m = len(real), len(fake)
    of_fake = np.array([frechet_distance(real=real, fake=np.delete(fake, row, 0)) for row in range(m)])
    of_real = np.array([frechet_distance(real=np.delete(real, row, 0), fake=fake) for row in range(n)])
    se, real_se = mean_error((m - 1) * of_fake), mean_error((n - 1) * of_real, patient)
    check(found, "fid", se, np.hypot(se, real_se), rel=2e-3)
    units = found.contributions["fid"].units
    assert units - units.mean() == pytest.approx(-(m - 1) * (of_fake - of_fake.mean()), abs=2e-3 * units.std())
    assert found.contributions["fid"].share == 1


@pytest.mark.parametrize(("n", "m"), [(150, 2600), (2600, 150)])
def test_errors_of_fid_above_2048_rows_are_those_of_all_rows(n, m):
    """The first 2,048 rows show the spread; the error of the mean is that of all of them."""
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((n, 6)), 1.1 * rng.standard_normal((m, 6)) + 0.1
    reference = prepare_reference(real, metrics=["fid"])
    battery = measure(reference, fake=fake, metrics=["fid"], contributions=True)
    estimate = battery.estimates["fid"]
    sides = [points(torch.from_numpy(side), mean_of(torch.from_numpy(real))) for side in (real, fake)]
    overlap = compute_overlap(reference.moments, torch.from_numpy(fake))
    rows = prepare_rows(reference.moments, sides[0])
    of_real, of_fake = distances_without_each(reference.moments, *sides, overlap, left_out=rows)
    se, real_se = mean_error((m - 1) * of_fake), mean_error((n - 1) * of_real)
    assert (len(of_real), len(of_fake)) == (n, m)
    assert estimate.se == pytest.approx(se, rel=0.03)
    assert np.sqrt(estimate.se_total**2 - estimate.se**2) == pytest.approx(real_se, rel=0.04)
    one = battery.contributions["fid"]
    assert len(one.units) == min(m, 2048)
    assert np.sqrt(one.units.var(ddof=1) / len(one.units) * one.share) == pytest.approx(estimate.se, rel=1e-6)


def test_errors_of_kid_are_projections_less_the_noise_counted_twice(sets, found):
    real, fake, _, patient = sets
    n, m = len(real), len(fake)

    def kernel(left, right):
        return (left.astype(np.float64) @ right.T.astype(np.float64) / left.shape[1] + 1) ** 3

    def noise(block):
        block = block - np.nanmean(block, 1, keepdims=True)
        return np.nanmean((block - np.nanmean(block, 0, keepdims=True)) ** 2)

    ff, rr, fr = kernel(fake, fake), kernel(real, real), kernel(fake, real)
    np.fill_diagonal(ff, np.nan)
    np.fill_diagonal(rr, np.nan)
    of_fake = 2 * (np.nanmean(ff, 1) - fr.mean(1))
    of_real = 2 * (np.nanmean(rr, 1) - fr.mean(0))
    plain = mean_error(of_fake)
    se = np.sqrt(max(plain**2 - 2 * noise(ff) / m**2, plain**2 / 4))
    total = np.hypot(se, mean_error(of_real, patient))
    less = np.sqrt(max(total**2 - 2 * noise(rr) / n**2 - 4 * noise(fr) / (n * m), total**2 / 4))
    assert found.estimates["kid"].value == pytest.approx(np.nanmean(ff) + np.nanmean(rr) - 2 * fr.mean(), rel=1e-5)
    check(found, "kid", se, max(se, less), rel=1e-5)
    assert found.contributions["kid"].units == pytest.approx(of_fake, rel=1e-5, abs=1e-6)


def test_errors_of_improved_precision_are_a_rate_and_a_jackknife_without_noise(sets, found, inside_oracle):
    real, fake, _, patient = sets
    m = len(fake)
    members = inside_oracle(owners=real, probes=fake, k=3).any(1)
    without, changed = [], []
    for name in range(PATIENTS):
        left = inside_oracle(owners=real[patient != name], probes=fake, k=3).any(1)
        without.append(left.mean())
        changed.append((left != members).mean())
    without, changed, sizes = np.array(without), np.array(changed), np.bincount(patient)
    se, spread = rate_error(members.sum(), m), jackknife_error(members.mean(), without, sizes)
    variance = (changed - (without - members.mean()) ** 2) / m  # of a deletion's change, seen on m images
    noise = np.mean((len(real) / sizes - 1) * variance) * (PATIENTS - 1) / PATIENTS
    assert 0 < noise < spread**2
    check(found, "improved_precision", se, np.sqrt(se**2 + spread**2 - noise))
    assert (found.contributions["improved_precision"].units == members).all()


def test_errors_of_improved_recall_are_a_jackknife_and_redrawn_patients(sets, found, inside_oracle):
    real, fake, _, patient = sets
    members = inside_oracle(owners=fake, probes=real, k=3).any(1)
    without = without_images(sets, lambda fake: improved_precision_recall(real=real, fake=fake, k=3)[1])
    se = jackknife_error(members.mean(), without, np.ones(len(fake), int))
    check(found, "improved_recall", se, np.hypot(se, mean_error(members.astype(float), patient)))
    pseudo = len(fake) * members.mean() - (len(fake) - 1) * without
    assert found.contributions["improved_recall"].units == pytest.approx(pseudo)


def test_errors_of_density_are_a_mean_and_a_jackknife_without_the_pairs_noise(sets, found, inside_oracle):
    real, fake, _, _ = sets
    counts = inside_oracle(owners=real, probes=fake, k=5).sum(1) / 5
    without, sizes = without_patients(sets, lambda real: density_coverage(real=real, fake=fake, k=5)[0])
    se, spread = mean_error(counts), jackknife_error(counts.mean(), without, sizes)
    total = np.sqrt(max(se**2 + spread**2 - counts.mean() / 5 / len(fake), se**2, spread**2))
    check(found, "density", se, total)
    assert found.contributions["density"].units == pytest.approx(counts)


def test_errors_of_coverage_are_the_larger_of_two_jackknives(sets, found):
    real, fake, _, _ = sets

    def coverage(real, fake):
        return density_coverage(real=real, fake=fake, k=5)[1]

    whole = coverage(real, fake)
    without, sizes = without_patients(sets, lambda real: coverage(real, fake))
    of_fake = without_images(sets, lambda fake: coverage(real, fake))
    se = jackknife_error(whole, of_fake, np.ones(len(fake), int))
    check(found, "coverage", se, max(se, jackknife_error(whole, without, sizes)))
    pseudo = len(fake) * whole - (len(fake) - 1) * of_fake
    assert found.contributions["coverage"].units == pytest.approx(pseudo)


def test_errors_of_authenticity_are_a_rate_and_a_jackknife_of_training_patients(sets, found):
    _, fake, train, _ = sets
    whole = authenticity(fake=fake, train=train)
    without = np.array([authenticity(fake=fake, train=train[name != TRAIN_PATIENT]) for name in range(14)])
    se = rate_error(round(whole * len(fake)), len(fake))
    spread = jackknife_error(whole, without, np.bincount(TRAIN_PATIENT))
    assert spread > 0.3 * se
    check(found, "authenticity", se, np.hypot(se, spread))
    assert found.contributions["authenticity"].units.mean() == whole


@pytest.mark.parametrize(("name", "beta"), [("precision", 1 / 8), ("recall", 8)])
def test_errors_of_prd_are_influence_halves_and_runs(sets, found, name, beta):
    """The labels of k-means are taken as given; everything after them is written out here."""
    real, fake, _, patient = sets
    rows_real = np.sort(np.random.default_rng(0).permutation(96)[:80])
    centre = mean_of(torch.from_numpy(real))
    sides = [points(torch.from_numpy(side), centre).rows for side in (real, fake)]
    labels = cluster([(sides[0], rows_real), (sides[1], np.arange(80))], 20, 10, 0).numpy()

    def curves(real_rows=slice(None), fake_rows=slice(None)):
        shares = (
            [
                np.bincount(side[some], minlength=20) / len(side[some])
                for side, some in ((run[:80], real_rows), (run[80:], fake_rows))
            ]
            for run in labels
        )
        return np.stack([curve(real=one, fake=other) for one, other in shares])

    every = curves()
    mean = every.mean(0)
    values = f_beta(mean[:, 0], mean[:, 1], beta)
    angle = int(values.argmax())
    runs = f_beta(every[:, angle, 0], every[:, angle, 1], beta)
    assert found.estimates[name].value == pytest.approx(values.max())
    assert found.contributions[name].runs == pytest.approx(runs)
    slope = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))[angle]
    influence = np.zeros(80)
    for run in labels:
        ours, theirs = np.bincount(run[:80], minlength=20) * slope, np.bincount(run[80:], minlength=20)
        for row, label in enumerate(run[80:]):
            influence[row] += 1.0 if ours[label] > theirs[label] else 0.5 if ours[label] == theirs[label] else 0.0
    influence *= runs.mean() / mean[angle, 0] / 10
    of_runs = runs.std(ddof=1) / np.sqrt(10)
    se = np.hypot(mean_error(influence), of_runs)
    assert found.contributions[name].units == pytest.approx(influence)
    rng, groups, halves = np.random.default_rng(0), np.unique(patient[rows_real]), []
    for _ in range(50):
        chosen = []
        for names in (groups, np.arange(80)):
            extra = int(rng.integers(2)) if len(names) % 2 else 0
            chosen.append(rng.permutation(names)[: len(names) // 2 + extra])
        halves.append(f_pair(curves(np.isin(patient[rows_real], chosen[0]), chosen[1]).mean(0))[beta > 1])
    total = np.hypot(np.std(halves, ddof=1), of_runs)
    check(found, name, se, max(total, se))


def test_errors_of_inception_score_with_ten_splits():
    """Each part's score times its divergences, one degree of freedom less for every part."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.5, 0.5, 0.5], 95)
    battery = measure(
        prepare_reference(np.eye(5), metrics=["inception_score"]),
        fake=np.zeros((95, 5)),
        probabilities=p,
        metrics=["inception_score"],
        contributions=True,
        seed=3,
    )
    influence, scores = np.zeros(95), []
    for rows in np.array_split(np.random.default_rng(3).permutation(95), 10):
        average = p[rows].mean(0)
        divergence = np.array([sum(q * np.log(q / a) for q, a in zip(p[row], average, strict=True)) for row in rows])
        scores.append(np.exp(divergence.mean()))
        influence[rows] = scores[-1] * (divergence - divergence.mean()) * np.sqrt(95 / 85)
    estimate = battery.estimates["inception_score"]
    assert estimate.value == pytest.approx(np.mean(scores))
    assert estimate.se == estimate.se_total == pytest.approx(mean_error(influence))
    assert battery.contributions["inception_score"].units == pytest.approx(influence)


@pytest.fixture(scope="module")
def pictures() -> tuple[Array, Array, Array, Array]:
    """(real, fake, train) uint8 [.,1,16,16] with copies and duplicates, and the reference's patients."""
    rng = np.random.default_rng(0)
    level = rng.normal(110, 25, (150, 1, 1, 1))
    images = (level + rng.normal(0, 12, (150, 1, 16, 16))).clip(0, 255).astype(np.uint8)
    real, fake, train = images[:60].copy(), images[60:110].copy(), images[110:].copy()
    fake[:4], fake[10], fake[12], fake[13] = train[:4], fake[11], fake[14], fake[14]
    return real, fake, train, np.arange(60) // 4


def picture_battery(pictures, name: str) -> Battery:
    real, fake, train, patient = pictures
    reference = prepare_reference(
        np.eye(60), groups=patient, pixels=real, train_pixels=train, window=(-1000.0, 400.0), metrics=[name]
    )
    return measure(reference, fake=np.eye(60)[:50], pixels=fake, metrics=[name], contributions=True)


def test_errors_of_copies_are_those_of_a_rate(pictures):
    battery = picture_battery(pictures, "copy_rate")
    assert battery.estimates["copy_rate"].value == 4 / 50
    check(battery, "copy_rate", rate_error(4, 50), rate_error(4, 50))
    assert battery.contributions["copy_rate"].units.tolist() == [1.0] * 4 + [0.0] * 46


def test_errors_of_duplicates_are_the_jackknife(pictures):
    """A pair and a triple: without one of the pair neither is a duplicate."""
    fake = pictures[1]
    battery = picture_battery(pictures, "duplicate_rate")
    whole = duplicate_rate(fake=fake)
    without = np.array([duplicate_rate(fake=np.delete(fake, row, 0)) for row in range(50)])
    assert battery.estimates["duplicate_rate"].value == whole == 5 / 50
    se = jackknife_error(whole, without, np.ones(50, int))
    assert se > rate_error(5, 50)
    check(battery, "duplicate_rate", se, se)
    units = battery.contributions["duplicate_rate"].units
    pseudo = 50 * whole - 49 * without
    assert units - units.mean() == pytest.approx(pseudo - pseudo.mean())


def test_errors_of_intensity_are_signed_areas(pictures):
    real, fake, _, patient = pictures
    battery = picture_battery(pictures, "intensity_distance")
    below = [np.array([[(image <= grey).mean() for grey in range(255)] for image in side]) for side in (real, fake)]
    gap = below[1].mean(0) - below[0].mean(0)
    step = 1400 / 255
    of_real, of_fake = (side @ np.sign(gap) * step for side in below)
    se = mean_error(of_fake)
    assert battery.estimates["intensity_distance"].value == pytest.approx(step * abs(gap).sum())
    check(battery, "intensity_distance", se, np.hypot(se, mean_error(of_real, patient)))
    assert battery.contributions["intensity_distance"].units == pytest.approx(of_fake)


def test_errors_of_ms_ssim_are_those_of_a_mean_over_pairs(pictures):
    fake = pictures[1]
    battery = picture_battery(pictures, "ms_ssim")
    order = np.random.default_rng(0).permutation(50).reshape(25, 2)
    left, right = (torch.from_numpy(fake[order[:, side]]).float() for side in (0, 1))
    values = ms_ssim(left, right, data_range=255.0).double().numpy()
    assert battery.estimates["ms_ssim"].value == pytest.approx(values.mean(), rel=1e-5)
    check(battery, "ms_ssim", mean_error(values), mean_error(values), rel=1e-4)
    assert battery.contributions["ms_ssim"].units == pytest.approx(values, rel=1e-4)
