"""Latents are normal, reproducible and the same to the bit everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.latents import BLOCK, Stream, _inverse_normal, latents

DIGEST = "2effbd81481be85e108288cdf1a761f1a5b337fa5a0b1277e141824b4a3b27ab"


def test_quantile_function_is_that_of_the_normal_distribution() -> None:
    p = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 10_001), 10.0 ** -np.arange(1, 17)])
    expected = stats.norm.ppf(p)
    away = expected != 0
    np.testing.assert_allclose(_inverse_normal(p)[away], expected[away], rtol=3e-15)


def test_latents_pass_for_normal() -> None:
    z = latents(0, 2000, 5, 100)
    assert z.dtype == np.float32
    assert stats.kstest(z.ravel().astype(float), "norm").pvalue > 0.01
    neighbours = np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.01


def test_these_very_numbers_on_every_machine() -> None:
    """A digest written down once: a machine on which it differs draws other images."""
    assert hashlib.sha256(latents(0, 1000, 7, 512).astype("<f4").tobytes()).hexdigest() == DIGEST


def test_switching_off_numpys_vector_paths_changes_no_bit() -> None:
    code = (
        "import hashlib; from pytest_medgan.gan.latents import latents; "
        "print(hashlib.sha256(latents(0, 1000, 7, 512).astype('<f4').tobytes()).hexdigest())"
    )
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    present = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": present}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == DIGEST


def test_first_n_do_not_depend_on_the_count() -> None:
    whole = latents(0, 3 * BLOCK + 5, 1, 4)
    for start, stop in ((0, 1), (0, BLOCK), (BLOCK - 1, BLOCK + 1), (40, 3 * BLOCK + 5), (7, 7)):
        np.testing.assert_array_equal(latents(start, stop, 1, 4), whole[start:stop])


def test_seeds_name_different_latents() -> None:
    assert not np.array_equal(latents(0, 4, 1, 4), latents(0, 4, 2, 4))
    assert not np.array_equal(latents(0, 4, 1, 4), latents(BLOCK, BLOCK + 4, 1, 4))


def test_truncation_draws_again_what_lies_beyond() -> None:
    z, cut = latents(0, 500, 1, 20), latents(0, 500, 1, 20, truncation=0.7)
    assert np.abs(cut).max() <= 0.7
    inside = np.abs(z) <= 0.7
    np.testing.assert_array_equal(cut[inside], z[inside])
    assert stats.kstest(cut.ravel().astype(float), stats.truncnorm(-0.7, 0.7).cdf).pvalue > 0.01


def test_permutation_holds_every_number_once() -> None:
    order = Stream(3).permutation(1000)
    assert sorted(order) == list(range(1000))
    assert list(order) != list(range(1000))


@pytest.mark.parametrize("arguments", [(3, 2, 0, 4), (-1, 2, 0, 4), (0, 2, -1, 4), (0, 2, 0, 4, 0.0)])
def test_range_without_images_is_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(SettingsError):
        latents(*arguments)
