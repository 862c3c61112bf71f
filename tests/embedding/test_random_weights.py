"""Random weights: the same everywhere, and fit for use."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.embedding import Cache, load_extractor, random_weights
from pytest_medgan.embedding.inception import features_and_logits, maps, prepare, to_three_channels
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import load_weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet


def test_whole_numbers_follow_from_numpys_raw_stream() -> None:
    """PCG64(0)'s raw output is numpy's promise (NEP 19); the rest is shifts and one multiplication."""
    values = random_weights.uniform(random_weights.whole_numbers(np.random.PCG64(0), 4), 1.0)
    raw = np.random.PCG64(0).random_raw(4)
    assert values.tolist() == [float((int(r) >> 40) - 2**23) / 2**23 for r in raw]
    assert int(raw[0]) == 11749869230777074271


def test_drawn_network_has_its_recorded_digest() -> None:
    """Recorded on another machine with numpy's vector paths switched off. If it changes, RECIPE must change."""
    whole = hashlib.sha256()
    for name, value in sorted(random_weights.draw(0).state_dict().items()):
        if "num_batches" not in name:
            whole.update(name.encode() + np.ascontiguousarray(value.numpy()).tobytes())
    assert whole.hexdigest()[:16] == "b6078561711bd7a0"


def test_another_seed_draws_another_network() -> None:
    first, second = (random_weights.draw(seed).state_dict()["Mixed_5b.branch1x1.conv.weight"] for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, random_weights.draw(0).state_dict()["Mixed_5b.branch1x1.conv.weight"])


def test_filters_are_centred_except_in_the_first_layer() -> None:
    network = random_weights.draw(3)
    sums = {
        n: float(m.weight.detach().sum((1, 2, 3)).abs().max())
        for n, m in network.named_modules()
        if isinstance(m, nn.Conv2d)
    }
    assert sums.pop(random_weights.FIRST_LAYER) > 0.1
    assert max(sums.values()) < 1e-4


def test_every_layer_is_standardised_on_the_calibration_images(network: nn.Module, calibration: ImageSet) -> None:
    gaps: list[tuple[float, float]] = []

    def look(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(output, (0, 2, 3), correction=0)
        before = inputs[0].var((0, 2, 3), correction=0)
        expected = before / (before + norm.eps)  # what is left of a variance of 1 by batch norm's epsilon
        gaps.append((float((mean - random_weights.OFFSET).abs().max()), float((variance - expected).abs().max())))

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_hook(look) for norm in norms]
    with torch.inference_mode():
        maps(network, to_three_channels(prepare(torch.from_numpy(calibration.pixels)), "symmetric"))
    for handle in handles:
        handle.remove()
    assert len(gaps) == 94
    assert max(mean for mean, _ in gaps) < 1e-3
    assert max(variance for _, variance in gaps) < 1e-2


def test_logits_differ_with_the_recorded_spread(network: nn.Module, calibration: ImageSet) -> None:
    with torch.inference_mode():
        _, logits = features_and_logits(network, torch.from_numpy(calibration.pixels), "symmetric")
    difference = (logits[:, 0] - logits[:, 1]).double()
    assert float(difference.mean()) == pytest.approx(0, abs=1e-2)
    assert float(difference.std(correction=0)) == pytest.approx(random_weights.LOGIT_SD, rel=1e-2)


def test_features_amplify_noise_less_than_a_hundredfold(network: nn.Module, calibration: ImageSet) -> None:
    double = copy.deepcopy(network).double()
    x = to_three_channels(prepare(torch.from_numpy(calibration.pixels[:2])).double(), "symmetric")[..., :171, :171]
    noise = (
        1e-6 * float(x.std()) * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )
    with torch.inference_mode():
        calm, moved = maps(double, x).mean((2, 3)), maps(double, x + noise).mean((2, 3))
    gain = torch.linalg.vector_norm(moved - calm, dim=1) / torch.linalg.vector_norm(calm, dim=1) / 1e-6
    assert float(gain.max()) < 100


def test_calibration_images_are_chosen_by_the_seed(make_images: Callable[..., ImageSet]) -> None:
    images = make_images(80, size=16)
    first, again, other = (random_weights.choose(images, seed) for seed in (0, 0, 1))
    assert len(first) == random_weights.CALIBRATION_IMAGES
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(random_weights.choose(images.take(slice(0, 5)), 0)) == 5


def test_random_weights_without_images_are_an_error() -> None:
    with pytest.raises(ExtractorError, match="calibration="):
        load_extractor("inception_v3,weights=random")


def test_identity_names_seed_and_calibration_pixels(calibration: ImageSet) -> None:
    settings = ExtractorSpec("inception_v3", weights="random")
    first = load_weights(settings, calibration).identity
    assert random_weights.digest(calibration.pixels) in first
    assert "seed 0" in first
    assert load_weights(replace(settings, seed=1), calibration).identity != first


def test_stored_calibration_equals_the_first_one(
    calibration: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, images = ExtractorSpec("inception_v3", weights="random"), calibration.take(slice(0, 2))
    first = load_weights(settings, images, cache=Cache(tmp_path)).network.state_dict()
    with monkeypatch.context() as patched:
        patched.setattr(random_weights, "calibrate", lambda *_: pytest.fail("calibrated again"))
        cache = Cache(tmp_path)
        again = load_weights(settings, images, cache=cache).network.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (cache.counts.computed, cache.counts.found) == (0, 0)  # the user's images alone are counted
    monkeypatch.setattr(random_weights, "calibrate", lambda *_: None)
    for other, pixels in ((replace(settings, seed=1), images), (replace(settings, normalisation="imagenet"), images)):
        load_weights(other, pixels, cache=Cache(tmp_path))
    load_weights(settings, calibration.take(slice(1, 3)), cache=Cache(tmp_path))
    assert len(list(tmp_path.glob("*/*.block"))) == 4
