"""The networks of BigGAN against their definitions and the published counts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import (
    avg_pool2d,
    batch_norm,
    conv2d,
    interpolate,
    max_pool2d,
    relu,
    scaled_dot_product_attention,
)

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.biggan import (
    BigGANDiscriminator,
    BigGANGenerator,
    DownBlock,
    SelfAttention,
    SteeredNorm,
    UpBlock,
    choose,
    initialise,
)
from pytest_medgan.gan.biggan_settings import BigGANConfig
from pytest_medgan.gan.latents import latents
from pytest_medgan.gan.spectral import Spectral

CONFIG = BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2)


def made(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    initialise(network, torch.Generator().manual_seed(seed))
    return network.double()


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_as_many_as_published() -> None:
    """BigGAN at 128x128 of 1,000 classes has 70,433,988 and 87,982,370.

    google/compare_gan asserts both (resnet_biggan_test.py); Brock et al. (2019), table 1, give 158.3 million together.
    """
    with torch.device("meta"):
        config = BigGANConfig(
            128, channels=3, latent=121, generator_width=96, discriminator_width=96, classes=1000, embedding=128
        )
        generator, discriminator = BigGANGenerator(config), BigGANDiscriminator(config)
    assert config.chunks == (20,) * 6
    assert (count(generator), count(discriminator)) == (70_433_988, 87_982_370)


def test_networks_without_classes_have_as_many_parameters_less() -> None:
    """A shared embedding, which every scale and offset takes besides z, and a vector of each class behind the maps."""
    with torch.device("meta"):
        config = BigGANConfig(128, channels=3, generator_width=96, discriminator_width=96)
        generator, discriminator = BigGANGenerator(config), BigGANDiscriminator(config)
    assert config.chunks == (20,) * 6
    normalised = 96 * sum(inputs + outputs for inputs, outputs in pairwise([16, 16, 8, 4, 2, 1]))
    assert count(generator) == 70_433_988 - 1000 * 128 - 2 * 128 * normalised
    assert count(discriminator) == 87_982_370 - 1000 * 16 * 96


@pytest.mark.parametrize(
    ("size", "attends", "maps", "sizes"),
    [
        (16, 8, (4, 4, 4), (8, 8, 8)),
        (32, 16, (4, 4, 4, 4), (16, 8, 8, 8)),
        (64, 32, (1, 2, 4, 8, 16), (32, 16, 8, 4, 4)),
        (128, 64, (1, 2, 4, 8, 16, 16), (64, 32, 16, 8, 4, 4)),
        (256, 64, (1, 2, 4, 8, 8, 16, 16), (128, 64, 32, 16, 8, 4, 4)),
    ],
)
def test_networks_of_each_size_have_the_published_layout(
    size: int, attends: int, maps: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    config = BigGANConfig(size, latent=16, generator_width=1, discriminator_width=1)
    assert (config.attends_at, config.discriminator_maps, config.discriminator_sizes) == (attends, maps, sizes)
    assert sum(config.chunks) == 16
    assert max(config.chunks) - min(config.chunks) <= 1
    generator, discriminator = made(BigGANGenerator(config)), made(BigGANDiscriminator(config))
    seen: list[tuple[int, ...]] = []
    for network in (generator, discriminator):
        network.attention.register_forward_hook(lambda layer, inputs, out: seen.append(tuple(out.shape[2:])))
    images = generator(normal(2, 16))
    assert images.shape == (2, 1, size, size)
    assert float(images.detach().abs().max()) < 1
    assert discriminator(images).shape == (2,)
    assert seen == [(attends, attends)] * 2


def test_networks_without_attention_have_none() -> None:
    config = BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2, attention=0)
    assert BigGANGenerator(config).attention is None
    assert BigGANDiscriminator(config).attention is None


def test_attention_is_that_of_torch_without_its_scale() -> None:
    layer = made(SelfAttention(16))
    x = normal(3, 16, 8, 8, seed=1)
    assert torch.equal(layer(x), x)  # the strength is 0 at first
    with torch.no_grad():
        layer.strength.fill_(0.7)
    layer.eval()
    query, key, value = (conv2d(x, part.normalised()) for part in (layer.query, layer.key, layer.value))
    query, key, value = (maps.flatten(2).transpose(1, 2) for maps in (query, max_pool2d(key, 2), max_pool2d(value, 2)))
    assert (query.shape, key.shape, value.shape) == ((3, 64, 2), (3, 16, 2), (3, 16, 8))
    attended = scaled_dot_product_attention(query, key, value, scale=1.0)
    out = conv2d(attended.transpose(1, 2).reshape(3, 8, 8, 8), layer.out.normalised())
    torch.testing.assert_close(layer(x), x + 0.7 * out)


def test_steered_norm_scales_and_moves_each_image_by_its_condition() -> None:
    layer = made(SteeredNorm(3, 5))
    x, condition = normal(4, 5, 6, 6) * 3 + 1, normal(4, 3, seed=1)
    layer(x, condition)
    layer.eval()
    gain, offset = (condition @ part.normalised().T for part in (layer.gain, layer.offset))
    mean, variance = layer.norm.running_mean, layer.norm.running_var
    assert float(mean.abs().sum()) > 0
    plain = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(layer(x, condition), plain * (1 + gain[:, :, None, None]) + offset[:, :, None, None])


def test_up_block_enlarges_between_norm_and_convolution() -> None:
    block = made(UpBlock(4, 3, 2))
    x, condition = normal(2, 4, 5, 5), normal(2, 2, seed=1)
    weights = {name: getattr(block, name).normalised() for name in ("first", "second", "skip")}

    def steered(maps: torch.Tensor, norm: SteeredNorm) -> torch.Tensor:
        gain, offset = (condition @ part.normalised().T for part in (norm.gain, norm.offset))
        plain = batch_norm(maps, None, None, training=True)
        return relu(plain * (1 + gain[:, :, None, None]) + offset[:, :, None, None])

    deep = conv2d(interpolate(steered(x, block.norms[0]), scale_factor=2), weights["first"], padding=1)
    deep = conv2d(steered(deep, block.norms[1]), weights["second"], padding=1)
    expected = deep + conv2d(interpolate(x, scale_factor=2), weights["skip"])
    torch.testing.assert_close(block(x, condition), expected, rtol=1e-6, atol=1e-6)  # orthogonal: sigma is 1 throughout


@pytest.mark.parametrize(("outputs", "down", "sees_images"), [(3, True, True), (3, True, False), (4, False, False)])
def test_down_block_adds_its_input_to_two_convolutions(outputs: int, down: bool, sees_images: bool) -> None:
    block = made(DownBlock(4, outputs, down=down, sees_images=sees_images))
    x = normal(2, 4, 6, 6)
    deep = conv2d(x if sees_images else relu(x), block.first.normalised(), padding=1)
    deep = conv2d(relu(deep), block.second.normalised(), padding=1)
    skipped = x if block.skip is None else conv2d(x, block.skip.normalised())
    assert (block.skip is None) is (not down)
    expected = avg_pool2d(deep + skipped, 2) if down else deep + skipped
    torch.testing.assert_close(block(x), expected, rtol=1e-6, atol=1e-6)


def test_each_part_of_z_enters_its_own_block() -> None:
    generator = made(BigGANGenerator(CONFIG)).eval()
    z = normal(1, 8)
    maps: list[torch.Tensor] = []
    for block in generator.blocks:
        block.register_forward_hook(lambda layer, inputs, out: maps.append(out))
    generator(z)
    before, start = list(maps), 0
    for part, numbers in enumerate(CONFIG.chunks):
        changed = z.clone()
        changed[:, start : start + numbers] += 1
        start += numbers
        maps.clear()
        generator(changed)
        same = [torch.equal(ours, theirs) for ours, theirs in zip(maps, before, strict=True)]
        assert same == [block < part - 1 for block in range(len(before))]


def test_image_is_a_convolution_of_the_normalised_maps_above_zero() -> None:
    generator = made(BigGANGenerator(CONFIG)).eval()
    maps: list[torch.Tensor] = []
    generator.norm.register_forward_hook(lambda layer, inputs, out: maps.append(out))
    images = generator(normal(2, 8))
    assert float(maps[0].detach().min()) < 0
    torch.testing.assert_close(images, torch.tanh(conv2d(relu(maps[0]), generator.to_image.normalised(), padding=1)))


def test_discriminator_adds_up_the_pixels_of_its_last_maps_above_zero() -> None:
    discriminator = made(BigGANDiscriminator(CONFIG)).eval()
    maps: list[torch.Tensor] = []
    discriminator.blocks[-1].register_forward_hook(lambda layer, inputs, out: maps.append(out))
    logits = discriminator(normal(2, 1, 16, 16))
    assert float(maps[0].detach().min()) < 0
    features = relu(maps[0]).flatten(2).sum(2)
    torch.testing.assert_close(logits, (features @ discriminator.score.normalised().T).flatten())


def test_discriminator_scores_each_image_by_itself() -> None:
    discriminator = made(BigGANDiscriminator(CONFIG)).eval()
    images = normal(4, 1, 16, 16)
    logits = discriminator(images)
    changed = images.clone()
    changed[0] += 1
    moved = (discriminator(changed) - logits).abs() > 1e-9
    assert moved.tolist() == [True, False, False, False]


def test_initial_weights_are_orthogonal() -> None:
    """So every singular value is 1, and the norm changes nothing."""
    for network in (made(BigGANGenerator(CONFIG)), made(BigGANDiscriminator(CONFIG))):
        layers = [layer for layer in network.modules() if isinstance(layer, Spectral)]
        assert len(layers) > 10
        for layer in layers:
            matrix = layer.weight.detach().flatten(1)
            smaller = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
            torch.testing.assert_close(smaller, torch.eye(len(smaller), dtype=torch.float64), rtol=0, atol=1e-5)
            torch.testing.assert_close(layer.normalised().detach(), layer.weight.detach(), rtol=1e-4, atol=1e-5)
            assert layer.bias is None or not layer.bias.any()


# ------------------------------------------------------------------------------------------------------------- classes


CONDITIONAL = replace(CONFIG, classes=3, embedding=4, latent=9)


def test_class_of_a_latent_has_its_share_whatever_the_truncation() -> None:
    generator = made(BigGANGenerator(CONDITIONAL))
    generator.classes.bounds.copy_(torch.tensor([0.2, 0.5]))
    for truncation in (None, 0.1):
        z = torch.from_numpy(latents(0, 4000, 1, 9, truncation))
        drawn = generator.classes.draw(z)
        assert drawn.dtype == torch.int64
        shares = torch.bincount(drawn, minlength=3) / 4000
        torch.testing.assert_close(shares, torch.tensor([0.2, 0.3, 0.5]), rtol=0, atol=0.03)
        assert torch.equal(generator.classes.draw(z.double()), drawn)


def test_classes_have_equal_shares_at_first() -> None:
    bounds = made(BigGANGenerator(CONDITIONAL)).classes.bounds
    torch.testing.assert_close(bounds, torch.tensor([1 / 3, 2 / 3], dtype=torch.float64), rtol=1e-6, atol=0)


def test_embedding_of_the_class_joins_z_at_every_block() -> None:
    """The class changes no map but through the batch norms, and the first number of z nothing but the class."""
    generator = made(BigGANGenerator(CONDITIONAL)).eval()
    z = normal(6, 9)
    images, entered = [], []
    for block in generator.blocks:
        block.register_forward_hook(lambda block, inputs, out: entered.append(inputs[1]))
    for label in range(3):
        choose(generator, label)
        known = generator.classes.vectors.weight[label].expand(6, 4)
        entered.clear()
        images.append(generator(z))
        parts = torch.split(z[:, 1:], list(CONDITIONAL.chunks), 1)[1:]
        for condition, part in zip(tuple(entered), parts, strict=True):
            assert torch.equal(condition, torch.cat([known, part], 1))
        moved = z.clone()
        moved[:, 0] += 0.3
        assert torch.equal(generator(moved), images[-1])
    generator.classes.chosen = None
    drawn = generator.classes.draw(z)
    expected = torch.stack([images[int(label)][n] for n, label in enumerate(drawn)])
    torch.testing.assert_close(generator(z), expected)
    assert not torch.equal(images[0], images[1])


def test_projection_adds_the_product_of_features_and_class() -> None:
    discriminator = made(BigGANDiscriminator(CONDITIONAL)).eval()
    images, labels = normal(4, 1, 16, 16), torch.tensor([0, 2, 1, 2])
    features: list[torch.Tensor] = []
    discriminator.score.register_forward_hook(lambda layer, inputs, out: features.append(inputs[0]))
    plain = discriminator(images)
    vectors = discriminator.classes.normalised()[labels]
    torch.testing.assert_close(discriminator(images, labels), plain + (vectors * features[0]).sum(1))


def test_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no class 3\. Choose class=0 to class=2"):
        choose(BigGANGenerator(CONDITIONAL), 3)
    with pytest.raises(CheckpointError, match="without classes"):
        choose(BigGANGenerator(CONFIG), 0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size": 8}, "size 8"),
        ({"size": 512}, "size 512"),
        ({"size": 48}, "size 48"),
        ({"attention": 12}, "attention 12"),
        ({"attention": 4}, "attention 4"),
        ({"latent": 5}, "latent 5"),
        ({"generator_width": 0}, "generator_width 0"),
        ({"classes": 1}, "classes 1"),
        ({"classes": 2, "latent": 6}, "latent 6"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(changes: dict[str, int], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        BigGANConfig(**{"size": 128, **changes})
