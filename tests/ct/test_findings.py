"""What is passed over is counted and named, or refused where reading is strict."""

from __future__ import annotations

import pytest

from pytest_medgan.ct.findings import Findings
from pytest_medgan.errors import DataError

ERROR = DataError("A file is empty. Remove it.", file="a/x.dcm")


def test_findings_count_name_and_warn_of_what_is_excused() -> None:
    findings = Findings()
    findings.skip("localizer", ["b", "a"])
    findings.excuse(ERROR, "empty file")
    findings.excuse(ERROR, "slice of another kind", ["c", "d"])
    findings.forgive(ERROR, "damaged table")
    findings.warn("look at this")
    assert findings.counts == {"skipped: empty file": 1, "skipped: localizer": 2, "skipped: slice of another kind": 2}
    assert findings.warnings == (
        "passed over: 1 damaged table, 1 empty file, 2 slice of another kind",
        "look at this",
    )
    assert findings.named == {
        "localizer": ("a", "b"),
        "empty file": ("a/x.dcm",),
        "slice of another kind": ("c", "d"),
        "damaged table": ("a/x.dcm",),
    }


def test_findings_without_any_say_nothing() -> None:
    findings = Findings()
    findings.skip("localizer", [])
    assert (findings.counts, findings.warnings, findings.named) == ({}, (), {})


def test_findings_strict_raise_what_would_be_excused_or_forgiven() -> None:
    findings = Findings(strict=True)
    findings.skip("localizer", ["a"])
    for refuse in (findings.excuse, findings.forgive):
        with pytest.raises(DataError, match="is empty"):
            refuse(ERROR, "empty file")
    assert findings.counts == {"skipped: localizer": 1}
