"""The worked example of CONTRIBUTING.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.metrics import battery, measure, prepare_reference

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = {block.split("\n", 1)[0]: block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)}


def run(name):
    scope: dict[str, object] = {}
    exec(compile(BLOCKS[f"# {name}"], name, "exec"), scope)
    return scope


def row(text):
    """The catalogue's row as the text gives it."""
    found = re.search(r'`(Metric\("mean_gap".*?\))`', text).group(1)
    return eval(found, {"Metric": Metric, "inf": np.inf})


def test_it_fits_on_a_screen():
    assert len(TEXT.splitlines()) < 100
    assert set(BLOCKS) == {"# conftest.py", "# pytest_medgan/metrics/mean_gap.py", "# tests/metrics/test_mean_gap.py"}


def test_a_metric_added_in_five_places_is_measured(two_sets, monkeypatch):
    scope = run("pytest_medgan/metrics/mean_gap.py")
    metric = row(TEXT)
    assert '"mean_gap": mean_gap_estimate,' in TEXT
    monkeypatch.setattr(battery, "ESTIMATES", {**battery.ESTIMATES, metric.name: scope["mean_gap_estimate"]})
    monkeypatch.setattr(battery, "METRICS", {**METRICS, metric.name: metric})
    real, fake = two_sets
    reference = prepare_reference(real, metrics=["mean_gap"])
    estimate = measure(reference, fake=fake, metrics=["mean_gap"]).estimates["mean_gap"]
    assert estimate.value == pytest.approx(((fake.mean(0) - real.mean(0)) ** 2).sum(), rel=1e-4)
    assert 0 < estimate.se < estimate.se_total < estimate.value


def test_its_own_test_passes():
    scope = run("pytest_medgan/metrics/mean_gap.py")
    name = "tests/metrics/test_mean_gap.py"
    exec(compile(BLOCKS[f"# {name}"], name, "exec"), scope)
    scope["test_a_shift_of_two_in_one_feature"]()


def test_the_metric_of_a_conftest_is_measured(two_sets):
    (custom,) = run("conftest.py")["pytest_medgan_metrics"]()
    real, fake = two_sets
    found = measure(prepare_reference(real, metrics=()), fake=fake, metrics=(), custom=[custom]).estimates["mean_gap"]
    assert found.value == pytest.approx(((fake.mean(0) - real.mean(0)) ** 2).sum(), rel=1e-4)
    assert found.se > 0
