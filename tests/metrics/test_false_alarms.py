"""Threshold of false alarms: against a literal search, where images of a patient are alike, and for few patients."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.metrics.false_alarms import alarm_threshold


def literal_threshold(scores: np.ndarray, group: np.ndarray, share: float) -> float:
    """Try every k, judge every image by the images of other patients."""
    best = 0
    for k in range(len(scores)):
        count = 0
        for score, patient in zip(scores, group, strict=True):
            count += sum(other >= score for other in scores[group != patient]) <= k
        if count <= share * len(scores):
            best = k
    return sorted(scores, reverse=True)[best]


@pytest.mark.parametrize("alike", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("digits", [1, 8])
def test_threshold_equals_that_of_a_literal_search(alike: float, digits: int):
    rng = np.random.default_rng(int(alike) + digits)
    for patients in (2, 9, 40):
        group = np.unique(rng.integers(0, patients, 90), return_inverse=True)[1]
        scores = (alike * rng.standard_normal(patients)[group] + rng.standard_normal(90)).round(digits)
        assert alarm_threshold(scores, group, 0.05) == literal_threshold(scores, group, 0.05)


def test_images_of_patients_of_one_image_are_cut_at_the_plain_share():
    scores = np.random.default_rng(0).permutation(1000.0 * np.arange(200))
    threshold = alarm_threshold(scores, np.arange(200), 0.02)
    assert (scores > threshold).sum() == 3  # the fourth one lies outside when it is judged by the others alone
    assert [(scores[scores != s] >= s).sum() <= 3 for s in np.sort(scores)[-5:]] == [False, True, True, True, True]


@pytest.mark.parametrize("alike", [0.0, 1.0, 30.0])
def test_share_of_new_patients_beyond_is_at_most_as_stated_where_images_of_a_patient_are_alike(alike: float):
    rng, shares = np.random.default_rng(5), []
    group = np.arange(600) // 6
    for _ in range(300):
        known, new = (alike * rng.standard_normal(100)[group] + rng.standard_normal(600) for _ in range(2))
        shares.append((new > alarm_threshold(known, group, 0.02)).mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) < 0.02 + 3 * error
    assert np.mean(shares) > 0.012


def test_few_patients_take_the_largest_score():
    scores = np.arange(240.0)
    assert alarm_threshold(scores, np.arange(240) // 10, 0.02) == 239
    assert alarm_threshold(scores, np.arange(240) // 10, 0.05) == 230  # a second patient would count in full


def test_equal_scores_are_not_beyond():
    assert alarm_threshold(np.ones(300), np.arange(300) // 3, 0.02) == 1
