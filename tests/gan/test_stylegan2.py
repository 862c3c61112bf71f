"""The networks of StyleGAN2 against their definitions and the published counts."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from pytest_medgan.gan.resampling import blur, enlarge
from pytest_medgan.gan.stylegan2 import (
    StyledConv,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    activate,
    demodulation,
    initialise,
    truncate,
)
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config

CONFIG = StyleGAN2Config(32, latent=6, style=7, mapping=3, generator_width=8, discriminator_width=8, full_until=8)


def made(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    initialise(network, torch.Generator().manual_seed(seed))
    return network.double()


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_as_many_as_published() -> None:
    """Config F at 1024x1024 in colour, as the authors' code prints it (lucidrains/stylegan2-pytorch issue 81)."""
    with torch.device("meta"):
        config = StyleGAN2Config(1024, channels=3)
        generator, discriminator = StyleGAN2Generator(config), StyleGAN2Discriminator(config)
    assert (count(generator.mapping), count(generator), count(discriminator)) == (2_101_248, 30_370_060, 29_012_513)
    # stylegan2-ada-pytorch lists these for each layer
    assert count(generator.synthesis.convolutions["8_up"]) == 2_622_465
    assert count(generator.synthesis.to_rgb["4"]) == 264_195


def test_demodulated_weights_have_unit_norm() -> None:
    weight, style = normal(5, 4, 3, 3), normal(6, 4, seed=1)
    modulated = weight[None] * style[:, None, :, None, None] * demodulation(weight, style)[:, :, None, None, None]
    norms = modulated.square().sum((2, 3, 4)).sqrt()
    torch.testing.assert_close(norms, torch.ones(6, 5, dtype=torch.float64), rtol=1e-6, atol=0)


def test_demodulation_is_computed_in_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = demodulation(torch.randn(5, 4, 3, 3), torch.randn(6, 4).bfloat16())
    assert found.dtype == torch.float32


@pytest.mark.parametrize("up", [False, True])
def test_styled_convolution_has_weights_of_its_own_for_each_image(up: bool) -> None:
    """Definition: the weights of an image are scaled by its style and divided by their norm, then convolved."""
    layer = made(StyledConv(4, 5, 7, 16, up=up))
    with torch.no_grad():
        layer.strength.fill_(0.3)
        layer.bias.normal_(generator=torch.Generator().manual_seed(3))
    x, w, noise = normal(2, 4, 8 if up else 16, 8 if up else 16), normal(2, 7, seed=1), normal(2, 1, 16, 16, seed=2)
    expected = []
    for image in range(2):
        style = w[image] @ layer.affine.weight.T / 7**0.5 + 1
        weight = layer.weight / 36**0.5 * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        maps = x[image][None]
        if up:
            spaced = torch.zeros(1, 4, 17, 17, dtype=torch.float64)
            spaced[:, :, 1::2, 1::2] = maps
            wide = conv2d(spaced, weight.flip(2, 3), padding=1)  # a transposed convolution, written out
            maps = blur(wide, padding=1, gain=4.0)
        else:
            maps = conv2d(maps, weight, padding=1)
        expected.append(activate(maps + 0.3 * noise[image] + layer.bias[:, None, None]))
    torch.testing.assert_close(layer(x, w, noise), torch.cat(expected))


def test_blur_keeps_a_constant_inside_and_enlarging_is_bilinear() -> None:
    flat = torch.full((1, 2, 8, 8), 3.0)
    torch.testing.assert_close(blur(flat, padding=1)[:, :, 1:-1, 1:-1], flat[:, :, :-3, :-3])
    images = normal(2, 3, 8, 6)
    twice = interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(images)[:, :, 1:-1, 1:-1], twice[:, :, 1:-1, 1:-1])


def test_enlarging_is_a_filter_of_pixels_with_zeros_between_and_around_them() -> None:
    images = normal(2, 3, 8, 6)
    apart = torch.zeros(2, 3, 18, 14, dtype=torch.float64)
    apart[:, :, 1:-1:2, 1:-1:2] = images
    torch.testing.assert_close(enlarge(images), blur(apart, padding=1, gain=4.0)[:, :, :-1, :-1])


def test_each_layer_takes_its_own_style() -> None:
    generator = made(StyleGAN2Generator(CONFIG))
    styles = normal(1, CONFIG.layers, 7)
    before = generator.synthesis(styles)
    assert before.shape == (1, 1, 32, 32)
    for layer in range(CONFIG.layers):
        changed = styles.clone()
        changed[:, layer] += 1
        assert not torch.equal(generator.synthesis(changed), before)
    with pytest.raises(IndexError):
        generator.synthesis(styles[:, :-1])


def test_noise_enters_every_layer_with_its_strength() -> None:
    generator = made(StyleGAN2Generator(CONFIG))
    styles = normal(2, CONFIG.layers, 7)
    shapes = {name: layer.constant_noise.shape for name, layer in generator.synthesis.convolutions.items()}
    drawn = {name: normal(2, 1, *shape, seed=5) for name, shape in shapes.items()}
    assert torch.equal(generator.synthesis(styles, drawn), generator.synthesis(styles))  # all strengths are 0 at first
    for name, layer in generator.synthesis.convolutions.items():
        with torch.no_grad():
            layer.strength.fill_(0.5)
        assert not torch.equal(generator.synthesis(styles, drawn), generator.synthesis(styles)), name
        with torch.no_grad():
            layer.strength.zero_()


def test_numbers_of_an_image_are_the_noise_of_its_layers() -> None:
    generator = made(StyleGAN2Generator(CONFIG))
    z, numbers = normal(2, 6), normal(2, CONFIG.noise, seed=5)
    assert torch.equal(generator(z, numbers), generator(z))  # all strengths are 0 at first
    with torch.no_grad():
        for layer in generator.synthesis.convolutions.values():
            layer.strength.fill_(0.5)
    drawn, start = {}, 0
    for name, layer in generator.synthesis.convolutions.items():
        side = len(layer.constant_noise)
        drawn[name] = numbers[:, start : start + side**2].reshape(2, 1, side, side)
        start += side**2
    assert start == CONFIG.noise == 16 + 2 * (64 + 256 + 1024)
    styles = generator.mapping(z)[:, None].expand(-1, CONFIG.layers, -1)
    assert torch.equal(generator(z, numbers), generator.synthesis(styles, drawn))
    constant = torch.cat([layer.constant_noise.flatten() for layer in generator.synthesis.convolutions.values()])
    torch.testing.assert_close(generator(z, constant.expand(2, -1)), generator(z))


def test_truncation_moves_styles_towards_their_mean() -> None:
    generator = made(StyleGAN2Generator(CONFIG))
    with torch.no_grad():
        generator.mapping.mean.copy_(normal(7, seed=9))
    z = normal(3, 6)
    w, mean = generator.mapping(z), generator.mapping.mean
    truncate(generator, 0.4)
    moved = mean + 0.4 * (w - mean)
    torch.testing.assert_close(generator(z), generator.synthesis(moved[:, None].expand(-1, CONFIG.layers, -1)))
    truncate(generator, 1.0)
    torch.testing.assert_close(generator(z), generator.synthesis(w[:, None].expand(-1, CONFIG.layers, -1)))


def test_mapping_ignores_the_length_of_z_and_has_a_low_rate() -> None:
    mapping = made(StyleGAN2Generator(CONFIG)).mapping
    z = normal(4, 6)
    torch.testing.assert_close(mapping(3 * z), mapping(z), rtol=1e-6, atol=1e-6)
    assert [layer.rate for layer in mapping.layers] == [0.01] * 3
    spread = torch.cat([layer.weight.detach().flatten() for layer in mapping.layers]).std()
    assert float(spread) == pytest.approx(100, rel=0.2)


def test_discriminator_scores_each_image_and_sees_the_spread_of_its_group() -> None:
    discriminator = made(StyleGAN2Discriminator(CONFIG))
    images = normal(8, 1, 32, 32)
    logits = discriminator(images)
    assert logits.shape == (8,)
    changed = images.clone()
    changed[0] += 1
    moved = (discriminator(changed) - logits).abs() > 1e-9
    assert moved.tolist() == [True] * 4 + [False] * 4


def test_maps_have_a_variance_near_one_after_initialisation() -> None:
    """Equalised rates with gains keep the scale of maps and logits from layer to layer."""
    config = StyleGAN2Config(64, latent=64, style=64, generator_width=64, discriminator_width=64)
    generator, discriminator = made(StyleGAN2Generator(config)), made(StyleGAN2Discriminator(config))
    with torch.no_grad():
        w = generator.mapping(normal(16, 64))
        assert 0.5 < float(w.square().mean()) < 2
        images = generator(normal(16, 64))
        assert 0.2 < float(images.std()) < 6
        assert 0.1 < float(discriminator(normal(16, 1, 64, 64)).abs().mean()) < 10
