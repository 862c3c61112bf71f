"""The one form of a baseline file: what needs quotes gets them, and floats read back as floats."""

from __future__ import annotations

import math

import pytest

from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.document import Count, Document, MetricRecord, RowRecord
from pytest_medgan.records import LimitValue


@pytest.mark.parametrize(
    "text",
    [
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
    ],
)
def test_any_text_survives_as_a_name_and_as_a_fact(text):
    row = RowRecord({8: Count(9, 1)}, {"fid": MetricRecord({8: LimitValue(1.0)})}, note=text, provenance={text: text})
    written = canonical.text(Document("x", rows={text or "row": row}))
    read = baseline.parse(written, "b").rows[text or "row"]
    assert (read.note, dict(read.provenance)) == (text, {text: text})
    assert canonical.text(baseline.parse(written, "b")) == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1e-5, "1.0e-05"), (5.0, "5.0"), (1 / 3, "0.333333333"), (1e22, "1.0e+22"), (-0.0, "-0.0"), (math.inf, ".inf")],
)
def test_floats_have_nine_digits_and_are_floats_to_yaml(value, shown):
    assert canonical.number(value) == shown
    assert canonical.number(float(value)) == canonical.number(float(f"{value:.9g}"))


def test_metrics_stand_in_the_catalogues_order_and_the_real_row_first():
    at = MetricRecord({8: LimitValue(1.0)})
    row = RowRecord({8: Count(9, 1)}, {"kid": at, "fid": at, "inception_score": at})
    lines = canonical.text(Document("x", rows={"A": row, "Real": row})).splitlines()
    assert lines.index("  Real:") < lines.index("  A:")
    order = [line.strip() for line in lines if line.strip() in ("kid:", "fid:", "inception_score:")]
    assert order == ["inception_score:", "fid:", "kid:"] * 2
