"""medgan baseline accept | diff | format | seal, called with command lines."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import MappingProxyType

import pytest

from pytest_medgan.cli import baseline as command
from pytest_medgan.errors import BaselineError, SettingsError
from pytest_medgan.gate import baseline
from pytest_medgan.gate.candidate import write_candidate
from pytest_medgan.records import Fingerprint, Margin, Score, Scores, Seal, TrainingRun


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)


def candidate(
    fid: float = 20.0, *, name: str = "candidate", size: int = 128, dirty: bool = False, recall: float | None = None
) -> str:
    def scores(n: int) -> Scores:
        found = {"fid": Score(fid, 0.2, 0.1, 0.3, 3, (fid,) * 3)}
        if recall is not None:
            found["improved_recall"] = Score(recall, 0.01, 0.01, 0.01, 3, (recall,) * 3)
        return Scores(1000, n, ("0", "1", "2"), MappingProxyType(found))

    write_candidate(
        Path(f"{name}.yaml"),
        row="model",
        scores={n: scores(n) for n in (256, 512)},
        fingerprint=Fingerprint({"size": size}, (1.0, 2.0)),
        complete=True,
        runs=(TrainingRun(name, None, {"dirty": dirty}),),
        baseline="base.yaml",
    )
    return f"{name}.yaml"


def medgan(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="medgan")
    command.add_parser(parser.add_subparsers(required=True))
    return command.run(parser.parse_args(["baseline", *words]))


def test_accept_creates_then_replaces(capsys):
    assert medgan("accept", candidate(), "--row", "model", "--reason", "first") == 0
    assert "base.yaml: created with model" in capsys.readouterr().out
    assert medgan("accept", candidate(20.5), "--reason", "a new schedule") == 0
    out = capsys.readouterr().out
    assert "row replaced: model" in out
    assert "20.000 -> 20.500 ± 0.100 at 512" in out
    row = baseline.load("base.yaml").row("model")
    assert row.fid.values[512].mean == 20.5
    assert row.provenance["reason"] == "a new schedule"


def test_accept_into_another_file_with_a_margin():
    medgan("accept", candidate(), "--into", "other.yaml", "--reason", "first", "--margin", "fid=relative:0.05")
    assert baseline.load("other.yaml").row("model").fid.margin == Margin("relative", 0.05)
    assert not Path("base.yaml").exists()


def test_overrides_are_shown(capsys):
    with pytest.raises(BaselineError, match="--override dirty"):
        medgan("accept", candidate(dirty=True), "--reason", "first")
    medgan("accept", candidate(dirty=True), "--reason", "first", "--override", "dirty")
    assert "overridden and recorded: measured on a dirty tree" in capsys.readouterr().out


def test_several_candidates_make_a_row_of_several_runs(capsys):
    names = [candidate(20.0 + i, name=f"c{i}") for i in range(3)]
    assert medgan("accept", *names, "--row", "model", "--reason", "three seeds") == 0
    assert "created with model, 3 training runs" in capsys.readouterr().out
    row = baseline.load("base.yaml").row("model")
    assert (len(row.runs), row.fid.values[512].mean) == (3, 21.0)


def test_loss_is_accepted_only_with_an_override(capsys):
    medgan("accept", candidate(), "--reason", "first")
    with pytest.raises(BaselineError, match="--override drift"):
        medgan("accept", candidate(25.0), "--reason", "worse")
    assert medgan("accept", candidate(25.0), "--reason", "worse", "--override", "drift") == 0
    assert "overridden and recorded: drift: fid" in capsys.readouterr().out


def test_best_of_several_runs_needs_new_seeds():
    names = [candidate(20.0, name="a"), candidate(21.0, name="b")]
    with pytest.raises(BaselineError, match="less than the 2 runs"):
        medgan("accept", *names, "--reason", "first", "--selected-from", "1")
    medgan("accept", candidate(), "--reason", "first", "--selected-from", "5")
    assert baseline.load("base.yaml").row("model").selected_from == 5


def test_edited_row_is_sealed_with_a_reason(capsys):
    medgan("accept", candidate(), "--reason", "first")
    Path("base.yaml").write_text(Path("base.yaml").read_text().replace("value: 20.0", "value: 19.0"))
    assert baseline.load("base.yaml").row("model").seal is Seal.BROKEN
    assert medgan("seal", "base.yaml", "--reason", "typed wrong") == 0
    assert "base.yaml: sealed model" in capsys.readouterr().out
    assert baseline.load("base.yaml").row("model").seal is Seal.VALID
    assert medgan("seal", "base.yaml", "--reason", "again") == 0
    assert "every seal holds already" in capsys.readouterr().out


def test_file_of_format_1_is_upgraded_with_a_reason():
    Path("old.yaml").write_text(
        "format: 1\nkind: measured\nname: x\nfingerprint:\n  inputs:\n    size: 128\n  canary_tolerance: 9.0\n"
        "rows:\n  model:\n    counts:\n      8: {n_real: 9, groups: 1}\n    metrics:\n      fid:\n        at:\n"
        "          8: {value: 1.0, se: 0.1}\n"
    )
    assert medgan("format", "old.yaml", "--check") == 1
    with pytest.raises(BaselineError, match="--reason"):
        medgan("format", "old.yaml")
    assert medgan("format", "old.yaml", "--reason", "as released") == 0
    assert baseline.load("old.yaml").row("model").seal is Seal.VALID


def test_a_reason_is_required(capsys):
    with pytest.raises(SystemExit):
        medgan("accept", candidate())
    assert "--reason" in capsys.readouterr().err
    with pytest.raises(BaselineError, match="A reason is required"):
        medgan("accept", candidate(), "--reason", " ")


@pytest.mark.parametrize("spec", ["fid", "fid=5", "fid=relative", "fid=auto:3", "fid=absolute:x", "fid=absolute:-1"])
def test_unreadable_margin_is_refused(spec):
    with pytest.raises(SettingsError, match="--margin"):
        medgan("accept", candidate(), "--reason", "first", "--margin", spec)


def test_diff_prints_both_values_and_exits_1(capsys):
    medgan("accept", candidate(), "--reason", "first")
    assert medgan("diff", "base.yaml", candidate()) == 0
    assert "unchanged" in capsys.readouterr().out
    assert medgan("diff", "base.yaml", candidate(22.0, size=64)) == 1
    out = capsys.readouterr().out
    assert "20.000 -> 22.000" in out
    assert "fingerprint: size: 64 != 128" in out
    with pytest.raises(SettingsError, match="Neither file has a row"):
        medgan("diff", "base.yaml", candidate(), "--row", "other")


def test_diff_of_two_baselines_sees_margins_small_counts_and_rows(capsys):
    """A margin that was widened by hand used to be `unchanged`, and a row that was removed no difference."""
    medgan("accept", candidate(), "--reason", "first")
    medgan("accept", candidate(name="other"), "--row", "other", "--reason", "first")
    text = Path("base.yaml").read_text()
    capsys.readouterr()

    def diff(changed: str) -> tuple[int, str]:
        Path("new.yaml").write_text(changed)
        return medgan("diff", "base.yaml", "new.yaml"), capsys.readouterr().out

    assert diff(text)[0] == 0
    wide = "margin: {kind: relative, amount: 0.5}"
    assert "margin auto -> relative 0.5" in diff(text.replace("margin: {kind: auto}", wide, 1))[1]
    assert diff(text.replace("margin: {kind: auto}", wide, 1))[0] == 1
    status, out = diff(text.replace("256: {value: 20.0,", "256: {value: 19.0,", 1))
    assert (status, "changed at 256" in out) == (1, True)
    status, out = diff(text[: text.index("  other:")])
    assert (status, "other (removed)" in out) == (1, True)


def test_diff_takes_unknown_spreads_for_equal(capsys):
    """Of a single sample group no spread is known."""
    medgan("accept", candidate(), "--reason", "first")
    text = Path("base.yaml").read_text().replace(", sd: 0.1", "")
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(text)
    assert "sd:" not in text
    assert medgan("diff", "a.yaml", "b.yaml") == 0
    assert "unchanged" in capsys.readouterr().out


def test_diff_compares_the_conditions_of_each_row_with_its_own(capsys):
    """A row that was accepted under other conditions than its file's is compared with by its own, as the gate does."""
    medgan("accept", candidate(), "--row", "other", "--reason", "first")
    medgan("accept", candidate(size=64), "--reason", "smaller", "--override", "fingerprint")
    capsys.readouterr()
    assert medgan("diff", "base.yaml", candidate(size=64)) == 0
    assert "fingerprint" not in capsys.readouterr().out
    assert medgan("diff", "base.yaml", candidate(size=128)) == 1
    assert "fingerprint: size: 128 != 64" in capsys.readouterr().out


def test_accept_does_not_write_into_the_package(capsys):
    """`phantom` is what a run on the embedded study is compared with where no baseline is named."""
    path = Path(candidate())
    path.write_text(path.read_text().replace("baseline: base.yaml", "baseline: phantom"))
    shipped = baseline.find("phantom")
    before = shipped.read_bytes()
    with pytest.raises(BaselineError, match="--into FILE"):
        medgan("accept", str(path), "--reason", "first", "--override", "fingerprint")
    assert shipped.read_bytes() == before
    assert medgan("accept", str(path), "--reason", "first", "--into", "own.yaml") == 0
    assert "own.yaml: created with model" in capsys.readouterr().out


def test_diff_of_an_absent_file_names_it():
    with pytest.raises(SettingsError, match=r"^elsewhere\.yaml: there is no such baseline"):
        medgan("diff", "elsewhere.yaml", candidate())
    medgan("accept", candidate(), "--reason", "first")
    with pytest.raises(SettingsError, match=r"^gone\.yaml: there is no such candidate"):
        medgan("diff", "base.yaml", "gone.yaml")


def test_accept_warns_of_a_blind_metric(capsys):
    medgan("accept", candidate(recall=0.4), "--reason", "first")
    assert "warning" not in capsys.readouterr().out
    words = ("--reason", "collapsed", "--override", "drift")
    assert medgan("accept", candidate(recall=0.01), *words) == 0
    out = capsys.readouterr().out
    assert "warning: improved_recall is blind at 512 images: it sees a loss of" in out
    assert "warning: fid" not in out
    medgan("accept", candidate(recall=0.4), "--reason", "loose", "--margin", "improved_recall=absolute:0.5")
    assert "warning: improved_recall is blind" in capsys.readouterr().out


def test_format_moves_remarks_and_check_writes_nothing(capsys):
    medgan("accept", candidate(), "--reason", "first")
    text = Path("base.yaml").read_text()
    assert medgan("format", "base.yaml", "--check") == 0
    Path("base.yaml").write_text(f"# mine\n{text}")
    assert medgan("format", "base.yaml", "--check") == 1
    assert Path("base.yaml").read_text() == f"# mine\n{text}"
    assert medgan("format", "base.yaml") == 0
    assert "formatted" in capsys.readouterr().out
    assert baseline.load("base.yaml").document.note == "mine"
