"""The growing networks are those of the reference, and grow without a jump."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import avg_pool2d, leaky_relu

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.pggan import (
    EqualConv2d,
    EqualDense,
    PGGANDiscriminator,
    PGGANGenerator,
    StagedGenerator,
    fade,
    initialise,
    maps,
    minibatch_deviation,
    pixel_norm,
    upsample,
)
from pytest_medgan.gan.pggan_settings import PGGANConfig

SMALL = PGGANConfig(32, latent=8, generator_width=8, discriminator_width=8)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small(kind: type[nn.Module]) -> nn.Module:
    network = kind(SMALL)
    initialise(network, torch.Generator().manual_seed(0))
    return network.double()


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_parameter_counts_are_those_of_the_reference() -> None:
    with torch.device("meta"):
        generator, discriminator = PGGANGenerator(PGGANConfig()), PGGANDiscriminator(PGGANConfig())
    assert count(generator) == 22_928_518
    assert count(discriminator) == 22_936_449
    assert count(generator) - sum(count(layer) for layer in list(generator.to_rgb)[:-1]) == 22_926_209
    assert count(discriminator) - sum(count(layer) for layer in list(discriminator.from_rgb)[:-1]) == 22_931_841


def test_maps_halve_beyond_32() -> None:
    assert [maps(512, r) for r in (4, 8, 16, 32, 64, 128, 256)] == [512, 512, 512, 512, 256, 128, 64]


def test_equalised_weights_have_unit_variance_at_rest_and_are_scaled_when_used() -> None:
    network = PGGANDiscriminator(PGGANConfig(16, discriminator_width=64))
    initialise(network, torch.Generator().manual_seed(0))
    for layer in network.modules():
        if isinstance(layer, EqualConv2d | EqualDense) and layer.weight.numel() > 5000:
            assert layer.weight.var().item() == pytest.approx(1.0, abs=0.06)
            assert not layer.bias.any()
    layer = EqualConv2d(64, 512, 3)
    initialise(layer, torch.Generator().manual_seed(1))
    x = torch.randn(4, 64, 32, 32, generator=torch.Generator().manual_seed(2))
    # gain sqrt(2) in front of a LeakyReLU: variance 2 for input of variance 1, away from the padded border
    assert layer(x)[:, :, 1:-1, 1:-1].var().item() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_fade_begins_at_the_stage_before_and_ends_at_the_new_one(resolution: int) -> None:
    generator, discriminator = small(PGGANGenerator), small(PGGANDiscriminator)
    z, images = noise(4, 8), noise(4, 1, resolution, resolution)
    half = resolution // 2
    assert torch.equal(generator(z, resolution, 0.0), upsample(generator(z, half)))
    assert torch.equal(discriminator(images, resolution, 0.0), discriminator(avg_pool2d(images, 2), half))
    just_below_one = float(np.nextafter(1.0, 0.0))
    for network, x in ((generator, z), (discriminator, images)):
        torch.testing.assert_close(network(x, resolution, just_below_one), network(x, resolution), rtol=0, atol=1e-13)
    old, new = upsample(generator(z, half)), generator(z, resolution)
    assert not torch.allclose(old, new, atol=1e-3)
    torch.testing.assert_close(generator(z, resolution, 0.25), 0.75 * old + 0.25 * new)


def test_stage_does_not_depend_on_layers_beyond_it() -> None:
    generator, discriminator = small(PGGANGenerator), small(PGGANDiscriminator)
    for parameter in generator.blocks[3].parameters():
        nn.init.constant_(parameter, float("nan"))
    assert torch.isfinite(generator(noise(2, 8), 16)).all()
    assert torch.isfinite(discriminator(generator(noise(2, 8), 16), 16)).all()
    assert generator(noise(2, 8), 32).isnan().any()


def test_pixel_norm_makes_the_mean_square_over_maps_one() -> None:
    x = noise(3, 6, 4, 4) * 7
    normalised = pixel_norm(x)
    torch.testing.assert_close(normalised.square().mean(1), torch.ones(3, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(normalised[0, :, 1, 2], x[0, :, 1, 2] / x[0, :, 1, 2].square().mean().sqrt())


def test_latents_are_normalised_so_their_length_does_not_matter() -> None:
    generator = small(PGGANGenerator)
    torch.testing.assert_close(generator(noise(2, 8) * 5, 8), generator(noise(2, 8), 8))


def test_minibatch_deviation_uses_the_biased_variance_within_its_group() -> None:
    x = noise(8, 3, 4, 4)
    out = minibatch_deviation(x, 4)
    assert out.shape == (8, 4, 4, 4)
    assert torch.equal(out[:, :3], x)
    for start in (0, 4):
        # ddof=0; over four images ddof=1 would be 15% more
        expected = np.sqrt(np.var(x[start : start + 4].numpy(), axis=0, ddof=0) + 1e-8).mean()
        np.testing.assert_allclose(out[start : start + 4, 3].numpy(), expected, rtol=1e-12)
    assert not torch.allclose(out[0, 3], out[4, 3])
    same = minibatch_deviation(x[:1].repeat(4, 1, 1, 1), 4)
    np.testing.assert_allclose(same[:, 3].numpy(), 1e-4, rtol=1e-9)  # sqrt(1e-8): nothing varies
    with pytest.raises(SettingsError, match="groups of 4"):
        minibatch_deviation(x[:6], 4)


def test_generator_normalises_behind_the_activation_and_not_after_to_rgb() -> None:
    generator = small(PGGANGenerator)
    z = noise(2, 8)
    x = pixel_norm(leaky_relu(generator.dense(pixel_norm(z)), 0.2))
    x = pixel_norm(leaky_relu(generator.blocks[0][0](x), 0.2))
    assert torch.equal(generator(z, 4), generator.to_rgb[0](x))


def test_growing_generator_is_shown_at_full_size() -> None:
    generator = small(PGGANGenerator)
    z = noise(2, 8)
    shown = StagedGenerator(generator, SMALL, 8, 0.5)(z)
    assert shown.shape == (2, 1, 32, 32)
    assert torch.equal(shown[:, :, ::4, ::4], generator(z, 8, 0.5))
    assert torch.equal(shown[:, :, 3::4, 3::4], generator(z, 8, 0.5))


@pytest.mark.parametrize("size", [4, 100])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(SettingsError, match=f"size {size} is not possible"):
        PGGANConfig(size)


def test_fade_of_two_dtypes_mixes_in_the_wider() -> None:
    old, new = torch.full((2, 3), 1.0), torch.full((2, 3), 3.0, dtype=torch.bfloat16)
    for alpha in (0.25, torch.tensor(0.25), torch.tensor(0.25, dtype=torch.float64)):
        for first, second, value in ((old, new, 1.5), (new, old, 2.5)):
            mixed = fade(first, second, alpha)
            assert mixed.dtype == torch.float32
            assert (mixed == value).all()


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """Autocast of CUDA tensors to bfloat16; `torch.autocast` disables itself where there is no GPU."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.clear_autocast_cache()


def test_networks_fade_in_bfloat16_as_cuda_casts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dtypes that CUDA's autocast gives, on tensors without data: another list of operations than the CPU's."""
    dtypes: list[tuple[torch.dtype, torch.dtype]] = []

    def noted(old: torch.Tensor, new: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        dtypes.append((old.dtype, new.dtype))
        return fade(old, new, alpha)

    monkeypatch.setattr("pytest_medgan.gan.pggan.fade", noted)
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad(), cuda_autocast():
        alpha = torch.zeros(())
        for resolution in SMALL.resolutions[1:]:
            images = PGGANGenerator(SMALL)(torch.zeros(4, 8), resolution, alpha)
            assert images.shape == (4, 1, resolution, resolution)
            for seen in (images, images.float()):
                assert PGGANDiscriminator(SMALL)(seen, resolution, alpha).shape == (4,)
    assert dtypes
