"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Callable

from pytest_medgan.records import Outcome, Score, Scores, Verdict
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
    assert rows["FID ↓"] == (["1.00", "2.00 ± 0.25", "<= 2.25", "-", "PASS at 64"], "PASS")
    assert ("  limits: TOY (b.yaml:7)", "") in model_lines(Model(make_model(), judged(make_verdict())))


def test_higher_is_better_is_a_lower_bound(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    rows = table(Model(make_model(), judged(make_verdict("density", row=None))))
    assert rows["Density ↑"][0][2] == ">= 0.75"


def test_bound_beyond_the_range_of_the_metric_cannot_fail(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict("density", limit=0.2, margin=0.4, sees=0.3)
    assert table(Model(make_model(), judged(verdict)))["Density ↑"][0][2:4] == ["any value", "0.30"]


def test_table_fits_80_columns_and_leaves_spreads_out_where_it_must(
    make_model: MakeModel, make_verdict: MakeVerdict
) -> None:
    names = ("fid", "kid", "improved_precision", "intensity_distance", "duplicate_rate")
    for value, error in ((2.0, 0.25), (1234.56, 0.0234)):
        measured = Score(value, error, error, 2 * error, 3, (value,) * 3)
        verdicts = [
            make_verdict(name, Outcome.UNDECIDED, n_fake=120, measured=measured, sees=1.5 * error) for name in names
        ]
        lines = [text for text, _ in model_lines(Model(make_model(), judged(*verdicts))) if text.startswith("  ")]
        assert len(lines) >= len(names)
        assert max(map(len, lines)) <= 80
        assert any("±" in line for line in lines) == (value == 2.0)


def test_real_value_of_another_count_is_shown_where_the_metric_does_not_depend_on_it(
    make_model: MakeModel, make_verdict: MakeVerdict, make_scores: Callable[..., Scores]
) -> None:
    real = {32: make_scores(32, fid=1.0, ms_ssim=0.25)}
    verdicts = judged(make_verdict(), make_verdict("ms_ssim"))
    rows = table(Model(make_model(real=real), verdicts))
    assert (rows["FID ↓"][0][0], rows["MS-SSIM ↓"][0][0]) == ("-", "0.25")


def test_shares_near_zero_are_percentages(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    measured = Score(0.031, 0.004, 0.004, 0.01, 3, (0.027, 0.031, 0.035))
    verdict = make_verdict("duplicate_rate", limit=0.02, margin=0.03, sees=0.03, measured=measured)
    cells = table(Model(make_model(), judged(verdict)))["Duplicate rate ↓"][0]
    assert cells[1:4] == ["3.1 ± 0.4%", "<= 5.0%", "3.0%"]


def test_limits_of_one_file_share_a_line(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    verdicts = [
        make_verdict("fid", origin="b.yaml:7"),
        make_verdict("kid", origin="b.yaml:31"),
        make_verdict("density", origin="test_a.py:5", row=None),
    ]
    lines = [text for text, _ in model_lines(Model(make_model(), judged(*verdicts)))]
    assert "  limits: TOY (b.yaml:7-31), number (test_a.py:5)" in lines


def test_limit_that_stands_in_no_file_has_no_line(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    """It used to be shown as `Real (:0)`."""
    verdicts = [make_verdict(name, row="Real", origin="the Real row of this session") for name in ("fid", "kid")]
    lines = [text for text, _ in model_lines(Model(make_model(), judged(*verdicts)))]
    assert "  limits: Real (the Real row of this session)" in lines


def test_unknown_numbers_are_dashes(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    missing = make_verdict(outcome=Outcome.MISSING, measured=None, n_fake=None, limit=None, margin=None)
    assert table(Model(make_model(), judged(missing)))["FID ↓"] == (["-", "-", "-", "-", "MISSING"], "MISSING")


def test_unjudged_metric_is_not_compared(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    rows = table(Model(make_model(), judged(make_verdict())))
    assert rows["KID ↓"] == (["-", "0.50", "-", "-", "not compared"], "")


def test_unjudged_metric_is_shown_at_the_largest_look(
    make_model: MakeModel, make_scores: Callable[..., Scores]
) -> None:
    looks = {32: make_scores(32, kid=0.25), 64: make_scores(64, kid=0.5)}
    assert table(Model(make_model(looks=looks)))["KID ↓"][0][1] == "0.50"


def test_a_shared_reason_is_said_once(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    failed = [make_verdict(name, Outcome.MISSING, reason="no row") for name in ("kid", "fid")]
    lines = model_lines(Model(make_model(), judged(*failed)))
    assert [line for line in lines if "no row" in line[0]] == [("  fid, kid: no row", "MISSING")]


def test_the_last_of_equal_comparisons_is_shown(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    model = Model(make_model(), judged(make_verdict(outcome=Outcome.UNDECIDED), make_verdict(outcome=Outcome.FAIL)))
    assert [colour for text, colour in model_lines(model) if "FID" in text] == ["FAIL"]


def test_a_run_that_only_reports_says_so(make_model: MakeModel) -> None:
    said = [text for text, _ in model_lines(Model(make_model()), report_only=True)]
    assert "report only: no verdict below fails a test" in said
    assert not any("report only" in text for text, _ in model_lines(Model(make_model())))


def test_warnings_and_trouble_are_shown(make_model: MakeModel) -> None:
    lines = model_lines(Model(make_model(trouble="disk full")))
    assert ("warning: disk full", "UNDECIDED") in lines
