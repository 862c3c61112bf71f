from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Limit, LimitValue, MetricScore, Outcome, Row, Scores, Verdict
from pytest_medgan.report import ModelRecord, history_of, merged, model_from_dict, model_record, model_to_dict
from pytest_medgan.report.collect import verdict_record

MakeModel = Callable[..., ModelRecord]


def one_score(name: str, value: float, metric: Metric | None = None) -> Scores:
    found = metric or METRICS[name]
    return Scores(
        520, 60, ("0",), {name: MetricScore(found, (value,), value, math.nan, 0.1, 0.2)}, {"kid": "asked not"}
    )


def test_a_model_crosses_processes_as_json(make_model: MakeModel) -> None:
    model = make_model(fid=8.0)
    assert model_from_dict(json.loads(json.dumps(model_to_dict(model), allow_nan=False))) == model


def test_looks_come_in_order_and_the_images_are_counted(make_model: MakeModel) -> None:
    model = make_model()
    assert [look.n_fake for look in model.looks] == [60, 120, 480]
    assert model.images_used == 480 * 3
    assert model.last is model.looks[-1]


def test_a_users_own_metric_keeps_its_label_and_direction() -> None:
    own = Metric("lung_area", "Lung area error", False, 0.0, math.inf, "us", True, decimals=1)
    model = model_record("A", [one_score("lung_area", 2.0, own)], full_count=60)
    facts = model.facts("lung_area")
    assert (facts.label, facts.arrow, facts.show(2.0)) == ("Lung area error", "↓", "2.0")
    assert model.metrics == ("kid", "lung_area")
    assert model.facts("kid").label == "KID", "an unmeasured metric of the catalogue has its label too"


def test_the_real_row_may_come_as_scores() -> None:
    model = model_record("A", [one_score("fid", 9.0)], full_count=60, real=[one_score("fid", 2.0)])
    assert model.real is not None
    found = model.real.at("fid", 60, 60)
    assert found is not None
    assert (found.value, found.sd) == (2.0, 0.0)


def test_numbers_that_are_not_finite_are_absent_from_a_verdict() -> None:
    measured = MetricScore(METRICS["fid"], (math.nan,), math.nan, math.nan, 0.1, 0.1)
    verdict = Verdict(METRICS["fid"], Outcome.FAIL, measured, 60, 5.0, 1.0, "a.yaml:3", loss=math.nan, loss_se=0.1)
    record = verdict_record(verdict.as_dict() | {"nodeid": "test_a.py::test_fid"})
    assert (record.mean, record.loss, record.errors_lost) == (None, None, None)
    assert record.test == "test_a.py::test_fid"
    assert not record.green


def test_every_key_of_a_verdict_is_kept() -> None:
    """A field added to Verdict.as_dict and forgotten in the record would vanish from the report."""
    data = Verdict(METRICS["fid"], Outcome.PASS, None, None, None, None, "").as_dict()
    record = verdict_record(data)
    assert set(data) <= set(vars(record))


def test_pieces_of_one_model_are_put_together(make_model: MakeModel) -> None:
    whole = make_model()
    early = replace(whole, looks=whole.looks[:1], verdicts=whole.verdicts[:2], images_used=180, history=())
    late = replace(whole, looks=whole.looks[1:], verdicts=whole.verdicts[1:])
    assert merged([early, late]) == (whole,)


def test_the_same_name_under_other_settings_stays_apart(make_model: MakeModel) -> None:
    first = make_model()
    other = replace(first, fingerprint={"split": "slice"})
    third = replace(first, fingerprint={"split": "none"})
    names = [m.name for m in merged([first, other, third, other])]
    assert names == ["PGGAN", "PGGAN (2)", "PGGAN (3)"]


def test_a_history_takes_each_rows_largest_count() -> None:
    def accepted(value: float, reason: str) -> Row:
        limit = Limit("fid", {60: LimitValue(value + 5, 1.0), 480: LimitValue(value, 0.2)}, "a.yaml:3")
        return Row("A", {"fid": limit}, "a.yaml:2", provenance={"reason": reason})

    missing = Row("A", {}, "a.yaml", kind="missing")
    points = history_of(
        [("2026-01", accepted(9.0, "first")), ("2026-02", missing), ("2026-03", accepted(7.0, "longer"))]
    )
    assert [(p.label, p.metrics["fid"].value, p.metrics["fid"].se, p.reason) for p in points] == [
        ("2026-01", 9.0, 0.2, "first"),
        ("2026-03", 7.0, 0.2, "longer"),
    ]


def test_a_history_beside_a_run_is_of_the_run_s_own_count() -> None:
    """FID at 60 images and at 480 are not one metric's two values."""
    values = {60: LimitValue(9.0), 480: LimitValue(7.0)}
    row_ = Row("A", {"fid": Limit("fid", values, "a:1"), "kid": Limit("kid", {480: LimitValue(0.1)}, "a:2")}, "a:1")
    (point,) = history_of([("one", row_)], 60)
    assert {metric: value.value for metric, value in point.metrics.items()} == {"fid": 9.0}
    assert history_of([("one", row_)], 120) == ()


def test_a_table_that_is_no_model_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"model\.catalogue is absent"):
        model_from_dict({"name": "A"})
