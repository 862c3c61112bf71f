"""What a failure says, line by line."""

from __future__ import annotations

import shlex
from dataclasses import replace

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.message import failure, moved, show_score
from pytest_medgan.records import Outcome, Score, Verdict, VerdictCause, mean_of_runs

FID = Score(25.0, 0.2, 1.0, 0.3, 3, (25.0, 24.0, 26.0))
FAIL = Verdict(
    METRICS["fid"],
    Outcome.FAIL,
    "base.yaml:31",
    VerdictCause.WORSE,
    "worse",
    "model",
    FID,
    1024,
    20.0,
    1.0,
    5.0,
    0.25,
    3.97,
    sees=1.1,
    power="sees a loss of 5.5% (98 of 100)",
    looks=(1024,),
    real=2.0,
)


def test_the_whole_message():
    assert failure([FAIL], "medgan baseline accept c.yaml") == (
        "FID is beyond its limit\n"
        "\n"
        "fid ↓ (lower is better): FAIL\n"
        "  measured  25.000 ± 1.000  (3 groups of 1,024 images)\n"
        "  limit     20.000, has to be <= 21.000  (base.yaml:31, row model)\n"
        "  change    5.000 ± 0.250 (standard error) worse (20.0 standard errors worse), "
        "judged at 3.97 standard errors\n"
        "  power     sees a loss of 5.5% (98 of 100)\n"
        "  Real row  2.000\n"
        "  because   worse\n"
        "\n"
        "to accept the change:\n"
        "  medgan baseline accept c.yaml --row model --override drift --reason '...'"
    )


def test_training_runs_are_counted_and_their_spread_is_the_unit():
    runs = mean_of_runs([replace(FID, mean=value) for value in (24.0, 25.0, 26.0)])
    text = failure([replace(FAIL, measured=runs, run_sd=0.8, anchor=19.0)], None)
    assert "25.000 ± 1.000  (3 training runs, each 3 groups of 1,024 images)" in text
    assert "(20.0 standard errors worse, 6.2 run-to-run sd)" in text
    assert "  anchor    19.000" in text


def test_a_reason_that_all_share_is_said_once():
    kid = replace(FAIL, metric=METRICS["kid"])
    text = failure([FAIL, kid], None)
    assert text.count("because") == 1
    assert text.startswith("2 of 2 metrics do not pass: fid, kid\n  because   worse\n")
    assert failure([FAIL, replace(kid, reason="other")], None).count("because") == 2


def test_a_small_number_keeps_two_digits():
    kid = Score(2e-7, 1e-8, values=(2e-7,))
    small = replace(FAIL, metric=METRICS["kid"], measured=kid, limit=1e-7, margin=2e-8, loss=1e-7)
    assert "1e-07, has to be <= 1.2e-07" in failure([small], None)


def test_a_row_name_that_a_shell_would_split_is_quoted():
    assert '--row "my model"' in failure([replace(FAIL, row="my model")], "medgan baseline accept c.yaml")
    for name in ("a $b", 'a "b"', "a`b`", "a!", "a\\b"):
        message = failure([replace(FAIL, row=name)], "medgan baseline accept c.yaml")
        command = next(line for line in message.splitlines() if "--row" in line)
        assert shlex.split(command)[5] == name
        assert '"' not in command.replace(name, ""), "a shell would read it inside double quotes"


def test_a_metric_without_a_row_offers_nothing_to_accept():
    assert "to accept" not in failure([replace(FAIL, row=None)], "medgan baseline accept c.yaml")


def test_what_cannot_be_compared_is_accepted_without_an_override():
    refused = replace(FAIL, outcome=Outcome.INCOMPARABLE, margin=None)
    assert "--override" not in failure([refused], "medgan baseline accept c.yaml")


def test_what_was_measured_under_other_conditions_needs_a_run_and_an_override():
    refused = replace(FAIL, outcome=Outcome.INCOMPARABLE, cause=VerdictCause.OTHER_CONDITIONS, margin=None)
    message = failure([refused], "medgan baseline accept c.yaml")
    assert "compare with a row of its own, or replace this row: run again with --medgan-full, then" in message
    assert "medgan baseline accept c.yaml --row model --override fingerprint --reason" in message


def test_what_else_moved_says_how_far_and_which_way():
    passed = replace(FAIL, outcome=Outcome.PASS, loss=-0.5, measured=replace(FID, mean=19.5))
    assert moved(passed) == "fid ↓: 20.000 -> 19.500 ± 1.000 (2.0 standard errors better), PASS"
    unmeasured = replace(FAIL, outcome=Outcome.MISSING, measured=None, loss=None, reason="not measured: why")
    assert moved(unmeasured) == "fid: MISSING not measured: why"


def test_blind_metrics_are_what_failed_only_where_nothing_else_did():
    blind = replace(FAIL, metric=METRICS["kid"], outcome=Outcome.BLIND, cause=VerdictCause.FEW_IMAGES)
    open_ = replace(FAIL, metric=METRICS["density"], outcome=Outcome.UNDECIDED, cause=VerdictCause.STOPPED)
    assert failure([FAIL, blind, open_], None, together=True).startswith("FID is beyond its limit")
    assert failure([blind, open_], None, together=True).startswith("KID is blind")
    assert failure([FAIL, blind], None).startswith("2 of 2 metrics do not pass")
    assert "density ↓: 20.000" not in failure([FAIL, open_], None)
    assert "left open" in failure([FAIL, open_], None)


def test_a_score_of_one_group_has_no_spread():
    assert show_score(METRICS["fid"], Score(20.0)) == "20.000"
