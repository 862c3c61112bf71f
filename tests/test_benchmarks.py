"""What the benchmarks import from the package and from its tests exists: a rename must not break them unnoticed."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("pytest_medgan", "tests", "benchmarks")
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks").rglob("*.py"))


def missing(path: Path) -> list[str]:
    """Return what a file imports from our own packages, anywhere in it, and does not exist."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            names = [alias.name for alias in node.names]
            found += [
                f"{node.module}.{name}"
                for name in names
                if not hasattr(module, name)
                and not (hasattr(module, "__path__") and find_spec(f"{node.module}.{name}"))
            ]
    return found


@pytest.mark.parametrize("file", FILES)
def test_imports_of_a_benchmark_exist(file: str) -> None:
    assert missing(ROOT / file) == []


def test_every_mutant_still_fits_its_file() -> None:
    from benchmarks.mutants.catalogue import read_mutants

    assert len(read_mutants()) > 400


def test_metrics_that_the_gate_benchmark_names_are_measured_in_its_worlds(tmp_path: Path) -> None:
    from benchmarks.gate_trust.evaluations import MEASURED
    from benchmarks.gate_trust.worlds import WORLDS, Bank

    found = Bank(WORLDS["5 patients"], 64, tmp_path).estimates(1)
    assert found.shape == (1, 3, len(MEASURED), 2)
    assert np.isfinite(found).all()


def test_simulated_runs_of_the_gate_benchmark_have_a_spread_for_every_metric() -> None:
    from benchmarks.gate_trust import damage, histories
    from benchmarks.gate_trust.recipes import LAWS, simulated_runs

    for law in LAWS.values():
        [run] = simulated_runs(np.random.default_rng(0), law, 1)
        assert list(next(iter(run.values()))) == list(histories.MEASURED)
    assert list(damage.make_document().rows) == list(damage.NAMES)


def test_import_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def late():\n    from pytest_medgan.errors import DataError, Nothing\n")
    assert missing(tmp_path / "a.py") == ["pytest_medgan.errors.Nothing"]
