"""Improved precision and recall."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import density_coverage, improved_precision_recall, measure, prepare_reference


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_ball_metrics_equal_oracle_exactly(hard, balls_oracle, k, strict):
    real, fake = hard
    found = improved_precision_recall(real=real, fake=fake, k=k, strict=strict)
    found += density_coverage(real=real, fake=fake, k=k, strict=strict)
    expected = balls_oracle(real=real, fake=fake, k=k, strict=strict)
    assert found == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("k", [1, 5])
def test_membership_of_every_row_equals_oracle(hard, inside_oracle, k, strict):
    """Membership row by row, not only the rates."""
    real, fake = hard
    names = ("improved_precision", "improved_recall")
    reference = prepare_reference(real, metrics=names, k=k)
    found = measure(reference, fake=fake, metrics=names, evidence=True, strict=strict).evidence
    assert (found.fake_in_real == inside_oracle(owners=real, probes=fake, k=k, strict=strict).any(1)).all()
    assert (found.real_in_fake == inside_oracle(owners=fake, probes=real, k=k, strict=strict).any(1)).all()


def test_uncentred_float32_products_fail_the_hard_cases(balls_oracle):
    """Were uncentred float32 products enough, these cases would prove nothing."""
    real = np.random.default_rng(0).standard_normal((160, 32)).astype(np.float32) + np.float32(1e3)
    norms = (real**2).sum(1)
    naive = norms[:, None] + norms - 2 * real @ real.T
    exact = ((real[:, None].astype(np.float64) - real) ** 2).sum(2)
    assert abs(naive - exact).max() > 1


def test_narrow_cloud_inside_a_wide_one_has_precision_1_and_recall_0():
    """torch-fidelity tests/test_prc_convention.py, which guards the roles."""
    generator = torch.Generator().manual_seed(42)
    fake = 0.1 * torch.randn(200, 16, generator=generator)
    real = 3 * torch.randn(200, 16, generator=generator)
    assert improved_precision_recall(real=real, fake=fake, k=3) == (1.0, 0.0)
    assert improved_precision_recall(real=fake, fake=real, k=3) == (0.0, 1.0)


def test_identical_sets_score_one():
    rows = np.random.default_rng(0).standard_normal((50, 6))
    assert improved_precision_recall(real=rows, fake=rows) == (1.0, 1.0)
    assert density_coverage(real=rows, fake=rows)[1] == 1.0


def test_sequence_of_k_gives_each_k_in_the_order_given(two_sets):
    real, fake = two_sets
    precision, recall = improved_precision_recall(real=real, fake=fake, k=[10, 1, 4])
    for place, k in enumerate([10, 1, 4]):
        assert (precision[place], recall[place]) == improved_precision_recall(real=real, fake=fake, k=k)
    density, coverage = density_coverage(real=real, fake=fake, k=(10, 1, 4))
    for place, k in enumerate([10, 1, 4]):
        assert (density[place], coverage[place]) == density_coverage(real=real, fake=fake, k=k)


def test_order_and_type_of_rows_do_not_change_values(two_sets):
    real, fake = two_sets
    expected = improved_precision_recall(real=real, fake=fake)
    rng = np.random.default_rng(1)
    shuffled = improved_precision_recall(real=rng.permutation(real), fake=torch.from_numpy(rng.permutation(fake)))
    assert shuffled == expected
    assert improved_precision_recall(real=real.astype(np.float64), fake=fake) == expected


def test_number_of_blocks_does_not_change_values(two_sets, monkeypatch):
    real, fake = two_sets
    whole = improved_precision_recall(real=real, fake=fake), density_coverage(real=real, fake=fake)
    monkeypatch.setattr("pytest_medgan.metrics.pairwise.CPU_ENTRIES", 64 * 300)
    assert (improved_precision_recall(real=real, fake=fake), density_coverage(real=real, fake=fake)) == whole


def test_many_k_at_once_equal_oracle(hard, balls_oracle):
    real, fake = hard
    ks = [1, 2, 5, 11, 19]
    precision, recall = improved_precision_recall(real=real, fake=fake, k=ks)
    density, coverage = density_coverage(real=real, fake=fake, k=ks)
    for place, k in enumerate(ks):
        found = precision[place], recall[place], density[place], coverage[place]
        assert found == pytest.approx(balls_oracle(real=real, fake=fake, k=k), abs=1e-12, rel=0)


def test_matrix_precision_of_the_process_is_neither_used_nor_changed(two_sets):
    real, fake = two_sets
    expected = improved_precision_recall(real=real, fake=fake)
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert improved_precision_recall(real=real, fake=fake) == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(chosen)


def test_collapse_lowers_recall_and_coverage_but_not_precision(two_sets):
    real, _ = two_sets
    rng = np.random.default_rng(0)
    healthy = rng.permutation(real)[:200] + 0.05 * rng.standard_normal((200, 32)).astype(np.float32)
    collapsed = real[:5][rng.integers(0, 5, 200)] + 0.05 * rng.standard_normal((200, 32)).astype(np.float32)
    before, after = (improved_precision_recall(real=real, fake=fake) for fake in (healthy, collapsed))
    assert before[0] > 0.9
    assert after[0] >= before[0] - 0.02
    assert after[1] < before[1] / 2
    covered = [density_coverage(real=real, fake=fake)[1] for fake in (healthy, collapsed)]
    assert covered[1] < covered[0] / 2


def test_noise_lowers_precision(two_sets):
    real, fake = two_sets
    noise = np.random.default_rng(0).standard_normal(fake.shape).astype(np.float32)
    clean, noisy = (improved_precision_recall(real=real, fake=rows)[0] for rows in (fake, fake + 2 * noise))
    assert noisy < clean / 2


@pytest.mark.parametrize(
    ("real", "fake", "k", "said"),
    [
        ((50, 8), (50, 9), 3, r"fake has shape \[50, 9\] but the real features are 8 wide"),
        ((3, 8), (50, 8), 3, "k is 3 but real has 3 rows"),
        ((50, 8), (2, 8), 3, "k is 3 but fake has 2 rows"),
        ((1, 8), (50, 8), 1, "k is 1 but real has 1 rows"),
        ((0, 8), (50, 8), 3, r"real has shape \[0, 8\]"),
        ((50, 8), (50,), 3, r"fake has shape \[50\]"),
        ((50, 8), (50, 8), 0, "k is 0"),
        ((50, 8), (50, 8), (3, -1), r"k is \(3, -1\)"),
        ((50, 8), (50, 8), (), r"k is \(\)"),
    ],
)
def test_wrong_shapes_are_named(real, fake, k, said):
    with pytest.raises(MetricInputError, match=said):
        improved_precision_recall(real=np.zeros(real), fake=np.zeros(fake), k=k)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad, two_sets):
    real, fake = two_sets
    fake[7, 3] = bad
    with pytest.raises(MetricInputError, match=r"fake of shape \[300, 32\] has NaN or infinite values in 1 rows"):
        improved_precision_recall(real=real, fake=fake)


@pytest.mark.peer
def test_strict_balls_equal_prdc_exactly():
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(5)
    real = rng.standard_normal((500, 48)).astype(np.float32)
    fake = (0.95 * rng.standard_normal((400, 48)) + 0.1).astype(np.float32)
    with contextlib.redirect_stdout(io.StringIO()):
        peer = prdc.compute_prdc(real.astype(np.float64), fake.astype(np.float64), nearest_k=5)
    found = improved_precision_recall(real=real, fake=fake, k=5, strict=True)
    found += density_coverage(real=real, fake=fake, k=5, strict=True)
    expected = [peer[name] for name in ("precision", "recall", "density", "coverage")]
    assert found == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.peer
def test_precision_and_recall_equal_torch_fidelity():
    metric = pytest.importorskip("torch_fidelity.metric_prc")
    generator = torch.Generator().manual_seed(5)
    real, fake = torch.randn(500, 48, generator=generator), 0.95 * torch.randn(400, 48, generator=generator) + 0.1
    # input 1 is the generated set there
    peer = metric.prc_features_to_metric(fake.double(), real.double(), prc_neighborhood=3, verbose=False)
    assert improved_precision_recall(real=real, fake=fake, k=3) == pytest.approx(
        (peer["precision"], peer["recall"]), abs=1e-7
    )
