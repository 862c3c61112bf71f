"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Callable

from pytest_medgan.records import Outcome, Scores, Verdict
from pytest_medgan.session.findings import JudgedVerdict, Model, ModelFindings
from pytest_medgan.session.summary import model_lines

MakeModel = Callable[..., ModelFindings]
MakeVerdict = Callable[..., Verdict]


def table(model: Model) -> dict[str, tuple[list[str], str]]:
    """The table's rows by metric: cells and colour."""
    lines = [(text, colour) for text, colour in model_lines(model) if text.startswith("  ") and "  " in text.strip()]
    split = [([cell.strip() for cell in text.strip().split("  ") if cell.strip()], colour) for text, colour in lines]
    return {cells[0]: (cells[1:], colour) for cells, colour in split}


def judged(*verdicts: Verdict) -> list[JudgedVerdict]:
    return [JudgedVerdict("key", verdict) for verdict in verdicts]


def test_judged_metric_shows_every_number(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    rows = table(Model(make_model(), judged(make_verdict())))
    assert rows["FID ↓"] == (["1.000", "2.000 ± 0.250", "<= 1.500 (TOY, b.yaml:7)", "0.750", "PASS at 64"], "PASS")


def test_higher_is_better_is_a_lower_bound(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    rows = table(Model(make_model(), judged(make_verdict("density", row=None))))
    assert rows["Density ↑"][0][2] == ">= 1.500 (number, b.yaml:7)"


def test_unknown_numbers_are_dashes(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    missing = make_verdict(outcome=Outcome.MISSING, measured=None, n_fake=None, limit=None, margin=None)
    assert table(Model(make_model(), judged(missing)))["FID ↓"] == (["-", "-", "-", "-", "MISSING"], "MISSING")


def test_unjudged_metric_is_not_compared(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    rows = table(Model(make_model(), judged(make_verdict())))
    assert rows["KID ↓"] == (["-", "0.50000", "-", "-", "not compared"], "")


def test_unjudged_metric_is_shown_at_the_largest_look(
    make_model: MakeModel, make_scores: Callable[..., Scores]
) -> None:
    looks = {32: make_scores(32, kid=0.25), 64: make_scores(64, kid=0.5)}
    assert table(Model(make_model(looks=looks)))["KID ↓"][0][1] == "0.50000"


def test_a_shared_reason_is_said_once(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    failed = [make_verdict(name, Outcome.MISSING, reason="no row") for name in ("kid", "fid")]
    lines = model_lines(Model(make_model(), judged(*failed)))
    assert [line for line in lines if "no row" in line[0]] == [("  fid, kid: no row", "MISSING")]


def test_the_last_of_equal_comparisons_is_shown(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    model = Model(make_model(), judged(make_verdict(outcome=Outcome.UNDECIDED), make_verdict(outcome=Outcome.FAIL)))
    assert [colour for text, colour in model_lines(model) if "FID" in text] == ["FAIL"]


def test_warnings_and_trouble_are_shown(make_model: MakeModel) -> None:
    lines = model_lines(Model(make_model(trouble="disk full")))
    assert ("warning: disk full", "UNDECIDED") in lines
