"""The one form of a baseline file: what needs quotes gets them, and floats read back as floats."""

from __future__ import annotations

import math

import pytest

from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.document import Document
from pytest_medgan.records import Count, Entry, Row, Score, TrainingRun

TEXTS = [
    "",
    "yes",
    "Null",
    "~",
    "1e5",
    "1_000",
    "0x1f",
    "12:30",
    "2026-11-23",
    " lead",
    "trail ",
    "a: b",
    "a #b",
    "- a",
    "<<",
    "=",
    'quote"',
    "back\\slash",
    "new\nline",
    "\ttab",
    "é",
    "…",
    "\u2028",
    "\x85",
    "\x00",
    "🙂",
    "nan",
    ".nan",
    "!tag",
    "&a",
    "*a",
    "%",
    "@",
    "`",
    "a, b",
    "{a}",
]


def make(*metrics: str, name: str = "row", **more) -> Row:
    entry = Entry({8: Score(1.0)})
    return Row(name, dict.fromkeys(metrics, entry), "b:1", counts={8: Count(9, 1)}, **more)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_as_a_name_and_as_a_fact(text):
    name = text or "row"
    row = make(
        "fid", name=name, note=text, provenance={text: text}, runs=(TrainingRun(text or None, None, {"why": text}),)
    )
    written = canonical.text(Document("x", rows={name: row}))
    read = baseline.parse(written, "b").rows[name]
    assert (read.note, dict(read.provenance), dict(read.runs[0].facts)) == (text, {text: text}, {"why": text})
    assert read.runs[0].checkpoint == (text or None)
    assert canonical.text(baseline.parse(written, "b")) == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1e-5, "1.0e-05"), (5.0, "5.0"), (1 / 3, "0.333333333"), (1e22, "1.0e+22"), (-0.0, "-0.0"), (math.inf, ".inf")],
)
def test_floats_have_nine_digits_and_are_floats_to_yaml(value, shown):
    assert canonical.number(value) == shown
    assert canonical.number(float(value)) == canonical.number(float(f"{value:.9g}"))


@pytest.mark.parametrize("value", [1e-5, 1e22, 0.1, 5.0, math.inf, -math.inf, 3e-310])
def test_numbers_that_yaml_would_take_for_text_read_back(value):
    text = canonical.text(Document("x", rows={"a": make("fid", name="a", provenance={"x": value})}))
    assert baseline.parse(text, "b").rows["a"].provenance["x"] == pytest.approx(value, rel=1e-8)


def test_metrics_stand_in_the_catalogues_order_and_the_real_row_first():
    row = make("kid", "fid", "inception_score", name="A")
    lines = canonical.text(Document("x", rows={"A": row, "Real": make("kid", "fid", "inception_score", name="Real")}))
    lines = lines.splitlines()
    assert lines.index("  Real:") < lines.index("  A:")
    order = [line.strip() for line in lines if line.strip() in ("kid:", "fid:", "inception_score:")]
    assert order == ["inception_score:", "fid:", "kid:"] * 2


def test_what_is_not_known_of_a_score_is_left_out():
    score = Score(1.0, freedom=31.0, groups=3, values=(0.5, 1.0, 1.5))
    row = Row("a", {"ms_ssim": Entry({8: score})}, "b:1", counts={8: Count(9, 3)})
    text = canonical.text(Document("x", rows={"a": row}))
    assert "8: {value: 1.0, freedom: 31.0, groups: [0.5, 1.0, 1.5]}" in text
    assert baseline.parse(text, "b").rows["a"].entries["ms_ssim"].at[8].freedom == 31.0
