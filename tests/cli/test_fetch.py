"""medgan fetch: the list, the question before a large download, the errors. Nothing here uses the network."""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.cli import fetch as command
from pytest_medgan.ct import fetch as room
from pytest_medgan.ct.fetch import RemoteSeries
from pytest_medgan.errors import SettingsError


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["fetch", *argv])


class Terminal(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[RemoteSeries]:
    """The series that a download was asked for: two patients of 0.9 GB; nothing is transferred."""
    asked: list[RemoteSeries] = []
    one = RemoteSeries("P1", "1.2", "1.2.1", "CT", 3, 900_000_000, "CC BY-NC 3.0", "10.1/x", "s3://bucket/one/*")
    two = replace(one, patient="P2", series="1.2.2", modality="RTSTRUCT")

    def listed(collection: str, *, patients: int | None = None) -> tuple[RemoteSeries, ...]:
        return (one, two)[:patients]

    def fetched(series: tuple[RemoteSeries, ...], root: Path, **_: object) -> tuple[int, int]:
        asked.extend(series)
        return len(series), 0

    monkeypatch.setattr(room, "list_series", listed)
    monkeypatch.setattr(room, "fetch", fetched)
    return asked


def test_run_list_names_every_series_with_size_licence_and_attribution(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("idc_index_data", reason="the extra `fetch` is not installed")
    assert command.run(parse("nsclc-radiomics", "--list")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(" CT " in line for line in lines[1:845]) == 422
    assert sum(" RTSTRUCT " in line for line in lines[1:845]) == 422
    assert lines[1].split() == [
        *("LUNG1-001", "CT", "134", "70.51"),
        "1.3.6.1.4.1.32722.99.99.298991776521342375010861296712563382046",
    ]
    assert lines[845].startswith(
        "422 patients: 422 CT series (51230 files, 26.95 GB) and 422 RTSTRUCT series (422 files"
    )
    assert "CC BY-NC 3.0" in lines[846]
    assert "10.7937/K9/TCIA.2015.PF0M9REI" in lines[847]


def test_run_without_out_is_refused() -> None:
    with pytest.raises(SettingsError, match="--out"):
        command.run(parse("nsclc-radiomics"))


@pytest.mark.usefixtures("downloads")
def test_run_large_download_without_a_terminal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SettingsError, match=r"1.80 GB would be downloaded, .* --yes"):
        command.run(parse("nsclc-radiomics", "--out", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_run_yes_needs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[RemoteSeries]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert command.run(parse("nsclc-radiomics", "--out", str(tmp_path), "--yes")) == 0
    assert [one.patient for one in downloads] == ["P1", "P2"]


def test_run_up_to_a_gigabyte_needs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[RemoteSeries], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert command.run(parse("nsclc-radiomics", "--out", str(tmp_path), "--patients", "1")) == 0
    assert [one.patient for one in downloads] == ["P1"]
    printed = capsys.readouterr().out
    assert "CC BY-NC 3.0; non-commercial" in printed
    assert "1 series downloaded (900.0 MB), 0 already present" in printed


@pytest.mark.parametrize(("answer", "status", "count"), [("y", 0, 2), ("yes", 0, 2), ("", 1, 0), ("n", 1, 0)])
def test_run_answer_decides(
    monkeypatch: pytest.MonkeyPatch, downloads: list[RemoteSeries], answer: str, status: int, count: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer + "\n"))
    assert command.run(parse("nsclc-radiomics", "--out", "never-written")) == status
    assert len(downloads) == count


def test_run_asks_only_about_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[RemoteSeries]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(room, "is_complete", lambda one, root: one.patient == "P1")
    assert command.run(parse("nsclc-radiomics", "--out", str(tmp_path))) == 0
    assert len(downloads) == 2
