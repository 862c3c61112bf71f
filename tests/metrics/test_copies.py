"""Copy rate, and the evidence of copies and duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import copy_rate, measure, prepare_reference
from pytest_medgan.metrics.copies import COPY_DISTANCE


def test_copy_rate_counts_only_near_identical_images(smooth, add_noise):
    train, fake = smooth[:40], smooth[40:].copy()
    assert copy_rate(fake=fake, train=train) == 0
    fake[3], fake[8] = train[17], add_noise(train[:1], 3)[0]
    fake[9] = add_noise(train[5:6], 12)[0]
    assert copy_rate(fake=fake, train=train) == 2 / 40


def test_rate_of_zero_has_a_positive_error(smooth):
    rng = np.random.default_rng(0)
    names = ["copy_rate", "duplicate_rate"]
    reference = prepare_reference(
        rng.standard_normal((30, 4)), pixels=smooth[:30], train_pixels=smooth[:40], metrics=names
    )
    found = measure(reference, fake=rng.standard_normal((40, 4)), pixels=smooth[40:], metrics=names).estimates
    for name in names:
        assert found[name].value == 0
        assert 0.01 < found[name].se < 0.1


def test_evidence_lists_copies_and_duplicates(smooth):
    rng = np.random.default_rng(0)
    fake = smooth[40:].copy()
    fake[4], fake[7] = smooth[11], fake[6]
    names = ["copy_rate", "duplicate_rate"]
    reference = prepare_reference(rng.standard_normal((30, 4)), pixels=smooth[:30], train_pixels=smooth, metrics=names)
    found = measure(reference, fake=rng.standard_normal((40, 4)), pixels=fake, metrics=names, evidence=True).evidence
    assert [4, 11] in found.copies.tolist()
    assert sorted(found.duplicates.tolist()) == [[6, 7], [7, 6]]


def test_arrays_of_other_types_and_shapes_are_refused(smooth):
    with pytest.raises(MetricInputError, match=r"fake is float64 of shape \[2, 1, 8, 8\]; give uint8"):
        copy_rate(fake=np.zeros((2, 1, 8, 8)), train=smooth)
    with pytest.raises(MetricInputError, match=r"train has shape \[80, 1, 64, 32\] but other images are 64x64"):
        copy_rate(fake=smooth, train=smooth[..., :32])
    with pytest.raises(MetricInputError, match="distance is -1"):
        copy_rate(fake=smooth, train=smooth, distance=-1)
    assert COPY_DISTANCE == 2.55
