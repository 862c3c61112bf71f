"""Values that no scanner measures."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.ct.scale import check_scale, check_thorax
from pytest_medgan.errors import DataError

THORAX = np.concatenate([np.full(500, -1000.0), np.full(300, 40.0), np.full(200, -2000.0)]).reshape(25, 40)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        (THORAX, False),
        (np.where(THORAX > 0, 3000.0, THORAX), False),  # much metal
        (np.full((4, 4), np.nan), False),  # only padding
        (THORAX * 10 + 1e9, True),
        (THORAX - 32768.0, True),
        (np.where(np.arange(1000).reshape(25, 40) < 499, 9000.0, 0.0), False),
        (np.where(np.arange(1000).reshape(25, 40) < 501, 9000.0, 0.0), True),
        (np.where(np.arange(1000).reshape(25, 40) < 600, np.nan, 9000.0), True),  # padding does not count
    ],
)
def test_check_scale_refuses_a_slice_mostly_out_of_range(values: np.ndarray, refused: bool) -> None:
    if refused:
        with pytest.raises(DataError, match=r"RescaleSlope and RescaleIntercept .* give .* HU") as caught:
            check_scale(values, "x.dcm")
        assert caught.value.file == "x.dcm"
    else:
        check_scale(values, "x.dcm")


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        (THORAX, False),
        (np.full((25, 40), 40.0), False),  # within the body
        (np.full((25, 40), -900.0), False),  # within the lung
        (np.where(THORAX < -1500, -2000.0, THORAX + 1500.0), True),
        (np.full((25, 40), -2000.0), True),
        (THORAX + 1e6, True),
    ],
)
def test_check_thorax_refuses_a_slice_without_air_and_tissue(values: np.ndarray, refused: bool) -> None:
    if refused:
        with pytest.raises(DataError, match="RescaleIntercept"):
            check_thorax(values, "x.dcm")
    else:
        check_thorax(values, "x.dcm")
