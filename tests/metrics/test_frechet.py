"""Frechet distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import frechet_distance
from pytest_medgan.metrics.frechet_error import distances_without_each, prepare_rows
from pytest_medgan.metrics.moments import compute_moments, compute_overlap
from pytest_medgan.metrics.pairwise import mean_of, points


def test_distance_equals_value_published_by_monai():
    """tests/metrics/test_compute_fid_metric.py; ddof=0 would give 1/3."""
    found = frechet_distance(real=[[1.0, 2.0]] * 3, fake=[[2.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    assert found == pytest.approx(4 / 9, abs=1e-12)


def test_distance_equals_value_published_by_torch_fidelity():
    """tests/torch_pure/misc/test_fid_stats_fn.py; a plain root of the eigenvalues of S1 S2 gives nan here."""
    state = np.random.RandomState(1)
    one, two = state.randn(4, 4), state.randn(4, 4)
    assert frechet_distance(real=one, fake=two) == pytest.approx(4.753838, abs=1e-6)


def test_sets_of_equal_covariance_differ_by_their_means():
    """pytorch-fid tests/test_fid_score.py: means 0 and 1 in 2,048 dimensions give 2,048."""
    real = np.random.default_rng(0).standard_normal((2100, 2048))
    assert frechet_distance(real=real, fake=real + 1) == pytest.approx(2048, rel=1e-9)
    few = real[:40]
    assert frechet_distance(real=few, fake=few + 1) == pytest.approx(2048, rel=1e-9)


def test_distance_of_few_rows_to_themselves_is_zero():
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(50, 2048, generator=generator), torch.randn(50, 2048, generator=generator)
    assert 0 <= frechet_distance(real=one, fake=one) < 1e-9
    assert frechet_distance(real=one, fake=two) == pytest.approx(frechet_distance(real=two, fake=one), abs=1e-9)


def test_distance_of_hard_cases_equals_oracle(hard, frechet_oracle):
    real, fake = hard
    assert frechet_distance(real=real, fake=fake) == pytest.approx(frechet_oracle(real=real, fake=fake), abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (20, 200), (200, 20), (200, 150)])
def test_more_and_fewer_rows_than_features_equal_oracle(n, m, frechet_oracle):
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((n, 60)), 1.2 * rng.standard_normal((m, 60)) + 0.1
    expected = frechet_oracle(real=real, fake=fake)
    assert frechet_distance(real=real, fake=fake) == pytest.approx(expected, rel=1e-9)


def test_more_features_than_a_band_equal_oracle(frechet_oracle):
    """Covariances are computed in bands of 256 rows and mirrored."""
    rng = np.random.default_rng(4)
    mixing = rng.standard_normal((300, 300)) / 17
    real, fake = rng.standard_normal((700, 300)) @ mixing, 1.2 * rng.standard_normal((650, 300)) @ mixing + 0.1
    assert compute_moments(torch.from_numpy(real)).form == "cholesky"
    assert frechet_distance(real=real, fake=fake) == pytest.approx(frechet_oracle(real=real, fake=fake), rel=1e-9)


def test_nearly_dependent_features_are_not_factored_by_cholesky(frechet_oracle):
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((300, 6)), 1.1 * rng.standard_normal((200, 6))
    for side in (real, fake):
        side[:, 5] = side[:, 4] + 1e-9 * side[:, 5]
    assert compute_moments(torch.from_numpy(real)).form == "eigen"
    assert frechet_distance(real=real, fake=fake) == pytest.approx(frechet_oracle(real=real, fake=fake), rel=1e-7)


def test_constant_and_dependent_features_equal_oracle(frechet_oracle):
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((300, 20)), 1.1 * rng.standard_normal((200, 20))
    real[:, 3], fake[:, 3] = 0.7, 0.7
    real[:, 5], fake[:, 5] = real[:, 4], fake[:, 4]
    assert compute_moments(torch.from_numpy(real)).form == "eigen"
    assert frechet_distance(real=real, fake=fake) == pytest.approx(frechet_oracle(real=real, fake=fake), rel=1e-7)


@pytest.mark.parametrize(("n", "m", "width"), [(40, 30, 64), (120, 90, 16), (120, 12, 16), (12, 120, 16)])
def test_distance_without_each_row_equals_a_new_measurement(n, m, width):
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(2, 0.1, width)
    real = torch.randn(n, width, generator=generator) * scale
    fake = 1.1 * torch.randn(m, width, generator=generator) + 0.2
    ready, centre = compute_moments(real), mean_of(real)
    sides, overlap = (points(real, centre), points(fake, centre)), compute_overlap(ready, fake)
    of_real, of_fake = distances_without_each(ready, *sides, overlap, left_out=prepare_rows(ready, sides[0]))
    left_real = [frechet_distance(real=torch.cat([real[:i], real[i + 1 :]]), fake=fake) for i in range(n)]
    left_fake = [frechet_distance(real=real, fake=torch.cat([fake[:i], fake[i + 1 :]])) for i in range(m)]
    for found, left in ((of_real, left_real), (of_fake, left_fake)):
        gap = (found - found.mean()) - (np.array(left) - np.mean(left))
        assert abs(gap).max() < 1e-3 * np.std(left)


def test_single_row_is_refused():
    with pytest.raises(MetricInputError, match=r"real has shape \[1, 4\]: too few rows"):
        frechet_distance(real=np.zeros((1, 4)), fake=np.zeros((5, 4)))


@pytest.fixture
def activations():
    generator = torch.Generator().manual_seed(2)
    mixing = torch.randn(64, 64, generator=generator) / 8
    return tuple(torch.relu(torch.randn(n, 64, generator=generator) @ mixing + 0.3) for n in (500, 400))


@pytest.mark.peer
def test_distance_equals_torch_fidelity(activations):
    metric = pytest.importorskip("torch_fidelity.metric_fid")
    real, fake = activations
    statistics = [metric.fid_features_to_statistics(side.double()) for side in (fake, real)]
    peer = metric.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert frechet_distance(real=real, fake=fake) == pytest.approx(peer, rel=1e-6)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_distance_equals_clean_fid(activations):
    module = pytest.importorskip("cleanfid.fid")
    real, fake = (side.double().numpy() for side in activations)
    try:
        peer = module.frechet_distance(
            real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
        )
    except TypeError as error:
        pytest.skip(f"it calls scipy.linalg.sqrtm with an argument that is gone: {error}")
    assert frechet_distance(real=real, fake=fake) == pytest.approx(peer, rel=1e-6)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_distance_equals_torchmetrics(activations):
    module = pytest.importorskip("torchmetrics.image.fid")
    real, fake = (side.double() for side in activations)
    peer = module._compute_fid(real.mean(0), torch.cov(real.T), fake.mean(0), torch.cov(fake.T))
    assert frechet_distance(real=real, fake=fake) == pytest.approx(float(peer), rel=1e-6)
