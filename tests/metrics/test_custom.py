"""Metrics that a project registers itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pytest_medgan.catalogue import Metric
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import CustomMetric, measure, prepare_reference

ROW = Metric("gap", "Gap", False, 0.0, np.inf, "a user", True)


def gap(*, real: np.ndarray, fake: np.ndarray) -> float:
    return float(fake[:, 0].mean() - real[:, 0].mean())


def estimate(real: np.ndarray, fake: np.ndarray, groups: np.ndarray | None = None):
    reference = prepare_reference(real, groups=groups, metrics=())
    return measure(reference, fake=fake, metrics=(), custom=[CustomMetric(ROW, gap)]).estimates["gap"]


def mean_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def test_errors_of_a_mean_are_its_standard_errors():
    """Twenty blocks know a standard error to about 16 percent; averaged over 40 draws to less than 5."""
    found, expected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, fake = rng.standard_normal((200, 3)), 2 * rng.standard_normal((160, 3))
        one = estimate(real, fake)
        assert one.value == gap(real=real, fake=fake)
        found.append((one.se, one.se_total))
        expected.append((mean_error(fake[:, 0]), np.hypot(mean_error(fake[:, 0]), mean_error(real[:, 0]))))
    ratio = np.sqrt(np.square(found).mean(0) / np.square(expected).mean(0))
    assert ratio == pytest.approx([1, 1], abs=0.1)


def test_patients_are_deleted_whole():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(40), 5)
    real = rng.standard_normal((40, 3))[patient] + 0.1 * rng.standard_normal((200, 3))
    fake = rng.standard_normal((160, 3))
    assert estimate(real, fake, patient).se_total > 1.25 * estimate(real, fake).se_total
    assert estimate(real, fake, patient).se == estimate(real, fake).se


def test_function_gets_features_as_numpy_arrays():
    seen = []

    def look(*, real, fake):
        seen.append((type(real), real.dtype, real.shape[1], type(fake)))
        return 0.0

    reference = prepare_reference(np.zeros((30, 3), np.float32), metrics=())
    measure(reference, fake=np.zeros((30, 3)), metrics=(), custom=[CustomMetric(ROW, look)])
    assert set(seen) == {(np.ndarray, np.dtype(np.float32), 3, np.ndarray)}


def centring_gap(*, real: np.ndarray, fake: np.ndarray) -> float:
    """Return what `gap` returns, and change both arguments in place."""
    found = gap(real=real, fake=fake)
    for side in (real, fake):
        np.subtract(side, side.mean(0), out=side)
    return found


def test_metric_that_writes_to_its_arguments_changes_no_other_value():
    """Neither the package's metrics, now or later in the session, nor another custom metric, nor its own errors."""
    rng = np.random.default_rng(0)
    real, fakes = rng.standard_normal((120, 4)).astype(np.float32) + 3, rng.standard_normal((3, 60, 4)) + 3
    names = ("fid", "kid", "recall", "improved_precision", "coverage")
    custom = [CustomMetric(replace(ROW, name="writes"), centring_gap), CustomMetric(ROW, gap)]
    found, alone = [], []
    for results, own in ((found, custom), (alone, custom[1:])):
        reference = prepare_reference(real.copy(), metrics=names)
        for fake in fakes.astype(np.float32):
            given = fake.copy()
            results.append(dict(measure(reference, fake=given, metrics=names, custom=own).estimates))
            np.testing.assert_array_equal(given, fake)
    for ours in found:
        writes = ours.pop("writes")
        assert writes == ours["gap"]
    assert found == alone


def test_arguments_may_be_written_to_and_become_tensors_without_a_warning():
    seen = []

    def look(*, real: np.ndarray, fake: np.ndarray) -> float:
        seen.append(real.flags.writeable and fake.flags.writeable)
        return float((torch.from_numpy(real).mean() - torch.from_numpy(fake).mean()).abs())

    reference = prepare_reference(np.zeros((30, 3), np.float32), metrics=())
    measure(reference, fake=np.zeros((30, 3), np.float32), metrics=(), custom=[CustomMetric(ROW, look)])
    assert all(seen)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, "NoneType"),
        ("0.5", "str"),
        (1j, "complex"),
        (np.zeros(2), r"ndarray of shape \[2\]"),
        (torch.zeros(2), r"Tensor of shape \[2\]"),
        ((1.0, 2.0), "tuple"),
    ],
)
def test_answer_that_is_no_number_is_named(answer, kind):
    reference = prepare_reference(np.zeros((30, 3), np.float32), metrics=())
    custom = CustomMetric(ROW, lambda *, real, fake: answer)
    with pytest.raises(MetricInputError, match=f"metric 'gap' returned a {kind}; return one number"):
        measure(reference, fake=np.zeros((30, 3), np.float32), metrics=(), custom=[custom])


@pytest.mark.parametrize("answer", [2, np.float32(2), np.array(2.0), torch.tensor(2.0), True])
def test_answer_may_be_a_number_of_any_library(answer):
    reference = prepare_reference(np.zeros((30, 3), np.float32), metrics=())
    custom = CustomMetric(ROW, lambda *, real, fake: answer)
    found = measure(reference, fake=np.zeros((30, 3), np.float32), metrics=(), custom=[custom]).estimates["gap"]
    assert (found.value, found.se) == (float(answer), 0.0)
