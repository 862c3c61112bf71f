"""The digest of a custom metric's source."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pytest_medgan.metrics.source_digest import source_digest

HELPER = "SCALE = 2.0\n\n\ndef scaled(value):\n    return SCALE * value\n"
SOURCE = '''
import numpy as np
import {helper}
from {helper} import scaled

WEIGHTS = (0.5, 0.25)
TABLE = np.arange(3)


def gap(values):
    """Say nothing."""
    return scaled(values.mean()) * WEIGHTS[0] + TABLE[1]


def metric(*, real, fake, power=2):
    return float(abs(gap(real) - gap(fake)) ** power)  # a comment


class Metric:
    def __init__(self, power):
        self.power = power

    def __call__(self, *, real, fake):
        return abs(gap(real) - gap(fake)) ** self.power


def made(power):
    def inner(*, real, fake):
        return {helper}.scaled(abs(real.mean() - fake.mean())) ** power

    return inner
'''


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that imports the two modules from a folder of their own, after a change to either."""
    monkeypatch.syspath_prepend(tmp_path)
    counter = iter(range(100))

    def import_modules(before: str = "", after: str = "") -> ModuleType:
        number = next(counter)
        helper, source = HELPER, SOURCE.replace("{helper}", "helper_module")
        if before:
            assert before in helper + source
        helper, source = helper.replace(before, after), source.replace(before, after)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "helper_module.py").write_text(helper)
        (folder / "metric_module.py").write_text(source)
        for name in ("helper_module", "metric_module"):
            spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, name, module)
            spec.loader.exec_module(module)
        return module

    return import_modules


KINDS = {
    "function": lambda module: module.metric,
    "object": lambda module: module.Metric(2),
    "method": lambda module: module.Metric(2).__call__,
    "closure": lambda module: module.made(2),
    "partial": lambda module: functools.partial(module.metric, power=3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_digest_of_same_source_imported_again_is_equal(kind, load):
    assert source_digest(KINDS[kind](load())) == source_digest(KINDS[kind](load()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  # a comment", ""),
        ("Say nothing.", "Say something."),
        ("power=2):", "power = 2):"),
        ("(0.5, 0.25)", "(0.5,0.25)"),
    ],
)
def test_digest_ignores_comments_docstrings_and_layout(before, after, load):
    assert source_digest(load().metric) == source_digest(load(before, after).metric)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("function", "** power)", "** power + 1)"),
        ("function", "power=2):", "power=3):"),
        ("function", "values.mean()", "values.max()"),
        ("function", "(0.5, 0.25)", "(0.25, 0.5)"),
        ("function", "np.arange(3)", "np.arange(3) + 1"),
        ("function", "SCALE * value", "SCALE + value"),
        ("function", "SCALE = 2.0", "SCALE = 2.5"),
        ("object", "** self.power", "* self.power"),
        ("object", "self.power = power", "self.power = power + 1"),
        ("method", "values.mean()", "values.max()"),
        ("closure", "real.mean() - fake.mean()", "real.max() - fake.max()"),
        ("closure", "SCALE * value", "SCALE + value"),
        ("partial", "values.mean()", "values.max()"),
    ],
)
def test_digest_changes_with_code_and_constants_of_the_project(kind, before, after, load):
    assert source_digest(KINDS[kind](load())) != source_digest(KINDS[kind](load(before, after)))


def test_digest_changes_with_values_held_by_the_function(load):
    module = load()
    assert source_digest(module.made(2)) != source_digest(module.made(3))
    assert source_digest(module.Metric(2)) != source_digest(module.Metric(3))
    partials = [functools.partial(module.metric, power=power) for power in (2, 3)]
    assert source_digest(partials[0]) != source_digest(partials[1])


def test_digest_of_function_without_source_depends_on_its_code():
    def make(text):
        scope = {}
        exec(text, scope)
        return scope["f"]

    one, same, other = (make(f"def f(*, real, fake): return real.mean() * {number}") for number in (2, 2, 3))
    assert source_digest(one) == source_digest(same) != source_digest(other)


def test_digest_of_recursive_and_self_containing_values_ends():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    class Holder:
        def __call__(self):
            return self.itself

    holder = Holder()
    holder.itself = holder
    assert len(source_digest(even)) == len(source_digest(holder)) == 24


def test_digest_is_equal_in_another_process(tmp_path):
    (tmp_path / "helper_module.py").write_text(HELPER)
    (tmp_path / "metric_module.py").write_text(SOURCE.replace("{helper}", "helper_module"))
    text = (
        "import metric_module as m, functools; from pytest_medgan.metrics.source_digest import source_digest as d; "
        "print(d(m.metric), d(m.Metric(2)), d(functools.partial(m.metric, power={1, 'a', 2.5, 'b'})))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", text],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_library_functions_are_covered_by_name():
    assert source_digest(np.linalg.norm) != source_digest(np.linalg.det)
    assert source_digest(len) != source_digest(abs)
