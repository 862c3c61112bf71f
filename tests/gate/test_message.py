"""What a failure says, line by line."""

from __future__ import annotations

from dataclasses import replace

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.message import failure, moved
from pytest_medgan.records import MetricScore, Outcome, Verdict

FID = MetricScore(METRICS["fid"], (25.0, 24.0, 26.0), 25.0, 1.0, 0.2, 0.3)
FAIL = Verdict(
    METRICS["fid"],
    Outcome.FAIL,
    FID,
    1024,
    20.0,
    1.0,
    "base.yaml:31",
    "model",
    5.0,
    0.25,
    3.97,
    "worse",
    looks=(1024,),
    real=2.0,
)


def test_the_whole_message():
    assert failure([FAIL], "medgan baseline accept c.yaml") == (
        "FID is beyond its limit\n"
        "\n"
        "fid ↓ (lower is better): FAIL\n"
        "  measured  25.000 ± 1.000  (3 groups of 1,024 images)\n"
        "  limit     20.000, margin 1.000  (base.yaml:31, row model)\n"
        "  change    5.000 ± 0.250 (standard error) worse, judged at 3.97 standard errors\n"
        "  Real row  2.000\n"
        "  because   worse\n"
        "\n"
        "to accept the change:\n"
        "  medgan baseline accept c.yaml --row model --reason '...'"
    )


def test_a_small_number_keeps_two_digits():
    kid = MetricScore(METRICS["kid"], (2e-7,), 2e-7, 0.0, 1e-8, 1e-8)
    small = replace(FAIL, metric=METRICS["kid"], measured=kid, limit=1e-7, margin=2e-8, loss=1e-7)
    assert "1e-07, margin 2e-08" in failure([small], None)


def test_a_row_name_that_a_shell_would_split_is_quoted():
    assert '--row "my model"' in failure([replace(FAIL, row="my model")], "medgan baseline accept c.yaml")


def test_a_metric_without_a_row_offers_nothing_to_accept():
    assert "to accept" not in failure([replace(FAIL, row=None)], "medgan baseline accept c.yaml")


def test_what_else_moved_says_how_far_and_which_way():
    passed = replace(FAIL, outcome=Outcome.PASS, loss=-0.5, measured=replace(FID, mean=19.5))
    assert moved(passed) == "fid ↓: 20.000 -> 19.500 ± 1.000 (2.0 standard errors better), PASS"
    unmeasured = replace(FAIL, outcome=Outcome.MISSING, measured=None, loss=None, reason="not measured: why")
    assert moved(unmeasured) == "fid: MISSING not measured: why"
