"""The membership attack: its area against counting pairs, and its error against the spread over new sets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pytest_medgan.metrics.membership import area_under_curve, nearest_distances, patient_means
from pytest_medgan.metrics.pairwise import mean_of, points
from tests.metrics.test_memorisation import FAKE, NAMES, features, reference


def test_area_equals_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 9, 40).astype(float), rng.integers(2, 12, 70).astype(float)
    truth = np.repeat([1, 0], [40, 70])
    expected = roc_auc_score(truth, -np.concatenate([members, others]))
    assert area_under_curve(members, others)[0] == pytest.approx(expected)
    assert area_under_curve(others, members)[0] == pytest.approx(1 - expected)


def test_error_is_the_spread_over_new_sets():
    rng = np.random.default_rng(1)
    found = [area_under_curve(rng.normal(0, 1, 60), rng.normal(0.5, 1, 80)) for _ in range(400)]
    areas, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(areas.std(ddof=1), rel=0.15)


def test_certain_attack_has_an_area_of_one_without_error():
    assert area_under_curve(np.zeros(5), np.ones(7)) == (1.0, 0.0)


def test_distances_are_those_to_the_nearest_image():
    import torch

    rows, fake = (torch.from_numpy(features(count, seed)) for count, seed in ((30, 1), (50, 2)))
    centre = mean_of(rows)
    found = nearest_distances(points(rows, centre), points(fake, centre))
    expected = np.linalg.norm(rows.numpy()[:, None] - fake.numpy()[None], axis=2).min(1)
    assert found == pytest.approx(expected, rel=1e-4)


def test_means_are_by_patient():
    assert patient_means(np.array([1.0, 3.0, 10.0]), np.array([0, 0, 1])).tolist() == [2.0, 10.0]


def test_generator_that_repeats_training_features_is_attacked():
    from pytest_medgan.metrics import measure

    fake = features(60, 4)[np.arange(100) % 60] + np.float32(0.05)
    area, error = measure(reference(), fake=fake, pixels=FAKE, metrics=NAMES, evidence=True).evidence.membership
    assert area > 0.95 > 0.5 + 5 * error
