"""Literal float64 oracles, written for reading and not for speed, and feature sets that are hard to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.linalg
import torch

Array = np.ndarray
Oracle = Callable[..., tuple[float, float, float, float]]


def squared(left: Array, right: Array) -> Array:
    """Squared distances, as sums of squared differences."""
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return np.stack([((row - right) ** 2).sum(1) for row in left])


def _inside(*, owners: Array, probes: Array, k: int, strict: bool = False) -> Array:
    """bool [probes,owners]: which probe lies in whose ball."""
    own = squared(owners, owners)
    np.fill_diagonal(own, np.inf)
    return (np.less if strict else np.less_equal)(squared(probes, owners), np.sort(own, 1)[:, k - 1])


def _balls(*, real: Array, fake: Array, k: int, strict: bool = False) -> tuple[float, float, float, float]:
    in_real = _inside(owners=real, probes=fake, k=k, strict=strict)
    in_fake = _inside(owners=fake, probes=real, k=k, strict=strict)
    return in_real.any(1).mean(), in_fake.any(1).mean(), in_real.sum() / k / len(fake), in_real.any(0).mean()


def _frechet(*, real: Array, fake: Array) -> float:
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    gap = real.mean(0) - fake.mean(0)
    nuclear = scipy.linalg.svdvals(
        ((fake - fake.mean(0)) @ (real - real.mean(0)).T) / np.sqrt((len(real) - 1) * (len(fake) - 1))
    ).sum()
    return float(gap @ gap + real.var(0, ddof=1).sum() + fake.var(0, ddof=1).sum() - 2 * nuclear)


def _kernel(*, real: Array, fake: Array) -> float:
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)

    def k(a: Array, b: Array) -> Array:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(rows: Array) -> float:
        own = k(rows, rows)
        return (own.sum() - np.trace(own)) / len(rows) / (len(rows) - 1)

    return float(within(real) + within(fake) - 2 * k(real, fake).mean())


def _hard() -> dict[str, tuple[Array, Array]]:
    rng = np.random.default_rng(7)
    few = rng.standard_normal((40, 8)).astype(np.float32)
    other = rng.standard_normal((30, 8)).astype(np.float32)
    plain = rng.standard_normal((220, 64)).astype(np.float32)
    return {
        "plain": (plain, (0.9 * rng.standard_normal((170, 64)) + 0.1).astype(np.float32)),
        "duplicated rows": (np.repeat(few, 3, 0), np.concatenate([np.repeat(other, 4, 0), few[:20]])),
        "identical sets": (plain, plain.copy()),
        "all rows equal": (np.full((40, 16), 0.1, np.float32), np.full((30, 16), 0.1, np.float32)),
        "all rows equal, apart": (np.full((40, 16), 0.1, np.float32), np.full((30, 16), 0.3, np.float32)),
        "integer lattice": (rng.integers(0, 3, (160, 5)).astype(np.float32), rng.integers(0, 3, (130, 5))),
        "fine lattice": (rng.integers(0, 2, (120, 40)).astype(np.float32), rng.integers(0, 2, (140, 40))),
        "mean of 1e3": (plain + np.float32(1e3), plain[::-1].copy() * np.float32(1.1) + np.float32(1e3)),
        "near ties": (
            few[rng.integers(0, 40, 150)] + np.float32(1e-6) * rng.standard_normal((150, 8)).astype("f"),
            few,
        ),
        "one cluster far away": (plain, np.concatenate([plain[:60] * np.float32(1e-3), plain[60:120] + 50])),
    }


HARD = _hard()


@pytest.fixture(params=list(HARD))
def hard(request: pytest.FixtureRequest) -> tuple[Array, Array]:
    """(real, fake) on which rounding decides."""
    return HARD[request.param]


@pytest.fixture
def balls_oracle() -> Oracle:
    """(improved precision, improved recall, density, coverage) of real and fake at k."""
    return _balls


@pytest.fixture
def inside_oracle() -> Callable[..., Array]:
    """bool [probes,owners]"""
    return _inside


@pytest.fixture
def frechet_oracle() -> Callable[..., float]:
    return _frechet


@pytest.fixture
def kernel_oracle() -> Callable[..., float]:
    return _kernel


@pytest.fixture
def two_sets() -> tuple[Array, Array]:
    """(real, fake) float32 [400,32] and [300,32] that overlap in part."""
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((32, 32)) / 4
    real = rng.standard_normal((400, 32)) @ mixing
    fake = 0.9 * rng.standard_normal((300, 32)) @ mixing + 0.2
    return real.astype(np.float32), fake.astype(np.float32)


@pytest.fixture
def one_thread_each() -> Iterator[None]:
    """Run torch on one thread: float32 products depend on how they are divided among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def smooth() -> Array:
    """Images uint8 [80,1,64,64] that differ from one another at every scale."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 200, (80, 8, 8))
    images = np.kron(coarse, np.ones((1, 8, 8))) + rng.normal(0, 4, (80, 64, 64))
    return images.clip(0, 255).astype(np.uint8)[:, None]


@pytest.fixture
def add_noise() -> Callable[[Array, int], Array]:
    """A function that moves every grey level by at most an amount."""

    def add(images: Array, amount: int) -> Array:
        noise = np.random.default_rng(1).integers(-amount, amount + 1, images.shape)
        return (images.astype(int) + noise).clip(0, 255).astype(np.uint8)

    return add
