"""Nearest neighbours of every row within its own set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.metrics.neighbours import Neighbours, find_neighbours
from pytest_medgan.metrics.pairwise import Points, mean_of, own_products, points, products, true_places


def ready(rows: np.ndarray) -> Points:
    tensor = torch.from_numpy(rows)
    return points(tensor, mean_of(tensor))


def squared_distances(rows: np.ndarray) -> np.ndarray:
    """Squared distances float64 [N,N], infinite on the diagonal."""
    wide = rows.astype(np.float64)
    found = np.stack([((row - wide) ** 2).sum(1) for row in wide])
    np.fill_diagonal(found, np.inf)
    return found


def exact_radii(own: Points, near: Neighbours) -> np.ndarray:
    """Every radius, exact, float64 [N,K]."""
    rows = torch.arange(len(own))
    return np.stack([near.exact_radii(own, rows, torch.full_like(rows, k)).numpy() for k in range(len(near.ks))], 1)


@pytest.mark.parametrize("entries", [2**22, 64 * 70, 64 * 400])
def test_neighbours_equal_a_sort_of_all_distances_in_any_number_of_blocks(entries, monkeypatch):
    monkeypatch.setattr("pytest_medgan.metrics.pairwise.CPU_ENTRIES", entries)
    rows = np.random.default_rng(0).standard_normal((400, 6)).astype(np.float32)
    own = ready(rows)
    near = find_neighbours(own, (1, 3, 7), keep=12)
    expected = squared_distances(rows)
    order = expected.argsort(1)[:, : near.near.shape[1]]
    assert near.near.shape[1] == 20
    assert near.near.numpy() == pytest.approx(np.take_along_axis(expected, order, 1), rel=1e-4, abs=1e-5)
    assert (near.index.numpy() == order).mean() > 0.999  # near ties aside
    assert exact_radii(own, near) == pytest.approx(np.sort(expected, 1)[:, [0, 2, 6]], rel=1e-13)


def test_radii_of_every_hard_case_are_exact(hard, monkeypatch):
    monkeypatch.setattr("pytest_medgan.metrics.pairwise.CPU_ENTRIES", 64 * 64)
    for side in hard:
        rows = np.asarray(side, np.float32)
        own = ready(rows)
        found = exact_radii(own, find_neighbours(own, (1, 4)))
        assert found == pytest.approx(np.sort(squared_distances(rows), 1)[:, [0, 3]], rel=1e-13, abs=0)


def test_radius_is_exact_where_more_rows_tie_than_are_kept():
    """Forty rows at distances that float32 cannot tell apart; nine are kept as candidates."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((40, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = np.concatenate([np.zeros((1, 64)), directions * (1 + 1e-9 * rng.permutation(40))[:, None]])
    own = ready(rows)
    near = find_neighbours(own, (1,))
    assert near.near.shape[1] == 9
    assert exact_radii(own, near)[0, 0] == pytest.approx(squared_distances(rows)[0].min(), rel=1e-13)


def test_selected_ks_keep_their_radii():
    own = ready(np.random.default_rng(0).standard_normal((50, 3)))
    near = find_neighbours(own, (1, 2, 5))
    some = near.select((2,))
    assert some.ks == (2,)
    assert (some.radii[:, 0] == near.radii[:, 1]).all()


@pytest.mark.parametrize("entries", [2**22, 64 * 70])
def test_products_are_those_of_centred_rows_block_by_block(entries, monkeypatch):
    monkeypatch.setattr("pytest_medgan.metrics.pairwise.CPU_ENTRIES", entries)
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((rows, 5)) + 3 for rows in (200, 70))
    centre = mean_of(torch.from_numpy(right))
    one, other = points(torch.from_numpy(left), centre), points(torch.from_numpy(right), centre)
    expected = (left - right.mean(0)) @ (right - right.mean(0)).T
    blocks = [block.clone().numpy() for _, block in products(one, other)]
    assert len(blocks) == (1 if entries == 2**22 else 4)
    assert np.concatenate(blocks) == pytest.approx(expected, abs=1e-4)
    own = (left - right.mean(0)) @ (left - right.mean(0)).T
    for part, block in own_products(one):
        assert block.numpy() == pytest.approx(own[part, part.start :], abs=1e-4)
    assert one.squares.numpy() == pytest.approx(np.diag(own), rel=1e-5)
    assert one.along.numpy() == pytest.approx((left - right.mean(0)) @ right.mean(0), rel=1e-4)


def test_true_places_are_those_of_nonzero():
    mask = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) < 0.2
    row, column = true_places(mask)
    assert torch.equal(torch.stack([row, column], 1), mask.nonzero())
