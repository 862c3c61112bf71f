"""A gate in one file. Copy it with pytest.ini, name your own data and model there, and run pytest.

pytest --medgan-data=STUDIES --medgan-generator=model.safetensors
"""

import pytest

from pytest_medgan import (
    assert_fid_below,
    assert_improved_precision_above,
    assert_improved_recall_above,
    assert_no_regression,
)


@pytest.fixture
def row(medgan_baseline):
    """What the model scored when it was last accepted."""
    return medgan_baseline.row("DCGAN")


def test_images_look_real(medgan_scores, row):
    assert_fid_below(medgan_scores, row.fid)


def test_images_stay_within_the_real_manifold(medgan_scores, row):
    assert_improved_precision_above(medgan_scores, row.improved_precision)


def test_images_cover_the_real_manifold(medgan_scores, row):
    assert_improved_recall_above(medgan_scores, row.improved_recall)


def test_nothing_else_became_worse(medgan_scores, row):
    """Every metric of the row at once: deep features do not see a grey shift, nor every way to repeat oneself."""
    assert_no_regression(medgan_scores, row)
