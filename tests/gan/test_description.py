"""Exported files that say of themselves what their latents and values are."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.archives import from_archive
from pytest_medgan.gan.description import ENTRY, Description, read_description


class Bright(nn.Module):
    """Latents of any number to images in 0..1."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z[:, :4]).reshape(-1, 1, 2, 2)


def write(path: Path, said: str) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt":
            torch.jit.save(torch.jit.script(Bright()), path, _extra_files={ENTRY: said})
        else:
            shapes = ({0: torch.export.Dim("count"), 1: torch.export.Dim("latent", min=5)},)
            program = torch.export.export(Bright(), (torch.zeros(2, 7),), dynamic_shapes=shapes)
            torch.export.save(program, path, extra_files={ENTRY: said})
    return path


@pytest.mark.parametrize("name", ["G.pt", "G-z9.pt2"])
def test_file_is_read_by_what_it_says_and_options_go_before_it(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, json.dumps({"latent": 5, "range": [0, 1], "class": 2}))
    images = from_archive(path)(3, 0)
    np.testing.assert_array_equal(from_archive(path, latent=5, values=(0.0, 1.0))(3, 0), images)
    assert not np.array_equal(from_archive(path, latent=6)(3, 0), images)
    assert not np.array_equal(from_archive(path, values=(-1.0, 1.0))(3, 0), images)


@pytest.mark.parametrize("name", ["G.pt", "G.pt2"])
def test_file_that_says_nothing_needs_its_range(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="range=0:1"):
        from_archive(write(tmp_path / name, ""))


@pytest.mark.parametrize(
    "said",
    [
        "no json",
        "[]",
        "{}",
        "[" * 100_000,
        '{"latent": 5}',
        '{"latent": 5, "range": [0, 1], "noise": 5}',
        '{"latent": 5, "range": [0, 1], "noise": -1}',
        '{"latent": 5, "range": [0, 1], "noise": true}',
        '{"latent": true, "range": [0, 1]}',
        '{"latent": 0, "range": [0, 1]}',
        '{"latent": 5.5, "range": [0, 1]}',
        '{"latent": 5, "range": [1, 0]}',
        '{"latent": 5, "range": [0, 1, 2]}',
        '{"latent": 5, "range": [0, NaN]}',
        '{"latent": 5, "range": [0, Infinity]}',
        '{"latent": 5, "range": ["a", 1]}',
    ],
)
def test_damaged_description_is_refused(said: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_description(said, "G.pt2")


def test_description_is_read_from_bytes_too() -> None:
    assert read_description(b'{"latent": 5, "range": [0, 255]}', "G.pt2") == Description((5,), (0.0, 255.0))
    assert read_description("", "G.pt2") == Description()
