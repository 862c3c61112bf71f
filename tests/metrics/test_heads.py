"""Heads: thresholds against brute force, halves of patients, and what cannot be learned."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pytest_medgan.metrics.heads import FALSE_ALARMS, FOLDS, LEAST_IMAGES, LEAST_PATIENTS, fit_heads, share_false_alarms
from pytest_medgan.records import Alteration

PATIENT = np.arange(400) // 4


def features(seed: int, count: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)


def shifted(seed: int, amount: float, column: int) -> np.ndarray:
    rows = features(seed)
    rows[:, column] += amount
    return rows


ALTERED = {Alteration.STREAKS: shifted(1, 5, 0), Alteration.NOISE: shifted(2, 2.5, 1), Alteration.GHOST: features(3)}


@pytest.fixture(scope="module")
def heads():
    return fit_heads(features(0), ALTERED, PATIENT)


def test_share_of_real_images_beyond_the_thresholds_is_as_stated(heads):
    share = (heads.real > 0).mean()
    assert FALSE_ALARMS - 1 / 400 <= share <= FALSE_ALARMS
    fresh = (heads.margins(features(9, 20000)).max(2) > 0).mean()
    assert 0.5 * FALSE_ALARMS < fresh < 2 * FALSE_ALARMS


def test_real_margins_are_those_of_heads_that_have_not_seen_the_patient(heads):
    """A patient's margins come from one set of heads, and changing the patient's images leaves that set unchanged."""
    both = heads.margins(features(0)).max(2)
    from_first = both[0] == pytest.approx(heads.real, abs=1e-12)
    assert not from_first  # some are from the second
    used = np.array([[abs(side[row] - heads.real[row]) < 1e-9 for side in both] for row in range(400)])
    assert used.any(1).all()
    half = used[:, 0]
    assert all(len(set(half[patient == PATIENT])) == 1 for patient in range(100))
    assert 40 <= sum(half[patient == PATIENT][0] for patient in range(100)) <= 60
    one = int(np.flatnonzero(half)[0])
    rows = PATIENT[one] == PATIENT
    changed = features(0)
    changed[rows] += 100
    again = fit_heads(changed, ALTERED, PATIENT)
    direction = heads.weights[0] / np.linalg.norm(heads.weights[0], axis=0)
    assert again.weights[0] / np.linalg.norm(again.weights[0], axis=0) == pytest.approx(direction, abs=1e-6)
    assert again.weights[1] != pytest.approx(heads.weights[1], rel=0.01)


def test_alteration_that_cannot_be_told_takes_no_part(heads):
    assert heads.alterations == (Alteration.STREAKS, Alteration.NOISE)
    assert heads.blind == (Alteration.GHOST,)
    assert heads.found[Alteration.STREAKS] > 0.95 > heads.found[Alteration.NOISE] > 0.3
    assert heads.weights.shape == (FOLDS, 6, 2)
    assert fit_heads(features(0), {Alteration.GHOST: features(3)}, PATIENT) is None


def test_too_few_images_or_patients_give_no_heads():
    few = {name: rows[: LEAST_IMAGES - 1] for name, rows in ALTERED.items()}
    assert fit_heads(features(0)[: LEAST_IMAGES - 1], few, PATIENT[: LEAST_IMAGES - 1]) is None
    assert fit_heads(features(0), ALTERED, np.arange(400) % (LEAST_PATIENTS - 1)) is None
    assert fit_heads(features(0), ALTERED, np.arange(400) % LEAST_PATIENTS) is not None


def test_constant_features_give_no_heads():
    flat = np.zeros((400, 3), np.float32)
    assert fit_heads(flat, {Alteration.NOISE: flat}, PATIENT) is None


def test_thresholds_maximise_what_the_weakest_head_finds():
    """Against every choice of one real score per head that keeps to the share."""
    rng = np.random.default_rng(0)
    real, altered = rng.standard_normal((60, 2)), rng.normal([1.5, 2.5], size=(80, 2))
    share = 0.1
    thresholds = share_false_alarms(real, altered, share)
    assert (real > thresholds).any(1).mean() <= share
    best = max(
        (altered > cut).mean(0).min() for cut in product(*real.T) if (real > np.array(cut)).any(1).mean() <= share
    )
    assert (altered > thresholds).mean(0).min() >= best - 0.03


def test_directions_are_those_of_a_logistic_regression_in_float64(heads):
    """Newton's method on the penalised likelihood, written out."""
    half = np.random.default_rng(0).permutation(np.arange(100) % FOLDS)[PATIENT]
    for fold in range(FOLDS):
        plain, changed = features(0)[half != fold], ALTERED[Alteration.STREAKS][half != fold]
        mean, spread = plain.mean(0, dtype=np.float64), plain.std(0, dtype=np.float64)
        rows = np.concatenate([plain, changed])
        x = np.column_stack([(rows - mean) / spread, np.ones(len(rows))])
        y = np.repeat([0.0, 1.0], [len(plain), len(changed)])
        penalty = np.diag([1 / 0.003] * 6 + [0.0])
        weights = np.zeros(7)
        for _ in range(100):
            p = 1 / (1 + np.exp(-x @ weights))
            step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, x.T @ (y - p) - penalty @ weights)
            weights += step
        expected = weights[:6] / spread
        found = heads.weights[fold, :, 0]
        assert found / np.linalg.norm(found) == pytest.approx(expected / np.linalg.norm(expected), abs=2e-3)
