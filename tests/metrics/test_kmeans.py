"""Mini-batch k-means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.metrics.kmeans import cluster


def inertia(rows, labels):
    """Sum of squared distances to the means of the clusters."""
    return sum(((rows[labels == one] - rows[labels == one].mean(0)) ** 2).sum() for one in np.unique(labels))


@pytest.mark.parametrize("size", [40, 900])
def test_distant_clusters_are_found_by_every_run_in_the_order_of_rows(size):
    """Below and above the size of a batch, with some rows of either side, in an order of their own."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, (2, size))
    sides = (100 * np.eye(4)[kind] + rng.standard_normal((2, size, 4))).astype(np.float32)
    chosen = np.arange(0, size, 3), rng.permutation(size)
    pairs = [(torch.from_numpy(side), rows) for side, rows in zip(sides, chosen, strict=True)]
    expected = np.concatenate([kind[0][chosen[0]], kind[1][chosen[1]]])
    labels = cluster(pairs, 4, 5, seed=3).numpy()
    assert labels.shape == (5, len(expected))
    for run in labels:
        assert len({*zip(run.tolist(), expected.tolist(), strict=True)}) == 4


def test_seed_decides_the_clusters():
    rows = torch.randn(1500, 6, generator=torch.Generator().manual_seed(0))
    once, again, other = (cluster([(rows, np.arange(1500))], 10, 3, seed) for seed in (0, 0, 1))
    assert (once == again).all()
    assert (once != other).any()
    assert (once[0] != once[1]).any()


def test_equal_rows_share_one_cluster():
    labels = cluster([(torch.full((30, 3), 0.5), np.arange(30))], 8, 2, seed=0)
    assert all(len(set(run.tolist())) == 1 for run in labels)


def test_every_run_goes_on_with_its_best_start():
    """Of twenty clusters at random places a single start often misses one, which later batches do not mend."""
    rng = np.random.default_rng(0)
    places, kind = rng.uniform(0, 30, (20, 2)), rng.integers(0, 20, 600)
    rows = (places[kind] + 0.3 * rng.standard_normal((600, 2))).astype(np.float32)
    runs = cluster([(torch.from_numpy(rows), np.arange(600))], 20, 5, seed=1).numpy()
    assert max(inertia(rows, run) for run in runs) < 1.1 * inertia(rows, kind)


@pytest.mark.peer
def test_inertia_equals_that_of_scikit_learn_on_average():
    from sklearn.cluster import MiniBatchKMeans

    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((3000, 12)) * np.linspace(2, 0.3, 12)).astype(np.float32)
    ours = [inertia(rows, run) for run in cluster([(torch.from_numpy(rows), np.arange(3000))], 20, 10, seed=0).numpy()]
    theirs = [
        inertia(rows, MiniBatchKMeans(n_clusters=20, n_init=10, random_state=seed).fit(rows).labels_)
        for seed in range(10)
    ]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.02)
