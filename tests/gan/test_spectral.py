"""Spectral norm against torch's own and against singular values in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from pytest_medgan.gan.spectral import Spectral, SpectralConv, SpectralDense, SpectralEmbedding


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def made(layer: Spectral, seed: int = 0) -> Spectral:
    layer.double()
    with torch.no_grad():
        layer.weight.copy_(normal(*layer.weight.shape, seed=seed))
        layer.vector.copy_(normal(*layer.vector.shape, seed=seed + 1))
        if layer.bias is not None:
            layer.bias.copy_(normal(*layer.bias.shape, seed=seed + 2))
    return layer


def test_each_step_of_training_equals_that_of_torch() -> None:
    """Torch keeps the other singular vector as well; over dimension 1 its iteration begins with the one kept here."""
    ours = made(SpectralDense(6, 4))
    peer = spectral_norm(nn.Linear(6, 4).double(), dim=1, eps=1e-12)
    norm = peer.parametrizations.weight
    with torch.no_grad():
        norm.original.copy_(ours.weight)
        norm[0]._v.copy_(nn.functional.normalize(ours.vector, dim=0))
        peer.bias.copy_(ours.bias)
    optimisers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (ours, peer)]
    for step in range(5):
        x = normal(3, 6, seed=step)
        for layer, optimiser in zip((ours, peer), optimisers, strict=True):
            optimiser.zero_grad()
            layer(x).square().sum().backward()
            optimiser.step()
        torch.testing.assert_close(ours.weight.grad, norm.original.grad)
        torch.testing.assert_close(ours.weight, norm.original)
        torch.testing.assert_close(ours.vector, norm[0]._v)


@pytest.mark.parametrize(
    "layer", [SpectralConv(3, 5, 3), SpectralDense(7, 4), SpectralEmbedding(6, 3)], ids=["conv", "dense", "embedding"]
)
def test_weight_has_a_largest_singular_value_of_one_after_many_passes(layer: Spectral) -> None:
    made(layer)
    for _ in range(500):
        layer.normalised()
    matrix = layer.normalised().detach().flatten(1)
    assert float(torch.linalg.matrix_norm(matrix, ord=2)) == pytest.approx(1, rel=1e-9)
    sigma = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
    torch.testing.assert_close(matrix, layer.weight.detach().flatten(1) / sigma)


def test_convolution_converges_to_that_of_torch() -> None:
    ours = made(SpectralConv(3, 5, 3))
    peer = nn.Conv2d(3, 5, 3, padding=1).double()
    with torch.no_grad():
        peer.weight.copy_(ours.weight)
        peer.bias.copy_(ours.bias)
    peer = spectral_norm(peer)
    x = normal(2, 3, 8, 8)
    with torch.no_grad():
        for _ in range(500):
            ours(x), peer(x)
    torch.testing.assert_close(ours(x), peer(x))


def test_vector_moves_in_training_mode_alone() -> None:
    layer = made(SpectralDense(6, 4))
    before = layer.vector.clone()
    layer.eval()
    layer(normal(2, 6))
    assert torch.equal(layer.vector, before)
    layer.train()
    layer(normal(2, 6))
    assert not torch.equal(layer.vector, before)
    assert "vector" in layer.state_dict()


def test_length_of_the_vector_does_not_matter() -> None:
    """A moving average of unit vectors is shorter than one."""
    layer = made(SpectralDense(6, 4)).eval()
    expected = layer.normalised()
    layer.vector.mul_(0.01)
    torch.testing.assert_close(layer.normalised(), expected)


def test_gradient_goes_through_the_singular_value() -> None:
    """The weight over its norm does not change with the weight's scale, so the gradient is orthogonal to the weight."""
    layer = made(SpectralDense(6, 4))
    layer(normal(5, 6)).square().sum().backward()
    assert float((layer.weight.grad * layer.weight.detach()).sum()) == pytest.approx(0, abs=1e-9)
    assert float(layer.weight.grad.abs().sum()) > 0.1


def test_singular_value_is_computed_in_float32_under_autocast() -> None:
    layer = SpectralDense(6, 4)
    with torch.no_grad():
        layer.weight.normal_(generator=torch.Generator().manual_seed(0))
        layer.vector.normal_(generator=torch.Generator().manual_seed(1))
    layer.eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.normalised()
    assert found.dtype == torch.float32
    assert torch.equal(found, layer.normalised())
