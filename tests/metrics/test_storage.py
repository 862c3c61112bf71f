"""A prepared reference goes through a file."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.metrics.storage import from_arrays, to_arrays

SOME = tuple(name for name in NAMES if name not in ("precision", "recall"))


def test_a_stored_reference_gives_the_same_estimates(two_sets, tmp_path):
    real, fake = two_sets
    rng = np.random.default_rng(0)
    pixels, generated = (rng.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8) for n in (400, 300))
    reference = prepare_reference(
        real,
        groups=np.arange(400) // 9,
        pixels=pixels,
        train=real + 1,
        train_pixels=pixels,
        window=(-1000.0, 400.0),
        metrics=SOME,
        sweep=(1, 7),
    )
    np.savez(tmp_path / "reference.npz", **to_arrays(reference))
    with np.load(tmp_path / "reference.npz", allow_pickle=False) as stored:
        loaded = from_arrays(stored)
    before, after = (
        measure(one, fake=fake, pixels=generated, metrics=SOME, evidence=True) for one in (reference, loaded)
    )
    assert after.estimates == before.estimates
    assert after.unmeasured == before.unmeasured
    assert (after.evidence.sweep["density"] == before.evidence.sweep["density"]).all()


def test_a_small_reference_too(two_sets):
    reference = from_arrays(to_arrays(prepare_reference(two_sets[0], metrics=["fid"])))
    assert reference.near is None
    assert measure(reference, fake=two_sets[1], metrics=["fid"]).estimates["fid"].value > 0


def test_other_arrays_are_refused(two_sets):
    with pytest.raises(MetricInputError, match="version"):
        from_arrays({})
    arrays = to_arrays(prepare_reference(two_sets[0], metrics=["fid"]))
    del arrays["centre"]
    with pytest.raises(MetricInputError, match="lack centre"):
        from_arrays(arrays)
