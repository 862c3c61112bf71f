"""Files of other programs: a batch that is fixed, train mode, and state dicts in other precisions."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.checkpoint import load
from tests.gan.test_probing import Normalised


class Draws(nn.Module):
    """z [N,12] -> images [batch,1,8,8]."""

    def __init__(self, batch: int = -1) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(12, 64)
        self.batch = batch

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(2 * self.layer(z)).reshape(self.batch, 1, 8, 8)


def export(network: nn.Module, path: Path, batch: int | None = None) -> str:
    """Write a program of torch.export for a fixed batch, or for any."""
    shapes = {"z": {0: torch.export.Dim("count", min=2, max=4096)}} if batch is None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (torch.zeros(batch or 4, 12),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return str(path)


def trace(network: nn.Module, path: Path, batch: int = 4) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, torch.zeros(batch, 12), check_trace=False), path)
    return str(path)


# ---------------------------------------------------------------------------------------------------------- fixed batch


@pytest.mark.parametrize("batch", [1, 2, 8, 32])
def test_exported_program_of_a_fixed_batch_is_told_to_make_it_dynamic(batch: int, tmp_path: Path) -> None:
    path = export(Draws(), tmp_path / "model.pt2", batch)
    with pytest.raises(
        CheckpointError, match=rf"draws {batch} images? at once.* a batch dimension that is dynamic"
    ) as caught:
        load_generator(path)
    assert "latent=" not in str(caught.value)
    assert caught.value.file == "model.pt2"


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_traced_network_of_a_fixed_batch_is_told_to_make_it_dynamic(batch: int, tmp_path: Path) -> None:
    path = trace(Draws(batch), tmp_path / "model.pt", batch)
    with pytest.raises(CheckpointError, match="a batch dimension that is dynamic") as caught:
        load_generator(f"{path},latent=12")
    assert "\n" not in str(caught.value)


class Small(Draws):
    """Fails on more than four latents, as where memory runs out."""

    def forward(self, z: Tensor) -> Tensor:
        if len(z) > 4:
            raise RuntimeError("out of memory")
        return torch.tanh(2 * self.layer(z)).reshape(-1, 1, 8, 8)


def test_network_that_fails_on_eight_latents_is_not_taken_for_one_of_a_fixed_batch(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Small()), tmp_path / "small.pt")
    with pytest.raises(CheckpointError, match=r"draws 2 images and fails on 8 \(.*Error\)\. Call it on 8 latents"):
        load_generator(f"{tmp_path / 'small.pt'},latent=12")


# ----------------------------------------------------------------------------------------------------------- train mode


@pytest.mark.parametrize("write", [export, trace], ids=["torch.export", "TorchScript"])
def test_network_that_was_exported_in_train_mode_is_refused(write: object, tmp_path: Path) -> None:
    assert callable(write)
    path = write(Normalised().train(), tmp_path / "train.pt2")
    with pytest.raises(CheckpointError, match="in eval mode") as caught:
        load_generator(f"{path},latent=12,range=-1:1")
    assert caught.value.file == "train.pt2"
    path = write(Normalised().eval(), tmp_path / "eval.pt2")
    assert load_generator(f"{path},latent=12,range=-1:1")(2, 0).shape == (2, 1, 8, 8)


# ---------------------------------------------------------------------------------------------------------- state dicts


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_another_precision_draw_what_they_draw_in_float32(
    dtype: torch.dtype, finished_run: Path, tmp_path: Path
) -> None:
    state = load(finished_run / "generator.safetensors").state("generator")
    options = "size=16,latent=8,generator_width=4,discriminator_width=4"
    images, identities = [], []
    for name, kept in (("as written", dtype), ("in float32", torch.float32)):
        cast = {key: value.to(dtype).to(kept) if value.is_floating_point() else value for key, value in state.items()}
        torch.save(cast, tmp_path / f"{name}.pth")
        generator = load_generator(f"dcgan,weights={tmp_path / f'{name}.pth'},{options}")
        images.append(generator(5, 2))
        identities.append(generator.identity)
    np.testing.assert_array_equal(*images)
    assert identities[0] == identities[1]


def test_weights_that_float32_does_not_hold_are_refused(finished_run: Path, tmp_path: Path) -> None:
    state = load(finished_run / "generator.safetensors").state("generator")
    torch.save({name: (value.double() + 1e300).to(torch.float64) for name, value in state.items()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        load_generator(f"dcgan,weights={tmp_path / 'w.pth'},size=16,latent=8,generator_width=4,discriminator_width=4")
