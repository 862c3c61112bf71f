from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pytest_medgan.cli import report
from pytest_medgan.errors import SettingsError
from pytest_medgan.report import ReportRun, write_run


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    report.add_parser(parser.add_subparsers())
    return parser.parse_args(["report", *arguments])


def test_both_reports_are_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, ReportRun(()))
    assert report.run(parsed(str(tmp_path))) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "report.html"), str(tmp_path / "report.md")]
    assert "Nothing was judged" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_single_format_is_written_alone(tmp_path: Path) -> None:
    write_run(tmp_path, ReportRun(()))
    assert report.run(parsed(str(tmp_path), "--format", "md")) == 0
    assert not (tmp_path / "report.html").exists()


def test_unknown_format_or_other_folder_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, ReportRun(()))
    with pytest.raises(SettingsError, match=r"Report format 'pdf' is unknown\. Give some of html, md, json"):
        report.run(parsed(str(tmp_path), "--format", "pdf"))
    with pytest.raises(SettingsError, match=r"has no scores\.json"):
        report.run(parsed(str(tmp_path / "elsewhere")))
