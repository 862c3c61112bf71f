"""Inception Score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inception_score, inputs, measure, prepare_reference


@pytest.fixture
def probabilities():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((500, 4))
    exponential = np.exp(logits)
    return exponential / exponential.sum(1, keepdims=True)


def test_score_of_equal_rows_is_one():
    assert inception_score(probabilities=np.tile([0.2, 0.8], (50, 1))) == pytest.approx(1, abs=1e-12)


def test_score_of_two_certain_halves_is_two():
    assert inception_score(probabilities=np.repeat([[1.0, 0.0], [0.0, 1.0]], 25, 0), splits=1) == pytest.approx(2)


def test_score_with_one_split_equals_definition(probabilities):
    average = probabilities.mean(0)
    divergence = [sum(p * np.log(p / q) for p, q in zip(row, average, strict=True)) for row in probabilities]
    assert inception_score(probabilities=probabilities, splits=1) == pytest.approx(np.exp(np.mean(divergence)))


def test_seed_decides_the_splits(probabilities):
    first = inception_score(probabilities=probabilities, splits=10, seed=0)
    assert inception_score(probabilities=torch.from_numpy(probabilities), splits=10, seed=0) == first
    assert inception_score(probabilities=probabilities, splits=10, seed=1) != first


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[0.5, -0.5, 1.0]], "negative"),
        ([[0.5, 0.7]], "do not sum to 1"),
        ([[np.nan, 1.0]], "NaN"),
        ([0.5, 0.5], r"shape \[2\]"),
        (np.empty((0, 2)), r"shape \[0, 2\]"),
    ],
)
def test_wrong_probabilities_are_named(value, said):
    with pytest.raises(MetricInputError, match=f"probabilities.*{said}"):
        inception_score(probabilities=value)


def test_standard_error_is_the_spread_over_draws():
    rng = np.random.default_rng(0)
    reference = prepare_reference(rng.standard_normal((10, 2)), metrics=["inception_score"])
    found = []
    for _ in range(300):
        p = rng.beta(0.5, 0.5, 400)
        battery = measure(
            reference,
            fake=np.zeros((400, 2)),
            probabilities=np.stack([p, 1 - p], 1),
            metrics=["inception_score"],
        )
        found.append((battery.estimates["inception_score"].value, battery.estimates["inception_score"].se))
    values, errors = np.array(found).T
    assert 0.85 < np.sqrt((errors**2).mean()) / values.std(ddof=1) < 1.15


@pytest.mark.peer
def test_score_equals_torch_fidelity(probabilities):
    metric = pytest.importorskip("torch_fidelity.metric_isc")
    peer = metric.isc_features_to_metric(torch.from_numpy(np.log(probabilities)), splits=1, shuffle=False)
    found = inception_score(probabilities=probabilities, splits=1)
    assert found == pytest.approx(peer[0] if isinstance(peer, tuple) else peer["inception_score_mean"], rel=1e-6)


def test_probabilities_that_nearly_sum_to_one_are_made_to():
    assert inputs.probabilities([[0.7, 0.3009]]).sum() == pytest.approx(1, abs=1e-12)
