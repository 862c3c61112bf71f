"""Pipelines of diffusers in a folder: their own classes with random weights, drawn without the network."""

from __future__ import annotations

import json
import pickle
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.loading import load_generator as load_apart
from pytest_medgan.gan.pipelines import PipelineGenerator, from_pipeline
from pytest_medgan.gan.seeding import seed_of

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def load_generator(text: str) -> PipelineGenerator:
    """Return the generator of a pipeline in this process, where the network is watched."""
    folder, _, steps = text.partition(",steps=")
    return from_pipeline(Path(folder), steps=int(steps) if steps else None)


def unet(channels: int = 1, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return diffusers.UNet2DModel(
            sample_size=16,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            add_attention=False,
        )


def ddpm(folder: Path, seed: int = 0, **settings: Any) -> Path:
    scheduler = diffusers.DDPMScheduler(**{"num_train_timesteps": 20, **settings})
    diffusers.DDPMPipeline(unet(seed=seed), scheduler).save_pretrained(folder)
    return folder


def ddim(folder: Path) -> Path:
    diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler(num_train_timesteps=20)).save_pretrained(folder)
    return folder


def latent(folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        autoencoder = diffusers.VQModel(
            in_channels=1, out_channels=1, latent_channels=3, norm_num_groups=4, block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            mid_block_add_attention=False,
        )  # fmt: skip
    pipeline = diffusers.LDMPipeline(autoencoder, unet(3), diffusers.DDIMScheduler(num_train_timesteps=20))
    pipeline.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("write", [ddpm, ddim, latent])
def test_pipeline_draws_the_same_images_twice(
    write: Callable[[Path], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{write(tmp_path / 'model')},steps=3"
    capfd.readouterr()
    first, second = load_generator(name), load_generator(name)
    images = first(18, 3)
    assert capfd.readouterr() == ("", "")
    assert images.shape[:2] == (18, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, second(18, 3))
    np.testing.assert_array_equal(images[:5], first(5, 3))
    np.testing.assert_array_equal(images[10:13], first.sample_range(10, 13, 3))
    assert (first(18, 4) != images).any()
    assert (images[:8] != images[8:16]).any()
    assert first.identity == second.identity is not None


def test_pipeline_in_its_own_process_draws_the_same_images_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{ddpm(tmp_path / 'model')},steps=3"
    capfd.readouterr()
    apart, here = load_apart(name), load_generator(name)
    np.testing.assert_array_equal(apart(18, 3), here(18, 3))
    assert apart.identity == here.identity
    assert capfd.readouterr() == ("", "")


def test_pipeline_that_is_late_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    diffusers.DDPMPipeline(unet(), diffusers.DDPMScheduler(num_train_timesteps=100_000)).save_pretrained(folder)
    with pytest.raises(CheckpointError, match="no answer within 3 seconds") as caught:
        load_apart(f"{folder},steps=100000,seconds=3")
    assert caught.value.file == "model"


def test_images_are_those_of_the_pipeline_itself(tmp_path: Path) -> None:
    folder = ddpm(tmp_path / "model")
    pipeline = diffusers.DDPMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed_of(5, number)) for number in range(8)]
    theirs = pipeline(batch_size=8, generator=generators, num_inference_steps=4, output_type="np").images
    expected = to_grey(torch.from_numpy(theirs.transpose(0, 3, 1, 2).copy()) * 2 - 1)
    np.testing.assert_array_equal(load_generator(f"{folder},steps=4")(8, 5), expected)


def test_every_image_has_noise_of_its_own(tmp_path: Path) -> None:
    images = load_generator(f"{ddpm(tmp_path / 'model')},steps=2")(16, 0)
    assert len(np.unique(images.reshape(16, -1), axis=0)) == 16


def test_weights_scheduler_and_steps_enter_the_identity(tmp_path: Path) -> None:
    first = ddpm(tmp_path / "first")
    identities = [
        load_generator(name).identity
        for name in (
            f"{first},steps=2",
            f"{first},steps=3",
            f"{ddpm(tmp_path / 'weights', seed=1)},steps=2",
            f"{ddpm(tmp_path / 'scheduler', beta_end=0.03)},steps=2",
            f"{ddim(tmp_path / 'ddim')},steps=2",
        )
    ]
    assert len(set(identities)) == 5
    assert load_generator(f"{ddpm(tmp_path / 'copy')},steps=2").identity == identities[0]
    assert load_generator(str(first)).identity == load_generator(f"{first},steps=20").identity


def test_steps_that_the_scheduler_does_not_take_are_refused(tmp_path: Path) -> None:
    folder = ddpm(tmp_path / "model")
    with pytest.raises(SettingsError, match="does not take 21 steps; it was trained with 20"):
        load_generator(f"{folder},steps=21")
    with pytest.raises(SettingsError, match="no option 'latent'"):
        load_apart(f"{folder},latent=3")
    with pytest.raises(SettingsError, match="negative"):
        load_generator(f"{folder},steps=1")(1, -1)


def index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_class_name": "StableDiffusionXLPipeline"}, "is a StableDiffusionXLPipeline, which is not known"),
        ({"_class_name": ["pipeline", "Mine"]}, "of a class of its own"),
        ({"unet": ["evil_module", "UNet2DModel"]}, "part 'unet' is no class of diffusers"),
        ({"extra": ["transformers", "CLIPTextModel"]}, "part 'extra' is no class of diffusers"),
        ({"unet": "diffusers"}, "part 'unet' is no class of diffusers"),
        ({"unet": ["diffusers", "NoSuchModel"]}, "cannot be loaded"),
        ({"unet": ["diffusers", "DDPMScheduler"]}, "cannot be loaded|fails when it draws"),
    ],
)
def test_pipeline_of_foreign_code_is_refused_unimported(
    changes: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ddpm(tmp_path / "model")
    for name in ("evil_module", "pipeline"):
        for where in (tmp_path, folder, folder / "unet"):
            (where / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    index(folder, **changes)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_generator(f"{folder},steps=1")
    assert caught.value.file == "model"
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.mkdir, (self.target,)


def test_weights_in_a_pickle_are_refused_unread(tmp_path: Path) -> None:
    folder = ddpm(tmp_path / "model")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match="not safetensors"):
        load_generator(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "file", ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
             "scheduler/scheduler_config.json"],
)  # fmt: skip
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe{", b"[]", b"{" * 100_000])
def test_damaged_file_is_one_line(file: str, damage: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = ddpm(tmp_path / "model")
    (folder / file).write_bytes(damage)
    capfd.readouterr()
    with pytest.raises(CheckpointError) as caught:
        load_generator(f"{folder},steps=1")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = unet()
    with torch.no_grad():
        network.conv_out.bias.fill_(float("nan"))
    diffusers.DDPMPipeline(network, diffusers.DDPMScheduler(num_train_timesteps=20)).save_pretrained(tmp_path / "nan")
    with pytest.raises(CheckpointError, match="NaN"):
        load_generator(f"{tmp_path / 'nan'},steps=1")


def test_missing_package_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ddpm(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'pytest-medgan\[diffusers\]'"):
        load_generator(str(folder))
