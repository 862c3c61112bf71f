"""The folder of a training run: which checkpoints stay, and which one a run goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.checkpoint import Checkpoint
from pytest_medgan.gan.dcgan import DCGANGenerator
from pytest_medgan.gan.dcgan_settings import DCGANConfig
from pytest_medgan.gan.described import plain_values
from pytest_medgan.gan.run_folder import RunFolder
from pytest_medgan.records import no_progress

CONFIG = DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a folder in which the checkpoints of steps 100, 200, 900 and 1000 were saved, two kept."""
    torch.manual_seed(0)
    tensors = {f"generator.{name}": tensor for name, tensor in DCGANGenerator(CONFIG).state_dict().items()}
    first = Checkpoint("dcgan", plain_values(CONFIG), tensors)
    folder = RunFolder(tmp_path)
    for step in (100, 200, 900, 1000):
        folder.save(replace(first, step=step), keep=2)
    return folder


def test_the_last_checkpoints_are_kept_and_the_latest_is_resumed(folder: RunFolder) -> None:
    assert [path.stem for path in folder.checkpoints()] == ["checkpoint-00000900", "checkpoint-00001000"]
    latest = folder.latest(no_progress)
    assert latest is not None
    assert latest.step == 1000


def test_a_damaged_latest_checkpoint_leaves_the_one_before(folder: RunFolder) -> None:
    folder.checkpoints()[-1].write_bytes(b"damaged")
    latest = folder.latest(no_progress)
    assert latest is not None
    assert latest.step == 900


def test_a_folder_whose_checkpoints_are_all_damaged_is_not_begun_anew(folder: RunFolder) -> None:
    for path in folder.checkpoints():
        path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        folder.latest(no_progress)


def test_a_new_folder_has_nothing_to_resume(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "new").latest(no_progress) is None
