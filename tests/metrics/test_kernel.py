"""Kernel distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import kernel_distance


@pytest.mark.parametrize("shift", [0.0, 3.0, 30.0])
def test_distance_of_shifted_features_equals_oracle(two_sets, kernel_oracle, shift):
    real, fake = (side + np.float32(shift) for side in two_sets)
    expected = kernel_oracle(real=real, fake=fake)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(expected, rel=2e-6)


def test_distance_of_equal_distributions_is_zero_on_average():
    found = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        found.append(kernel_distance(real=rng.standard_normal((60, 8)), fake=rng.standard_normal((60, 8))))
    assert min(found) < 0
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_number_of_blocks_does_not_change_the_distance(two_sets, monkeypatch):
    real, fake = two_sets
    whole = kernel_distance(real=real, fake=fake)
    monkeypatch.setattr("pytest_medgan.metrics.pairwise.CPU_ENTRIES", 64 * 300)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(whole, rel=1e-7)


def test_single_row_is_refused():
    with pytest.raises(MetricInputError, match=r"fake has shape \[1, 3\]: too few rows"):
        kernel_distance(real=np.zeros((4, 3)), fake=np.zeros((1, 3)))


@pytest.mark.peer
def test_distance_equals_torch_fidelity_on_one_subset_of_all_rows(two_sets):
    metric = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = (torch.from_numpy(side[:300]).double() for side in two_sets)
    peer = metric.kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=300, verbose=False)
    found = kernel_distance(real=real, fake=fake)
    assert found == pytest.approx(peer["kernel_inception_distance_mean"], rel=1e-6)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_distance_equals_torchmetrics(two_sets):
    module = pytest.importorskip("torchmetrics.image.kid")
    real, fake = (torch.from_numpy(side[:300]).double() for side in two_sets)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(float(module.poly_mmd(real, fake)), rel=1e-6)
