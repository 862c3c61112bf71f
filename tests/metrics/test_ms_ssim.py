"""MS-SSIM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import ms_ssim_diversity
from pytest_medgan.metrics.similarity import WEIGHTS, ms_ssim


@pytest.fixture
def monai_pair():
    torch.manual_seed(0)
    one = torch.abs(torch.randn(1, 1, 64, 64))
    two = torch.abs(torch.randn(1, 1, 64, 64))
    return one / one.max(), two / two.max()


def test_gaussian_window_equals_value_published_by_monai(monai_pair):
    found = ms_ssim(*monai_pair, data_range=1.0, weights=[0.5, 0.5])
    assert float(found) == pytest.approx(0.023176, abs=5e-5)


def oracle(one, two):
    """Literal loops over windows, two scales."""
    offset = np.arange(11) - 5
    kernel = np.exp(-0.5 * (offset / 1.5) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    value, weights = 1.0, (0.5, 0.5)
    for scale, weight in enumerate(weights):
        terms = []
        for y in range(one.shape[0] - 10):
            for x in range(one.shape[1] - 10):
                a, b = one[y : y + 11, x : x + 11], two[y : y + 11, x : x + 11]
                ma, mb = (kernel * a).sum(), (kernel * b).sum()
                va, vb = (kernel * a * a).sum() - ma**2, (kernel * b * b).sum() - mb**2
                structure = (2 * ((kernel * a * b).sum() - ma * mb) + 0.03**2) / (va + vb + 0.03**2)
                terms.append(structure * ((2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4) if scale else 1))
        value *= max(np.mean(terms), 0) ** weight
        if scale == 0:
            one, two = ((s[::2, ::2] + s[1::2, ::2] + s[::2, 1::2] + s[1::2, 1::2]) / 4 for s in (one, two))
    return value


def test_similarity_equals_oracle():
    rng = np.random.default_rng(0)
    one = rng.uniform(0, 1, (28, 24))
    two = 0.7 * one + 0.3 * rng.uniform(0, 1, (28, 24))
    pair = (torch.from_numpy(side)[None, None] for side in (one, two))
    assert float(ms_ssim(*pair, data_range=1.0, weights=[0.5, 0.5])) == pytest.approx(oracle(one, two), abs=1e-9)


def test_image_equals_itself_and_small_images_use_fewer_scales():
    image = torch.rand(2, 1, 176, 176, generator=torch.Generator().manual_seed(0))
    assert ms_ssim(image, image, data_range=1.0).tolist() == pytest.approx([1, 1], abs=1e-6)
    small = image[..., :128, :128]
    four = tuple(w / sum(WEIGHTS[:4]) for w in WEIGHTS[:4])
    noisy = small + 0.1 * torch.rand(small.shape, generator=torch.Generator().manual_seed(1))
    found = ms_ssim(small, noisy, data_range=1.0)
    assert found.tolist() == pytest.approx(ms_ssim(small, noisy, data_range=1.0, weights=four).tolist())


def test_collapsed_generator_is_less_diverse():
    rng = np.random.default_rng(0)
    diverse = rng.integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    collapsed = np.repeat(diverse[:1], 20, 0)
    assert ms_ssim_diversity(fake=collapsed) == pytest.approx(1)
    assert ms_ssim_diversity(fake=diverse) < 0.3
    assert ms_ssim_diversity(fake=diverse, seed=0) == ms_ssim_diversity(fake=diverse, seed=0)


def test_too_small_or_too_few_images_are_refused():
    with pytest.raises(MetricInputError, match="too small for 11x11 windows"):
        ms_ssim_diversity(fake=np.zeros((4, 1, 10, 10), np.uint8))
    with pytest.raises(MetricInputError, match=r"fake has shape \[1, 1, 32, 32\]"):
        ms_ssim_diversity(fake=np.zeros((1, 1, 32, 32), np.uint8))


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_similarity_is_close_to_torchmetrics_which_pads(monai_pair):
    """It pads; its own value for the pair is .022421 (see REFERENCE: padded borders count)."""
    image = pytest.importorskip("torchmetrics.functional.image")
    peer = image.multiscale_structural_similarity_index_measure(
        *monai_pair, data_range=1.0, betas=(0.5, 0.5), kernel_size=11, sigma=1.5
    )
    assert float(peer) == pytest.approx(0.022421, abs=5e-5)
    assert float(ms_ssim(*monai_pair, data_range=1.0, weights=[0.5, 0.5])) == pytest.approx(float(peer), abs=1e-3)


@pytest.mark.parametrize("size", [(16, 64), (64, 16)])
def test_shorter_side_decides_how_many_scales_fit(size):
    left, right = torch.rand(2, 3, 1, *size, generator=torch.Generator().manual_seed(0))
    found = ms_ssim(left, right, data_range=1.0)
    assert torch.equal(found, ms_ssim(left, right, data_range=1.0, weights=(1.0,)))
