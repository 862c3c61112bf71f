"""Checkpoints hold what they should, are written whole or not at all, and nothing foreign is believed."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pytest_medgan.errors import CheckpointError, OutputError
from pytest_medgan.gan.checkpoint import Checkpoint, load, save
from pytest_medgan.gan.dcgan import DCGANGenerator
from pytest_medgan.gan.dcgan_settings import DCGANConfig


@pytest.fixture
def checkpoint(tiny: DCGANConfig) -> Checkpoint:
    torch.manual_seed(0)
    network = DCGANGenerator(tiny)
    tensors = {f"generator.{name}": tensor for name, tensor in network.state_dict().items()}
    return Checkpoint(
        architecture="dcgan",
        configuration=tiny.__dict__,
        tensors={**tensors, "discriminator.layers.0.weight": torch.ones(2, 2)},
        training_recipe="abc",
        patients=("P0001", "P0002"),
        images=40,
        window=(-1000.0, 400.0),
        seed=7,
        step=12,
        key="k",
        progress={"history": [{"step": 2.0, "generator": 0.1}]},
    )


def test_saved_checkpoint_is_read_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "a.safetensors")
    back = load(tmp_path / "a.safetensors")
    assert (back.training_recipe, back.patients, back.window) == ("abc", ("P0001", "P0002"), (-1000.0, 400.0))
    assert (back.seed, back.step, back.finished, back.images) == (7, 12, False, 40)
    assert back.progress == checkpoint.progress
    assert set(back.versions) == {"pytest-medgan", "torch", "numpy", "python"}
    assert back.tensors.keys() == checkpoint.tensors.keys()
    assert all(torch.equal(back.tensors[name], tensor) for name, tensor in checkpoint.tensors.items())
    assert back.identity() == checkpoint.identity()


def test_header_of_any_length_is_read(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """A safetensors file begins with its header's length, which may look like the start of a pickle."""
    starts = set()
    for extra in range(0, 256, 8):
        save(Checkpoint(**{**checkpoint.__dict__, "key": "k" * extra}), tmp_path / "a.safetensors")
        starts.add((tmp_path / "a.safetensors").read_bytes()[0])
        assert load(tmp_path / "a.safetensors").key == "k" * extra
    assert 0x80 in starts


def test_prefixes_limit_what_is_read(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "a.safetensors")
    assert {n.split(".")[0] for n in load(tmp_path / "a.safetensors", prefixes=("generator",)).tensors} == {"generator"}


def test_equal_checkpoints_are_equal_files(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "a.safetensors")
    save(checkpoint, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_half_storage_halves_the_weights_and_says_so(checkpoint: Checkpoint, tmp_path: Path) -> None:
    half = Checkpoint(**{**checkpoint.__dict__, "storage": "float16"})
    save(checkpoint, tmp_path / "a.safetensors")
    save(half, tmp_path / "b.safetensors")
    sizes = [(tmp_path / name).stat().st_size for name in ("a.safetensors", "b.safetensors")]
    weights = sum(t.numel() for n, t in checkpoint.state("generator").items() if t.is_floating_point())
    assert sizes[0] - sizes[1] == pytest.approx(2 * weights, abs=64)
    back = load(tmp_path / "b.safetensors")
    assert back.storage == "float16"
    weight = "generator.layers.0.weight"
    assert back.tensors[weight].dtype == torch.float32
    assert torch.equal(back.tensors[weight], checkpoint.tensors[weight].half().float())
    assert back.identity() != checkpoint.identity()


def test_identity_is_that_of_the_generator_alone(checkpoint: Checkpoint) -> None:
    other = {**checkpoint.tensors, "discriminator.layers.0.weight": torch.zeros(2, 2)}
    assert Checkpoint(**{**checkpoint.__dict__, "tensors": other, "step": 99}).identity() == checkpoint.identity()
    name = "generator.layers.0.weight"
    changed = checkpoint.tensors[name].clone()
    changed[0, 0, 0, 0] += 1e-6
    assert Checkpoint(**{**checkpoint.__dict__, "tensors": {**other, name: changed}}).identity() != (
        checkpoint.identity()
    )


class Payload:
    """Writes a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["torch", "legacy torch", "pickle", "protocol 0"])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_pickle_is_refused_and_its_payload_does_not_run(tmp_path: Path, kind: str, name: str) -> None:
    ran, path = tmp_path / "ran", tmp_path / name
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(ran)))
    elif kind == "protocol 0":
        path.write_bytes(pickle.dumps(Payload(ran), protocol=0))
    else:
        torch.save({"weights": Payload(ran)}, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert not ran.exists()
    assert caught.value.file == name
    if kind != "protocol 0":  # bytes that could be anything: refused all the same, as no safetensors file
        assert "pickle" in str(caught.value)
        assert "torch.export.save" in str(caught.value)


def test_every_truncation_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    whole = tmp_path / "a.safetensors"
    save(checkpoint, whole)
    content = whole.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="truncated") as caught:
            load(cut)
        assert caught.value.for_terminal().startswith("cut.safetensors: ")
        assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of medgan"):
        load(path)
    save_file({"w": torch.zeros(2)}, path, {"medgan": '{"format": "another"}'})
    with pytest.raises(CheckpointError, match="not a checkpoint of medgan"):
        load(path)
    save_file({"w": torch.zeros(2)}, path, {"medgan": '{"format": "pytest-medgan checkpoint", "format_version": 99}'})
    with pytest.raises(CheckpointError, match="Update pytest-medgan"):
        load(path)
    save_file({"w": torch.zeros(2)}, path, {"medgan": '{"format": "pytest-medgan checkpoint", "format_version": 1}'})
    with pytest.raises(CheckpointError, match="header"):
        load(path)
    start = '{"format": "pytest-medgan checkpoint", "format_version": 1, "architecture": "dcgan", "configuration": '
    for rest in ("3}", '{}, "window": 3}', '{}, "stage": ["a", 1]}', '{}, "progress": []}'):
        save_file({"w": torch.zeros(2)}, path, {"medgan": start + rest})
        with pytest.raises(CheckpointError, match="header"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("anything", "x")
    with pytest.raises(CheckpointError):
        load(path)
    with pytest.raises(CheckpointError, match="cannot be opened"):
        load(tmp_path / "absent.safetensors")


def test_full_disk_leaves_the_old_checkpoint(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    save(checkpoint, path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"no space left on device") as caught:
        save(Checkpoint(**{**checkpoint.__dict__, "step": 13}), path)
    assert caught.value.file == "a.safetensors"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]
