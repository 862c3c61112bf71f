"""Images in colour: equal channels give what grey images give, and each metric of pixels sees its channels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import (
    altered_images,
    copy_rate,
    duplicate_rate,
    intensity_distance,
    measure,
    ms_ssim_diversity,
    prepare_reference,
    score_features,
)
from pytest_medgan.metrics.implausible import implausible_rate
from pytest_medgan.metrics.memorisation import memorised_rate
from pytest_medgan.metrics.pixel_pairs import difference, near_pairs, thumbnails
from pytest_medgan.metrics.similarity import ms_ssim
from pytest_medgan.records import Cause


def noise(count: int, seed: int, channels: int = 3, side: int = 48) -> np.ndarray:
    """Smooth noise, so that images differ in structure."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, channels, side // 8, side // 8), dtype=np.uint8)
    return coarse.repeat(8, 2).repeat(8, 3)


def threefold(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey, 3, axis=1)


def test_three_equal_channels_give_the_values_of_grey_images():
    real, fake, train = (noise(60, seed, channels=1) for seed in (1, 2, 3))
    fake[:5], fake[5:9] = train[:5], fake[9:13]
    features = np.random.default_rng(0).standard_normal((2, 60, 6))
    metrics = ["copy_rate", "duplicate_rate", "intensity_distance", "ms_ssim", "memorised_rate"]

    def scores(change):
        pixels = {"real_pixels": change(real), "fake_pixels": change(fake), "train_pixels": change(train)}
        return score_features(real=features[0], fake=features[1], **pixels, window=(-1000, 400), metrics=metrics)

    grey, colour = scores(lambda images: images), scores(threefold)
    assert list(grey) == list(colour)
    assert list(colour.values()) == pytest.approx(list(grey.values()), rel=1e-6)
    assert grey["copy_rate"] > 0
    assert grey["duplicate_rate"] > 0


def test_alterations_of_three_equal_channels_are_those_of_grey_images_to_the_bit():
    grey = noise(8, 0, channels=1)
    for (name, one), (other, three) in zip(altered_images(grey), altered_images(threefold(grey)), strict=True):
        assert name == other
        assert three.shape == (8, 3, 48, 48)
        assert np.array_equal(three, threefold(one))


def test_alterations_of_a_channel_do_not_depend_on_the_others():
    images = noise(8, 0)
    for (_, three), (_, one) in zip(altered_images(images), altered_images(images[:, 1:2]), strict=True):
        assert np.array_equal(three[:, 1:2], one)


def test_intensity_distance_of_colours_is_the_mean_over_channels_of_scipys():
    real, fake = noise(20, 1), noise(20, 2)
    expected = np.mean([scipy.stats.wasserstein_distance(real[:, c].ravel(), fake[:, c].ravel()) for c in range(3)])
    assert intensity_distance(real=real, fake=fake) == pytest.approx(expected)
    swapped = np.concatenate([real[:, :1] // 2, real[:, 1:]], 1)
    assert intensity_distance(real=swapped, fake=swapped[:, [1, 0, 2]]) > 20  # all levels together are equal


def test_standard_error_of_intensity_distance_of_colours_is_that_of_the_battery():
    features = np.random.default_rng(0).standard_normal((2, 40, 4))
    reference = prepare_reference(features[0], pixels=noise(40, 1), metrics=["intensity_distance"])
    found = measure(
        reference, fake=features[1], pixels=noise(40, 2), metrics=["intensity_distance"], contributions=True
    )
    units = found.contributions["intensity_distance"].units
    estimate = found.estimates["intensity_distance"]
    assert estimate.se == pytest.approx(units.std(ddof=1) / np.sqrt(40))
    assert estimate.value == pytest.approx(intensity_distance(real=noise(40, 1), fake=noise(40, 2)))


def test_ms_ssim_of_one_scale_is_the_mean_of_the_channels():
    left, right = (torch.from_numpy(noise(4, seed)).double() for seed in (1, 2))
    right = 0.7 * left + 0.3 * right  # no term is negative, and so none is cut off
    each = [ms_ssim(left[:, [c]], right[:, [c]], data_range=255.0, weights=[1.0]) for c in range(3)]
    whole = ms_ssim(left, right, data_range=255.0, weights=[1.0])
    assert whole.numpy() == pytest.approx(torch.stack(each).mean(0).numpy(), abs=1e-9)


@pytest.mark.peer
def test_ms_ssim_of_colours_equals_monais():
    metrics = pytest.importorskip("monai.metrics")
    left, right = (torch.from_numpy(noise(4, seed, side=192)).float() for seed in (1, 2))
    monai = metrics.MultiScaleSSIMMetric(spatial_dims=2, data_range=255.0)
    expected = monai(left, right).flatten()
    assert ms_ssim(left, right, data_range=255.0).numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_near_pairs_of_colours_equal_a_comparison_of_all_pairs():
    left = noise(30, 1)
    right = np.concatenate([left[:10] ^ np.uint8(1), left[10:20, ::-1]])
    every = np.stack([difference(np.repeat(left[[row]], len(right), 0), right) for row in range(30)])
    found = near_pairs(left, right, 3.0, most=1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, np.argwhere(every <= 3.0).tolist()))
    small, other = thumbnails(left)[0].raw, thumbnails(right)[0].raw
    assert (torch.cdist(small.double(), other.double()).numpy() <= every * np.sqrt(left[0].size) + 1e-6).all()


def test_images_whose_hues_differ_alone_are_no_duplicates_and_no_copies():
    images = noise(6, 1)
    turned = images[:, [1, 2, 0]]
    assert duplicate_rate(fake=np.concatenate([images, turned]), distance=5) == 0
    assert copy_rate(fake=turned, train=images) == 0
    assert copy_rate(fake=images ^ np.uint8(1), train=images) == 1


def test_memorised_images_are_found_where_their_hue_was_turned():
    images = noise(60, 1, side=128)
    copies = np.roll(images[:10, [1, 2, 0]], 6, 3)
    found = memorised_rate(fake=np.concatenate([copies, images[20:40]]), train=images[:20], real=images[40:])
    assert found == pytest.approx(1 / 3)


def test_ms_ssim_of_a_collapsed_generator_of_colours_is_one():
    assert ms_ssim_diversity(fake=np.repeat(noise(1, 0), 8, axis=0)) == pytest.approx(1.0)


def test_metric_in_hounsfield_units_says_that_it_needs_one_channel():
    with pytest.raises(MetricInputError, match="HU need one channel; give uint8"):
        implausible_rate(real=noise(200, 1), fake=noise(20, 2), window=(-1000, 400))
    features = np.random.default_rng(0).standard_normal((2, 220, 4))
    reference = prepare_reference(
        features[0], pixels=noise(220, 1), window=(-1000, 400), metrics=["implausible_rate", "ms_ssim"]
    )
    found = measure(reference, fake=features[1], pixels=noise(220, 2), metrics=["implausible_rate", "ms_ssim"])
    assert found.causes == {"implausible_rate": Cause.SEVERAL_CHANNELS}


@pytest.mark.parametrize("channels", [1, 3])
def test_evidence_counts_the_levels_of_each_channel(channels):
    features, real, fake = np.zeros((2, 6, 4)), noise(6, 1, channels), noise(6, 2, channels)
    reference = prepare_reference(features[0], pixels=real, metrics=["intensity_distance"])
    found = measure(reference, fake=features[1], pixels=fake, metrics=["intensity_distance"], evidence=True).evidence
    for counts, images in ((found.histogram_real, real), (found.histogram_fake, fake)):
        expected = [np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(channels)]
        np.testing.assert_array_equal(counts, expected if channels > 1 else expected[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intensity_distance(real=noise(2, 0, channels=1), fake=noise(2, 1)), "other images are grey"),
        (lambda: copy_rate(fake=noise(2, 0), train=noise(2, 1, channels=1)), "other images are in colour"),
        (lambda: duplicate_rate(fake=noise(2, 0, channels=2)), r"give uint8 \[N,1,H,W\] or \[N,3,H,W\]"),
        (lambda: copy_rate(fake=noise(2, 0), train=noise(2, 1, side=56)), "other images are 48x48 pixels"),
    ],
)
def test_images_of_different_channels_are_refused(call, words):
    with pytest.raises(MetricInputError, match=words):
        call()
