"""Records of a run -> JSON, Markdown, HTML and figures."""

from __future__ import annotations

from pytest_medgan.report.collect import history_of, merged, model_from_dict, model_record, model_to_dict
from pytest_medgan.report.evidence import load_evidence, save_evidence
from pytest_medgan.report.markdown import markdown
from pytest_medgan.report.render import FORMATS, render
from pytest_medgan.report.run import (
    HistoryPoint,
    ModelRecord,
    ReportRun,
    RowRecord,
    RowValue,
    VerdictRecord,
    read_run,
    write_run,
)

__all__ = [
    "FORMATS",
    "HistoryPoint",
    "ModelRecord",
    "ReportRun",
    "RowRecord",
    "RowValue",
    "VerdictRecord",
    "history_of",
    "load_evidence",
    "markdown",
    "merged",
    "model_from_dict",
    "model_record",
    "model_to_dict",
    "read_run",
    "render",
    "save_evidence",
    "write_run",
]
