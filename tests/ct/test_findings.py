"""Files that are passed over are counted and listed; strict reading raises an error instead."""

from __future__ import annotations

import pytest

from pytest_medgan.ct.findings import Findings
from pytest_medgan.errors import DataError

ERROR = DataError("A file is empty. Remove it.", file="a/x.dcm")


def test_findings_passed_over_files_are_counted_named_and_warned_of() -> None:
    findings = Findings()
    findings.skip("localizer", ["b", "a"])
    findings.pass_over(ERROR, "empty file")
    findings.pass_over(ERROR, "slice of another kind", ["c", "d"])
    findings.pass_over_part(ERROR, "damaged table")
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


def test_findings_empty_have_no_counts_names_or_warnings() -> None:
    findings = Findings()
    findings.skip("localizer", [])
    assert (findings.counts, findings.warnings, findings.named) == ({}, (), {})


def test_findings_strict_raises_where_files_would_be_passed_over() -> None:
    findings = Findings(strict=True)
    findings.skip("localizer", ["a"])
    for record in (findings.pass_over, findings.pass_over_part):
        with pytest.raises(DataError, match="is empty"):
            record(ERROR, "empty file")
    assert findings.counts == {"skipped: localizer": 1}
