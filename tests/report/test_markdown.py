from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.records import Evidence
from pytest_medgan.report import ReportRun, markdown
from pytest_medgan.report.markdown import escape

GOLDEN = Path(__file__).parent / "golden"
MakeRun = Callable[..., ReportRun]


@pytest.mark.parametrize(
    ("file", "errors"),
    [
        ("pass.md", {}),
        (
            "diversity.md",
            {
                "fid": 9.0,
                "improved_recall": 9.0,
                "coverage": 7.0,
                "without": ("authenticity", "copy_rate", "memorised_rate"),
            },
        ),
    ],
)
def test_report_equals_the_stored_example(make_run: MakeRun, file: str, errors: dict[str, float]) -> None:
    assert markdown(make_run(**errors)) == (GOLDEN / file).read_text(encoding="utf-8")


def test_verdict_losses_cause_and_next_step_come_before_the_table(make_run: MakeRun) -> None:
    text = markdown(make_run(improved_recall=80.0, coverage=20.0))
    order = [
        f"**FAIL: 2 of {len(NAMES)}",
        "### What got worse",
        "Probably **the model repeats",
        "### What to do next",
        "| Metric",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_intensity_shift_is_in_hu(make_run: MakeRun, broken_evidence: Evidence) -> None:
    text = markdown(make_run(intensity_distance=30.0), {"PGGAN": broken_evidence})
    assert "HU brighter than real ones" in text


def test_names_cannot_break_table_or_page(make_run: MakeRun) -> None:
    text = markdown(make_run("<script>alert(1)</script> | `x` [a](javascript:1)\n# b"))
    assert "<script" not in text.replace("\\<script", "")
    assert r"\<script\>alert(1)\</script\> \| \`x\` \[a\](javascript:1) \# b" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


@pytest.mark.parametrize(
    ("accept", "span"),
    [
        pytest.param("accept 'a`b.yaml'", "`` accept 'a`b.yaml' --reason \"...\" ``", id="backtick"),
        pytest.param("accept 'a``; b #'", "``` accept 'a``; b #' --reason \"...\" ```", id="two backticks"),
        pytest.param("accept 'a\n\n# b'", "`accept 'a  # b' --reason \"...\"`", id="line breaks"),
        pytest.param("accept 'a\r\u2028b  c'", "`accept 'a  b  c' --reason \"...\"`", id="other line breaks"),
    ],
)
def test_command_is_one_code_span_on_one_line(make_run: MakeRun, accept: str, span: str) -> None:
    """A backtick stays one: a quotation mark in its place would end the quotation of a shell."""
    run = make_run(fid=9.0)
    text = markdown(replace(run, models=(replace(run.models[0], accept=accept),)))
    assert f" {span}\n" in text
    assert not any(line.startswith("# b") for line in text.splitlines())


def test_report_only_and_problems_are_shown(make_run: MakeRun) -> None:
    text = markdown(replace(make_run(), report_only=True, problems=("first thing", "second thing")))
    assert "**FAIL: first thing**" in text
    assert "- second thing" in text
    assert "no test failed" in text


def test_escape_returns_one_line() -> None:
    assert escape("a\n\n| b_c*") == r"a \| b\_c\*"


@pytest.mark.parametrize(
    ("text", "escaped"), [("- a", r"\- a"), ("+ a", r"\+ a"), ("1. a", r"1\. a"), ("12) a", r"12\) a"), ("--a", "--a")]
)
def test_escaped_text_begins_no_list(text: str, escaped: str) -> None:
    assert escape(text) == escaped
