"""Grey levels to the range of Tanh and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.grey import from_grey, to_grey


def test_every_grey_level_survives_the_way_to_tanh_and_back() -> None:
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = from_grey(grey)
    assert (scaled.min().item(), scaled.max().item()) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_grey(scaled), grey.numpy())


def test_rounding_is_to_the_nearest_level_and_clips() -> None:
    x = torch.tensor([-5.0, -1.0, -0.9960, -0.9962, 0.0, 1.0, 1.5]).reshape(1, 1, 1, 7)
    # -0.9960 is level 0.51, -0.9962 is level 0.4845, 0 is level 127.5, which goes up
    assert to_grey(x).ravel().tolist() == [0, 0, 1, 0, 128, 255, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        to_grey(torch.tensor(value).reshape(1, 1, 1, 1))
