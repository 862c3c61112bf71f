"""Exported networks that take latents in another shape or type than float32 [N,latent]."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.archives import from_archive


class Transposed(nn.Module):
    """z [N,100,1,1] -> images [N,1,7,7], as PyTorch's DCGAN example begins."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.ConvTranspose2d(100, 4, 4)
            self.last = nn.ConvTranspose2d(4, 1, 4)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(8 * self.last(self.first(z)))


class Flat(nn.Module):
    """z [N,6] -> images [N,1,8,8]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(6, 64)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(2 * self.layer(z)).reshape(-1, 1, 8, 8)


class Rows(Flat):
    """z [N,2,3] -> images; the rows of a latent are not alike."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(torch.cat([z[:, 0], 2 * z[:, 1]], 1))


class Numbers(nn.Module):
    """Whole numbers [N,1] -> images."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 64)

    def forward(self, codes: Tensor) -> Tensor:
        return self.table(codes).reshape(-1, 1, 8, 8)


class Pair(Flat):
    """Returns more than the images."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(z), z


def write(network: nn.Module, example: Tensor, path: Path) -> Path:
    """Write a network for any number of latents, as TorchScript or as an exported program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt":
            torch.jit.save(torch.jit.trace(network.eval(), example, check_trace=False), path)
        else:
            shapes = ({0: torch.export.Dim("count", min=2, max=4096)},)
            torch.export.save(torch.export.export(network.eval(), (example,), dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
@pytest.mark.parametrize("latent", [None, 100, (100, 1, 1)])
def test_latents_as_maps_of_one_pixel_need_no_option(
    suffix: str, latent: int | tuple[int, ...] | None, tmp_path: Path
) -> None:
    path = write(Transposed(), torch.randn(4, 100, 1, 1), tmp_path / f"model{suffix}")
    images = from_archive(path, latent=latent)(40, 0)
    assert images.shape == (40, 1, 7, 7)
    assert len(np.unique(images.reshape(40, -1), axis=0)) == 40
    np.testing.assert_array_equal(images, from_archive(path)(40, 0))


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_latents_have_the_type_of_the_network(suffix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    path = write(Flat().to(dtype), torch.randn(4, 6, dtype=dtype), tmp_path / f"model{suffix}")
    plain = write(Flat(), torch.randn(4, 6), tmp_path / f"plain{suffix}")
    images, expected = (from_archive(each, latent=6)(40, 0).astype(int) for each in (path, plain))
    assert abs(images - expected).max() <= 4  # bfloat16 has 8 bits


def test_shape_that_was_said_is_that_of_the_latent_and_a_part_of_the_identity(tmp_path: Path) -> None:
    path = write(Rows(), torch.randn(4, 2, 3), tmp_path / "model.pt")
    exported = write(Rows(), torch.randn(4, 2, 3), tmp_path / "model.pt2")
    drawn = from_archive(path, latent=(2, 3))
    np.testing.assert_array_equal(drawn(8, 0), from_archive(exported)(8, 0))
    with pytest.raises(CheckpointError, match="fails on latents of 6 numbers"):
        from_archive(path, latent=6)
    with pytest.raises(CheckpointError, match="fails on latents of 7 numbers"):
        from_archive(exported, latent=7)
    flat = write(Flat(), torch.randn(4, 6), tmp_path / "flat.pt")
    assert len({from_archive(flat, latent=said).identity for said in (6, (6,))}) == 1


def test_whole_numbers_are_no_latents(tmp_path: Path) -> None:
    path = write(Numbers(), torch.randint(0, 10, (4, 1)), tmp_path / "model.pt2")
    with pytest.raises(CheckpointError, match="input 'codes' is int64, and latents are normal numbers"):
        from_archive(path)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_network_that_returns_more_than_images_is_told_so(suffix: str, tmp_path: Path) -> None:
    path = write(Pair(), torch.randn(4, 6), tmp_path / f"model{suffix}")
    with pytest.raises(CheckpointError, match=r"returns a tuple\. Make it return the images alone"):
        from_archive(path, latent=6)
