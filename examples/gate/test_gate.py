"""A gate in one file. Copy it with pytest.ini, name your own data and model there, and run pytest.

pytest --medgan-data=STUDIES --medgan-generator=model.safetensors
"""

import pytest

from pytest_medgan import (
    assert_fid_below,
    assert_improved_precision_above,
    assert_ms_ssim_below,
    assert_no_regression,
)


@pytest.fixture
def row(medgan_baseline):
    """Return what the model scored when it was last accepted."""
    return medgan_baseline.row("DCGAN")


def test_images_look_real(medgan_scores, row):
    assert_fid_below(medgan_scores, row.fid)


def test_each_image_has_a_real_one_like_it(medgan_scores, row):
    assert_improved_precision_above(medgan_scores, row.improved_precision)


def test_images_differ_from_each_other(medgan_scores, row):
    assert_ms_ssim_below(medgan_scores, row.ms_ssim)


def test_nothing_else_became_worse(medgan_scores, row):
    """Every metric of the row at once; one that could not see a loss with so few images is BLIND and fails nothing."""
    assert_no_regression(medgan_scores, row)
