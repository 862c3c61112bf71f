"""Images of a seed, and generators that are refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.architectures import read_configuration
from pytest_medgan.gan.checkpoint import Checkpoint, load, save
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import BLOCK, latent_block
from pytest_medgan.gan.networks import restore_generator
from pytest_medgan.gan.sampling import from_checkpoint, noise_block
from pytest_medgan.gan.stylegan2 import StyleGAN2Generator, initialise
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config


def test_images_of_a_seed_do_not_depend_on_the_count(finished_run: Path) -> None:
    generator = load_generator(str(finished_run))
    whole = generator(2 * BLOCK + 3, 5)
    assert whole.dtype == np.uint8
    assert whole.shape == (2 * BLOCK + 3, 1, 16, 16)
    np.testing.assert_array_equal(generator(3, 5), whole[:3])
    np.testing.assert_array_equal(generator(BLOCK, 5), whole[:BLOCK])
    for start, stop in ((1, 2), (BLOCK - 1, BLOCK + 1), (BLOCK, 2 * BLOCK + 3)):
        np.testing.assert_array_equal(generator.sample_range(start, stop, 5), whole[start:stop])
    assert not np.array_equal(generator(3, 6), whole[:3])
    assert len(np.unique(whole.reshape(len(whole), -1), axis=0)) == len(whole)


def test_batch_norm_does_not_see_its_neighbours(finished_run: Path) -> None:
    """One latent alone gives the image it gives among others: eval mode, within a grey level."""
    checkpoint = load(finished_run / "generator.safetensors")
    config = read_configuration("dcgan", checkpoint.configuration)
    network = restore_generator(config, checkpoint.state("generator"))
    z = torch.from_numpy(latent_block(5, 0, config.latent))
    together, alone = to_grey(network(z)), to_grey(network(z[3:4]))
    assert np.abs(together[3].astype(int) - alone[0].astype(int)).max() <= 1


def test_another_thread_count_moves_few_pixels_by_one_level(finished_run: Path) -> None:
    ours = load_generator(str(finished_run))(200, 0).astype(int)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        gap = np.abs(load_generator(str(finished_run))(200, 0).astype(int) - ours)
    finally:
        torch.set_num_threads(before)
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 0.001


def test_generator_offers_identity_recipe_and_window(finished_run: Path) -> None:
    generator = load_generator(str(finished_run / "generator.safetensors"))
    checkpoint = load(finished_run / "generator.safetensors")
    assert generator.identity == checkpoint.identity()
    assert generator.training_recipe == "blobs-40-16-0"
    assert generator.window == (-1000.0, 400.0)
    truncated = from_checkpoint(checkpoint, truncation=0.5)
    assert truncated.identity != generator.identity
    assert not np.array_equal(truncated(4, 0), generator(4, 0))


@pytest.mark.parametrize("truncation", [None, 0.5])
def test_every_image_of_a_stylegan2_has_noise_of_its_own(truncation: float | None, tmp_path: Path) -> None:
    """As in training, and as the authors measure their FID: noise that all images share gives them one grain."""
    config = StyleGAN2Config(16, latent=6, style=7, mapping=2, generator_width=8, discriminator_width=8)
    network = StyleGAN2Generator(config)
    initialise(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network.synthesis.convolutions.values():
            layer.strength.fill_(0.5)
    weights = {f"generator.{name}": value for name, value in network.state_dict().items()}
    checkpoint = Checkpoint("stylegan2", asdict(config), weights, step=1)
    generator = from_checkpoint(checkpoint, truncation=truncation)
    whole = generator(BLOCK + 5, 3)
    for start, stop in ((0, 3), (BLOCK - 1, BLOCK + 1), (BLOCK, BLOCK + 5)):
        np.testing.assert_array_equal(generator.sample_range(start, stop, 3), whole[start:stop])
    z = torch.from_numpy(latent_block(3, 0, 6))
    network.psi = 1.0 if truncation is None else truncation
    numbers = noise_block(3, 0, config.noise)
    np.testing.assert_array_equal(whole[:BLOCK], to_grey(network(z, numbers).detach()))
    assert not np.array_equal(whole[:BLOCK], to_grey(network(z).detach()))
    for other in (noise_block(3, 1, config.noise), noise_block(4, 0, config.noise)):
        assert not torch.isclose(other, numbers).any()
    assert len(torch.unique(numbers)) > 0.999 * numbers.numel()
    assert abs(float(numbers.mean())) < 0.02
    assert abs(float(numbers.std()) - 1) < 0.02
    assert generator.identity != checkpoint.identity()  # which named images of one grain
    if truncation is None:
        torch.save(network.state_dict(), tmp_path / "G.pth")
        bare = load_generator(
            f"stylegan2,weights={tmp_path / 'G.pth'},size=16,latent=6,style=7,mapping=2,generator_width=8,"
            "discriminator_width=8"
        )
        np.testing.assert_array_equal(bare(BLOCK, 3), whole[:BLOCK])


@pytest.mark.parametrize(("start", "stop", "seed"), [(0, 0, 0), (3, 2, 0), (-1, 2, 0), (0, 2, -1)])
def test_range_without_images_is_refused(finished_run: Path, start: int, stop: int, seed: int) -> None:
    with pytest.raises(SettingsError):
        load_generator(str(finished_run)).sample_range(start, stop, seed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_refused(finished_run: Path) -> None:
    with pytest.raises(SettingsError, match="no GPU"):
        load_generator(str(finished_run), device="cuda")


def test_device_that_does_not_exist_is_refused(finished_run: Path) -> None:
    with pytest.raises(SettingsError, match="unknown to torch"):
        load_generator(str(finished_run), device="abacus")


def rewritten(run: Path, path: Path, **changes: object) -> Path:
    checkpoint = load(run / "generator.safetensors")
    save(Checkpoint(**{**checkpoint.__dict__, **changes}), path)
    return path


def test_weights_of_another_size_are_refused(finished_run: Path, tmp_path: Path) -> None:
    configured = {**load(finished_run / "generator.safetensors").configuration, "size": 32}
    path = rewritten(finished_run, tmp_path / "other.safetensors", configuration=configured)
    with pytest.raises(CheckpointError, match="not those of a DCGAN at 32x32") as caught:
        load_generator(str(path))
    assert caught.value.file == "other.safetensors"


def test_huge_configuration_is_refused_before_memory_is_claimed(finished_run: Path, tmp_path: Path) -> None:
    configured = {**load(finished_run / "generator.safetensors").configuration, "size": 1024, "generator_width": 4096}
    with pytest.raises(CheckpointError, match="not those of"):
        load_generator(str(rewritten(finished_run, tmp_path / "huge.safetensors", configuration=configured)))
    for configured in ({"size": 100}, {"unheard": 1}, {"size": "wide"}):
        with pytest.raises(CheckpointError):
            load_generator(str(rewritten(finished_run, tmp_path / "odd.safetensors", configuration=configured)))
    with pytest.raises(CheckpointError, match="architecture 'stylegan'"):
        load_generator(str(rewritten(finished_run, tmp_path / "odd.safetensors", architecture="stylegan")))


def test_weights_that_are_not_finite_are_refused(finished_run: Path, tmp_path: Path) -> None:
    tensors = dict(load(finished_run / "generator.safetensors").tensors)
    tensors["generator.layers.0.weight"] = torch.full_like(tensors["generator.layers.0.weight"], float("nan"))
    with pytest.raises(CheckpointError, match="NaN"):
        load_generator(str(rewritten(finished_run, tmp_path / "nan.safetensors", tensors=tensors)))


def test_missing_file_is_named_on_the_terminal_only(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_generator(str(tmp_path / "absent.safetensors"))
    assert "absent" not in str(caught.value)
    assert "absent.safetensors" in caught.value.for_terminal()
