"""The report of a run: its record, the folder it is kept in, and pages drawn from that folder."""

from __future__ import annotations

from pytest_medgan.report.evidence_file import load_evidence, save_evidence
from pytest_medgan.report.folder import SavedRun, discard_run, read_run, write_run
from pytest_medgan.report.markdown import markdown
from pytest_medgan.report.record import Comparison, HistoryPoint, ModelRecord, ReportRun
from pytest_medgan.report.render import FORMATS, render

__all__ = [
    "FORMATS",
    "Comparison",
    "HistoryPoint",
    "ModelRecord",
    "ReportRun",
    "SavedRun",
    "discard_run",
    "load_evidence",
    "markdown",
    "read_run",
    "render",
    "save_evidence",
    "write_run",
]
