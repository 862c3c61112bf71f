"""Where two feature spaces disagree about a model."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.records import Outcome, Verdict, VerdictCause
from pytest_medgan.session.beside import disagreements, file_beside, lines
from pytest_medgan.session.findings import JudgedVerdict, Model

PASS, FAIL, STALE, BLIND, MISSING = (Outcome[n] for n in ("PASS", "FAIL", "STALE", "BLIND", "MISSING"))


def model(outcomes: Mapping[str, Outcome]) -> Model:
    findings: Any = SimpleNamespace(key="k")
    verdicts = [Verdict(METRICS[name], outcome, "b.yaml:1", VerdictCause.STOPPED) for name, outcome in outcomes.items()]
    return Model(findings, [JudgedVerdict("k", verdict) for verdict in verdicts])


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        (PASS, FAIL, True),
        (FAIL, PASS, True),
        (FAIL, STALE, True),
        (PASS, PASS, False),
        (PASS, STALE, False),
        (FAIL, FAIL, False),
        (PASS, BLIND, False),
        (MISSING, FAIL, False),
    ],
)
def test_spaces_disagree_where_one_passes_what_the_other_fails(first: Outcome, second: Outcome, differ: bool) -> None:
    found = disagreements(model({"fid": first}), model({"fid": second}))
    assert [(one.metric, one.first, one.second) for one in found] == ([("fid", first, second)] if differ else [])


def test_lines_name_disagreements_or_else_what_both_decided() -> None:
    first = model({"fid": PASS, "coverage": FAIL, "density": BLIND})
    assert lines(first, model({"fid": FAIL, "coverage": FAIL})) == (
        "fid: PASS in the first feature space, FAIL in the second",
    )
    assert lines(first, model({"fid": STALE, "coverage": FAIL, "density": FAIL})) == (
        "the second feature space agrees on fid, coverage",
    )
    assert "no metric was decided in both" in lines(first, model({"fid": MISSING}))[0]


def test_second_space_has_a_baseline_file_of_its_own() -> None:
    assert file_beside("a.b/medgan-baseline.yml") == "a.b/medgan-baseline-beside.yml"
    assert file_beside("phantom") == "phantom-beside.yaml"
