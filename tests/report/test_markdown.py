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


def test_command_cannot_end_its_code_span(make_run: MakeRun) -> None:
    run = make_run(fid=9.0)
    model = replace(run.models[0], accept="medgan baseline accept 'a`b.yaml'")
    assert "`medgan baseline accept 'a'b.yaml' --reason \"...\"`" in markdown(replace(run, models=(model,)))


def test_report_only_and_problems_are_shown(make_run: MakeRun) -> None:
    text = markdown(replace(make_run(), report_only=True, problems=("first thing", "second thing")))
    assert "**FAIL: first thing**" in text
    assert "- second thing" in text
    assert "no test failed" in text


def test_escape_returns_one_line() -> None:
    assert escape("a\n\n| b_c*") == r"a \| b\_c\*"
