"""Convolutions that a GPU differentiates twice, against torch's own, computed on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d

from pytest_medgan.gan import PGGANConfig, PGGANSettings, StyleGAN2Config, StyleGAN2Settings, convolution
from pytest_medgan.gan.convolution import average_pool, convolve, convolve_each, convolve_transposed, without_weights
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.pggan_training import PGGANTrainer
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.stylegan2_training import StyleGAN2Trainer
from pytest_medgan.records import ImageSet

Run = Callable[[Tensor, Tensor], Tensor]
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Run, Run]] = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 3), lambda x, w: convolve(x, w, padding=1), lambda x, w: conv2d(x, w, padding=1)),
    "one pixel": ((2, 1, 4, 4), (3, 1, 1, 1), convolve, conv2d),
    "halving": ((2, 3, 8, 7), (4, 3, 3, 3), lambda x, w: convolve(x, w, stride=2), lambda x, w: conv2d(x, w, stride=2)),
    "halving, odd rest": (
        (2, 3, 6, 8),
        (4, 3, 3, 3),
        lambda x, w: convolve(x, w, stride=2, padding=1),
        lambda x, w: conv2d(x, w, stride=2, padding=1),
    ),
    "each map": ((2, 3, 7, 8), (3, 1, 4, 4), convolve_each, lambda x, w: conv2d(x, w, groups=3)),
    "each map, halving": (
        (2, 3, 7, 8),
        (3, 1, 4, 4),
        lambda x, w: convolve_each(x, w, stride=2),
        lambda x, w: conv2d(x, w, stride=2, groups=3),
    ),
    "doubling": (
        (2, 3, 4, 5),
        (3, 2, 3, 3),
        lambda x, w: convolve_transposed(x, w, stride=2),
        lambda x, w: conv_transpose2d(x, w, stride=2),
    ),
}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_wants_second_derivatives", lambda x: torch.is_grad_enabled())


def drawn(case: str) -> tuple[Tensor, Tensor, Run, Run]:
    shape, weights, own, reference = CASES[case]
    seeded = torch.Generator().manual_seed(3)
    x, w = (torch.randn(s, generator=seeded, dtype=torch.float64, requires_grad=True) for s in (shape, weights))
    return x, w, own, reference


@pytest.mark.parametrize("on_gpu", [True, False], ids=["as on a GPU", "on a CPU"])
@pytest.mark.parametrize("case", CASES)
def test_convolution_equals_torch_in_value_and_in_both_derivatives(
    case: str, on_gpu: bool, request: pytest.FixtureRequest
) -> None:
    if on_gpu:
        request.getfixturevalue("as_on_a_gpu")
    x, w, own, reference = drawn(case)
    assert gradcheck(own, (x, w))
    assert gradgradcheck(own, (x, w))
    results = []
    for run in (own, reference):
        out = run(x, w)
        (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        results.append((out, first, *torch.autograd.grad(first.square().sum(), (x, w))))
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_each_map_is_convolved_to_what_autocast_makes_of_it(stride: int) -> None:
    seeded = torch.Generator().manual_seed(3)
    x, kernel = torch.randn(2, 3, 8, 8, generator=seeded), torch.randn(3, 1, 4, 4, generator=seeded)
    exact = conv2d(x, kernel, stride=stride, groups=3)
    with torch.autocast("cpu", torch.bfloat16):
        expected = conv2d(x, kernel, stride=stride, groups=3)
        mine = convolve_each(x.requires_grad_(), kernel, stride=stride)
    assert mine.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(mine.float(), exact, rtol=0.02, atol=0.02)
    (slope,) = torch.autograd.grad(mine.float().sum(), x)
    (exact_slope,) = torch.autograd.grad(conv2d(x, kernel, stride=stride, groups=3).sum(), x)
    torch.testing.assert_close(slope, exact_slope, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("on_gpu", [True, False], ids=["as on a GPU", "on a CPU"])
@pytest.mark.parametrize("weights", [(4, 3, 3, 3), (4, 1, 1, 1)], ids=["plain", "one pixel"])
def test_convolution_with_bias_equals_torch_under_autocast(
    weights: tuple[int, ...], on_gpu: bool, request: pytest.FixtureRequest
) -> None:
    if on_gpu:
        request.getfixturevalue("as_on_a_gpu")
    seeded = torch.Generator().manual_seed(3)
    shapes = (2, weights[1], 6, 6), weights, (4,)
    x, w, b = (torch.randn(s, generator=seeded, requires_grad=True) for s in shapes)
    padding = weights[2] // 2
    with torch.autocast("cpu", torch.bfloat16):
        mine, expected = convolve(x, w, b, padding=padding), conv2d(x, w, b, padding=padding)
    assert mine.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(mine, expected, rtol=2e-2, atol=2e-2)
    gradients = [torch.autograd.grad(out.float().square().sum(), (x, w, b)) for out in (mine, expected)]
    for one, other in zip(*gradients, strict=True):
        assert one.dtype == torch.float32
        assert torch.linalg.vector_norm(one - other) < 2e-2 * torch.linalg.vector_norm(other)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_without_weights_the_first_derivative_leaves_them_out_and_the_second_does_not() -> None:
    x, w, own, reference = drawn("plain")
    with without_weights():
        (first,) = torch.autograd.grad(own(x, w).square().sum(), x, create_graph=True)
        out = own(x, w).sum()
        assert torch.autograd.grad(out, w, allow_unused=True) == (None,)
    first.square().sum().backward()
    assert w.grad is not None
    (expected,) = torch.autograd.grad(reference(x, w).square().sum(), x, create_graph=True)
    torch.testing.assert_close(w.grad, torch.autograd.grad(expected.square().sum(), w)[0])


@pytest.mark.parametrize("name", ["pggan", "stylegan2"])
def test_step_with_all_penalties_equals_that_of_torchs_convolutions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"latent": 8, "generator_width": 4, "discriminator_width": 4}
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 16, 16), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(16).astype(str), "random")
    config, settings = {
        "pggan": (PGGANConfig(16, **small), PGGANSettings(batch=4, loss="logistic", penalty_every=1)),
        "stylegan2": (StyleGAN2Config(16, style=8, mapping=2, **small), StyleGAN2Settings(batch=4, path_every=1)),
    }[name]
    weights = []
    for wanted in (False, True):
        monkeypatch.setattr(convolution, "_wants_second_derivatives", lambda x, w=wanted: w and torch.is_grad_enabled())
        kind = PGGANTrainer if name == "pggan" else StyleGAN2Trainer
        trainer = kind(config, settings, images, world=World(), device=torch.device("cpu"), dtype=torch.float64)
        first = trainer.phases[-1].first_step if isinstance(trainer, PGGANTrainer) else 0
        for step in range(first, first + 3):
            Eager(trainer).step(step)
        networks = trainer.generator, trainer.discriminator
        weights.append(torch.cat([p.detach().flatten() for network in networks for p in network.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_average_pool_of_a_gpu_equals_torch(side: int) -> None:
    x = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moved = x.clone().as_subclass(_OnGPU)
    torch.testing.assert_close(average_pool(moved, side).as_subclass(Tensor), avg_pool2d(x, side))
    assert torch.equal(average_pool(x, side), avg_pool2d(x, side))


class _OnGPU(Tensor):
    """Say that it lies on a GPU."""

    is_cuda = True  # type: ignore[assignment]
