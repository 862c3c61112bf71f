"""The metric recipes of CONTRIBUTING.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.metrics import battery, measure, prepare_reference
from pytest_medgan.metrics.table import FUNCTIONS, Functions

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = {
    block.split("\n", 1)[0].removeprefix("# "): block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
}
SOURCE = "pytest_medgan/metrics/mean_gap.py"


def run(name: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
    """Execute a code block of the text and return its names."""
    scope = {} if scope is None else scope
    exec(compile(CODE[name], name, "exec"), scope)
    return scope


def row(pattern: str, scope: dict[str, Any]) -> Any:
    """Evaluate the table row that the text shows in backticks."""
    found = re.search(f'`(?:"mean_gap": )?({pattern}\\(.*?\\)),?`', TEXT)
    assert found is not None
    return eval(found[1], scope)


def section(title: str) -> list[str]:
    """Return the lines of a section."""
    sections = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)}
    return sections[title].splitlines()


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the recipe's source, with its rows added to both tables."""
    scope = run(SOURCE)
    metric = row("Metric", {"Metric": Metric, "inf": np.inf})
    functions = row("Functions", {"Functions": Functions, **scope})
    monkeypatch.setattr(battery, "FUNCTIONS", {**FUNCTIONS, metric.name: functions})
    assert metric.name not in METRICS
    return scope


def test_metric_recipe_fits_on_one_screen() -> None:
    assert len(section("A metric in the package: four places and its test")) <= 75


def test_metric_added_in_four_places_is_measured(two_sets, added) -> None:
    real, fake = two_sets
    reference = prepare_reference(real, metrics=["mean_gap"])
    estimate = measure(reference, fake=fake, metrics=["mean_gap"]).estimates["mean_gap"]
    assert estimate.value == pytest.approx(((fake.mean(0) - real.mean(0)) ** 2).sum(), rel=1e-4)
    assert 0 < estimate.se < estimate.se_total < estimate.value


def test_metric_added_in_four_places_is_compared_image_by_image(two_sets, added) -> None:
    """The contributions' spread is the metric's error, and their difference that of two models."""
    real, fake = two_sets
    other = fake + np.random.default_rng(0).normal(0.05, 0.1, fake.shape).astype(np.float32)
    reference = prepare_reference(real, metrics=["mean_gap"])
    ours, theirs = (measure(reference, fake=rows, metrics=["mean_gap"], contributions=True) for rows in (other, fake))
    units = theirs.contributions["mean_gap"].units
    assert units.std(ddof=1) / np.sqrt(len(units)) == pytest.approx(theirs.estimates["mean_gap"].se)
    paired = ours.contributions["mean_gap"].units - units
    unpaired = np.hypot(ours.estimates["mean_gap"].se, theirs.estimates["mean_gap"].se)
    assert 0 < paired.std(ddof=1) / np.sqrt(len(paired)) < 0.5 * unpaired


def test_test_of_the_metric_recipe_passes() -> None:
    scope = run("tests/metrics/test_mean_gap.py", run(SOURCE))
    tests = [value for name, value in scope.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()


def test_metric_of_a_conftest_is_measured(two_sets) -> None:
    (custom,) = run("conftest.py")["pytest_medgan_metrics"]()
    real, fake = two_sets
    found = measure(prepare_reference(real, metrics=()), fake=fake, metrics=(), custom=[custom]).estimates["mean_gap"]
    assert found.value == pytest.approx(((fake.mean(0) - real.mean(0)) ** 2).sum(), rel=1e-4)
    assert found.se > 0
