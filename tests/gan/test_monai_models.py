"""MONAI's own classes, with random weights: each is drawn twice, and what changes the images changes the identity."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents

pytest.importorskip("monai")

SOURCE = """
import torch
from monai.inferers import DiffusionInferer, LatentDiffusionInferer
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet, Generator, VarAutoEncoder
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler

SETTINGS = {"num_train_timesteps": 20}

def autoencoder():
    return AutoencoderKL(
        spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 16), num_res_blocks=1, norm_num_groups=4,
        attention_levels=(False, False), with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False,
    )

def coder():
    return VarAutoEncoder(2, (1, 16, 16), 1, 8, (4, 8), (2, 2))

def generator():
    return Generator((16,), (8, 4, 4), (8, 4, 1), (2, 2, 1))

def unet(channels=1):
    network = DiffusionModelUNet(
        spatial_dims=2, in_channels=channels, out_channels=channels, channels=(8, 16), num_res_blocks=1,
        attention_levels=(False, False), norm_num_groups=4,
    )
    with torch.no_grad():
        network.out[-1].conv.weight.normal_(0, 0.3)  # zeros in a network that was not trained
    return network

def ddpm():
    return unet(), DDPMScheduler(**SETTINGS)

def ddim():
    return unet(), DDIMScheduler(**SETTINGS)

def pndm():
    return unet(), PNDMScheduler(skip_prk_steps=True, **SETTINGS)

def inferer():
    return unet(), DiffusionInferer(DDIMScheduler(**SETTINGS))

def latent():
    return unet(3), LatentDiffusionInferer(DDIMScheduler(**SETTINGS), scale_factor=0.7), autoencoder()

def no_autoencoder():
    return unet(3), LatentDiffusionInferer(DDIMScheduler(**SETTINGS), scale_factor=0.7)

def swapped():
    return DDIMScheduler(**SETTINGS), unet()

def alone():
    return (unet(),)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "their_models.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_models", raising=False)
    return "their_models"


@pytest.mark.parametrize(
    "name",
    [
        "autoencoder,latent=3x8x8,range=-4:4",
        "coder,latent=8,range=0:1",
        "generator,latent=16,range=-6:6",
        "ddpm,latent=1x16x16,steps=4",
        "ddim,latent=1x16x16,steps=4",
        "pndm,latent=1x16x16,steps=4,range=-4:4",
        "inferer,latent=1x16x16,steps=3",
        "latent,latent=3x8x8,steps=3,range=-4:4",
    ],
)
def test_model_of_monai_draws_the_same_images_twice(module: str, name: str) -> None:
    first, second = (load_generator(f"{module}:{name}") for _ in range(2))
    images = first(34, 3)
    assert images.shape == (34, 1, 16, 16)
    np.testing.assert_array_equal(images, second(34, 3))
    np.testing.assert_array_equal(images[32:], first.sample_range(32, 34, 3))  # type: ignore[union-attr]
    assert (first(34, 4) != images).any()
    assert first.identity == second.identity is not None


def test_diffusion_starts_from_the_latents_and_takes_the_schedulers_steps(module: str) -> None:
    load_generator(f"{module}:ddim,latent=1x16x16,steps=1")
    models = sys.modules["their_models"]
    scheduler = models.DDIMScheduler(**models.SETTINGS)
    scheduler.set_timesteps(4)
    unet = models.unet().eval()
    images = torch.from_numpy(latents(0, 32, 5, 256)).reshape(32, 1, 16, 16)
    with torch.no_grad():
        for step in scheduler.timesteps:
            images, _ = scheduler.step(unet(images, timesteps=torch.full((32,), int(step))), int(step), images)
    expected = to_grey(images)
    path = Path(models.__file__).parent / "unet.pt"
    torch.save(unet.state_dict(), path)
    ours = load_generator(f"{module}:ddim,latent=1x16x16,steps=4,weights={path}")(32, 5)
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1


def test_steps_scheduler_and_scale_enter_the_identity(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(name: str) -> str | None:
        return load_generator(f"{module}:{name}").identity

    kinds = [
        identity("ddim,latent=1x16x16,steps=4"),
        identity("ddim,latent=1x16x16,steps=5"),
        identity("ddpm,latent=1x16x16,steps=4"),
        identity("latent,latent=3x8x8,steps=3,range=-4:4"),
    ]
    models = sys.modules["their_models"]
    monkeypatch.setitem(models.SETTINGS, "beta_end", 0.03)
    kinds.append(identity("ddim,latent=1x16x16,steps=4"))
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ddim", "does not say the shape of its noise"),
        ("ddim,latent=1x16x16,steps=21", "does not take 21 steps; it was trained with 20"),
        ("ddim,latent=2x16x16,steps=2", "fails on latents of 512 numbers"),
        ("no_autoencoder,latent=3x8x8", "parts of type DiffusionModelUNet, LatentDiffusionInferer"),
        ("swapped,latent=1x8x8", "parts of type DDIMScheduler, DiffusionModelUNet"),
        ("alone,latent=1x8x8", "parts of type DiffusionModelUNet"),
        ("coder,latent=8,range=0:1,steps=4", "no diffusion model of MONAI"),
    ],
)
def test_diffusion_that_does_not_fit_is_refused_in_words(module: str, name: str, words: str) -> None:
    with pytest.raises((CheckpointError, SettingsError), match=words):
        load_generator(f"{module}:{name}")


def test_missing_monai_is_said_with_the_command(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_generator(f"{module}:ddim,latent=1x16x16,steps=1")
    monkeypatch.setitem(sys.modules, "monai.inferers.inferer", None)
    with pytest.raises(CheckpointError, match=r"pip install 'pytest-medgan\[monai\]'"):
        load_generator(f"{module}:ddim,latent=1x16x16,steps=1")
