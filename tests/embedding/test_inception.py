"""The preparation of images, and torchvision's own pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding.inception import (
    IMAGENET_MEAN,
    IMAGENET_SD,
    build,
    channel_affine,
    features_and_logits,
    maps,
    prepare,
    to_three_channels,
)
from pytest_medgan.records import ImageSet


def test_prepare_is_bilinear_between_pixel_centres() -> None:
    """Against the definition, pixel by pixel in float64: source = (target + 0.5) * 128 / 299 - 0.5, clamped."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 128, 128), dtype=np.uint8)
    place = np.clip((np.arange(299) + 0.5) * 128 / 299 - 0.5, 0, 127)
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, 127), place - low
    grey = pixels[0, 0].astype(np.float64) / 127.5 - 1
    rows = grey[low] * (1 - share)[:, None] + grey[high] * share[:, None]
    expected = rows[:, low] * (1 - share) + rows[:, high] * share
    np.testing.assert_allclose(
        prepare(torch.from_numpy(pixels))[0, 0].numpy(), expected, atol=3e-5
    )  # torch keeps places in float32


def test_prepare_maps_black_to_minus_one_and_white_to_one() -> None:
    for value, expected in ((0, -1.0), (255, 1.0)):
        grey = prepare(torch.full((1, 1, 64, 64), value, dtype=torch.uint8))
        assert grey.shape == (1, 1, 299, 299)
        assert torch.all(grey == expected)


def test_prepare_shrinks_large_images_without_aliasing() -> None:
    """Of a one-pixel checkerboard only the mean is left."""
    board = torch.from_numpy((np.indices((598, 598)).sum(0) % 2 * 255).astype(np.uint8))[None, None]
    assert prepare(board).abs().max() < 0.03  # at the corners, where the kernel is cut


@pytest.mark.parametrize("value", [0, 37, 255])
def test_imagenet_normalisation_equals_torchvisions(value: int) -> None:
    grey = prepare(torch.full((1, 1, 64, 64), value, dtype=torch.uint8))
    expected = (value / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_SD)
    np.testing.assert_allclose(to_three_channels(grey, "imagenet")[0, :, 0, 0].numpy(), expected, atol=2e-6)


def test_symmetric_normalisation_repeats_the_channel() -> None:
    scale, shift = channel_affine("symmetric")
    assert scale.tolist() == [1, 1, 1]
    assert shift.tolist() == [0, 0, 0]
    grey = torch.rand(2, 1, 299, 299)
    assert torch.equal(to_three_channels(grey, "symmetric"), grey.repeat(1, 3, 1, 1))


def test_logits_equal_those_of_torchvisions_forward(network: nn.Module, calibration: ImageSet) -> None:
    with torch.inference_mode():
        pixels = torch.from_numpy(calibration.pixels[:2])
        features, logits = features_and_logits(network, pixels, "symmetric")
        theirs = network(to_three_channels(prepare(pixels), "symmetric"))
    assert features.shape == (2, 2048)
    torch.testing.assert_close(logits, theirs, rtol=1e-5, atol=1e-5)


def test_build_does_not_use_torchs_random_stream() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network = build(2, auxiliary=True)
    assert torch.equal(before, torch.get_rng_state())
    assert not network.training
    assert "AuxLogits" in dict(network.named_children())


def test_maps_are_those_before_the_average_pool(network: nn.Module) -> None:
    with torch.inference_mode():
        assert maps(network, torch.zeros(1, 3, 139, 139)).shape == (1, 2048, 3, 3)
