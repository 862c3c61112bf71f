"""Batch norm over several processes; tests/gan and tests/embedding run it on two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.shared_norm import share_batch_norms

IMAGES = torch.randn(2, 3, 2, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def shared(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    share_batch_norms(norm)
    assert type(norm) is not nn.BatchNorm2d
    return norm


def test_norm_of_one_process_is_that_of_torch(alone: None) -> None:
    ours, theirs = shared(nn.BatchNorm2d(3).double()), nn.BatchNorm2d(3).double()
    torch.testing.assert_close(ours(IMAGES), theirs(IMAGES))
    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(IMAGES), theirs(IMAGES))


def test_norm_can_be_differentiated_twice(alone: None) -> None:
    norm = shared(nn.BatchNorm2d(3).double())
    assert torch.autograd.gradgradcheck(norm, IMAGES.clone().requires_grad_())


def test_half_precision_is_normalised_in_float32_and_returned_as_it_came(alone: None) -> None:
    images = (IMAGES * 100).to(torch.bfloat16)
    ours, exact = shared(nn.BatchNorm2d(3))(images), nn.BatchNorm2d(3)(images.float())
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, exact.to(torch.bfloat16))


def test_norm_without_momentum_is_refused(alone: None) -> None:
    with pytest.raises(SettingsError, match="has no momentum"):
        shared(nn.BatchNorm2d(3, momentum=None).double())(IMAGES)
