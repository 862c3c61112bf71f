from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.plain import json_schema
from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report import ModelRecord, ReportRun, read_run, write_run
from pytest_medgan.report.run import MetricFacts, RowRecord, RowValue, VerdictRecord, from_dict, to_dict

GOLDEN = Path(__file__).parent / "golden"
MakeRun = Callable[..., ReportRun]


def test_a_run_comes_back_as_it_was_written(tmp_path: Path, make_run: MakeRun, evidence: Evidence) -> None:
    run = make_run(improved_recall=9.0)
    again, pictures = read_run(write_run(tmp_path / "run", run, {"PGGAN": evidence}))
    assert again == run
    ours, theirs = pictures["PGGAN"], evidence
    assert ours.window == theirs.window
    assert ours.ties == theirs.ties
    np.testing.assert_array_equal(ours.realism, theirs.realism)
    assert set(ours.sweep) == set(theirs.sweep)


def test_the_same_run_writes_the_same_bytes(tmp_path: Path, make_run: MakeRun, evidence: Evidence) -> None:
    folders = [write_run(tmp_path / name, make_run(), {"PGGAN": evidence}) for name in "ab"]
    for file in ("scores.json", "evidence.npz"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def test_scores_json_is_strict_json(tmp_path: Path, make_model: Callable[..., ModelRecord]) -> None:
    model = make_model()
    look = model.looks[0]
    odd = replace(look.metrics["fid"], mean=math.nan, sd=math.inf)
    run = ReportRun((replace(model, looks=(replace(look, metrics={"fid": odd}),)),))
    write_run(tmp_path, run)

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert data["models"][0]["looks"][0]["metrics"]["fid"]["mean"] is None
    assert math.isnan(read_run(tmp_path)[0].models[0].looks[0].metrics["fid"].mean)


def test_the_schema_is_the_one_on_file() -> None:
    """Whoever reads scores.json relies on this; a change of it is a change of SCHEMA_VERSION, or an addition."""
    golden = json.loads((GOLDEN / "scores.schema.json").read_text(encoding="utf-8"))
    assert json_schema(ReportRun, "medgan run, scores.json, version 1") == golden


def test_a_written_run_keeps_to_the_schema(tmp_path: Path, make_run: MakeRun) -> None:
    schema = json.loads((GOLDEN / "scores.schema.json").read_text(encoding="utf-8"))
    write_run(tmp_path, make_run(without=("copy_rate",)))
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))

    def check(node: dict[str, object], value: object, where: str) -> None:
        if "$ref" in node:
            node = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[1]]
        if "anyOf" in node:
            problems = []
            for option in node["anyOf"]:  # type: ignore[attr-defined]
                try:
                    return check(option, value, where)
                except AssertionError as problem:
                    problems.append(problem)
            raise AssertionError(f"{where}: {problems}")
        kinds = {"object": dict, "array": list, "string": str, "number": float, "integer": int, "boolean": bool}
        names = node["type"] if isinstance(node["type"], list) else [node["type"]]
        assert (value is None and "null" in names) or any(isinstance(value, kinds[n]) for n in names if n != "null"), (
            where
        )
        if isinstance(value, dict):
            assert set(node.get("required", ())) <= set(value), where  # type: ignore[call-overload]
            for key, item in value.items():
                inner = node.get("properties", {}).get(key) or node["additionalProperties"]  # type: ignore[attr-defined]
                check(inner, item, f"{where}.{key}")
        if isinstance(value, list):
            for item in value:
                check(node["items"], item, where)  # type: ignore[arg-type]
        return None

    check(schema, data, "run")


def test_pictures_of_real_images_stay_out_unless_asked_for(tmp_path: Path, make_run: MakeRun) -> None:
    pictures = np.zeros((2, 4, 4), np.uint8)
    index = np.arange(2)
    given = Evidence(
        thumbnails_fake=pictures,
        thumbnail_fake_index=index,
        thumbnails_real=pictures,
        thumbnail_real_index=index,
        thumbnails_train=pictures,
        thumbnail_train_index=index,
    )
    kept = read_run(write_run(tmp_path / "closed", make_run(), {"PGGAN": given}))[1]["PGGAN"]
    assert kept.thumbnails_real is None
    assert kept.thumbnails_train is None
    assert kept.thumbnails_fake is not None
    kept = read_run(write_run(tmp_path / "open", make_run(), {"PGGAN": given}, include_real=True))[1]["PGGAN"]
    assert kept.thumbnails_real is not None
    assert kept.thumbnails_train is not None


def test_what_is_written_names_no_machine(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run()
    leaky = replace(
        run,
        warnings=("1 file skipped under /data/LUNG1-001/ct", "no (0010,0020)"),
        facts={"baseline": "/home/u/p/baselines/phantom.yaml"},
    )
    text = (write_run(tmp_path, leaky) / "scores.json").read_text(encoding="utf-8")
    assert "LUNG1" not in text
    assert "/home" not in text
    assert "(0010" not in text
    assert '"phantom.yaml"' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not JSON"),
        ("[1]", "not a record of a medgan run"),
        ("{}", "not a record of a medgan run"),
        ('{"schema": "medgan-run", "schema_version": 99}', "schema version 99 and this version reads 1"),
        ('{"schema": "medgan-run", "schema_version": 1}', "run.models is absent"),
        ('{"schema": "medgan-run", "schema_version": 1, "models": 3}', "run.models must be a list, not int"),
        ('{"schema": "medgan-run", "schema_version": 1, "models": [], "report_only": "no"}', "must be a bool, not str"),
        ('{"schema": "medgan-run", "schema_version": 1, "models": [{"name": null}]}', "must be a str, not nothing"),
    ],
)
def test_a_folder_that_is_no_run_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message) as caught:
        read_run(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_without_scores_is_named_apart_from_the_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no readable scores\.json") as caught:
        read_run(tmp_path)
    assert caught.value.file == str(tmp_path)


def test_keys_of_a_newer_writer_are_passed_over(make_run: MakeRun) -> None:
    data = to_dict(make_run())
    assert from_dict({**data, "added_later": 1}) == make_run()


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        (("PASS", "FAIL", "MISSING"), Outcome.FAIL),
        (("PASS", "UNDECIDED"), Outcome.UNDECIDED),
        (("PASS", "STALE"), Outcome.STALE),
        (("PASS", "PASS"), Outcome.PASS),
        (("PASS", "a later outcome"), Outcome.FAIL),
        ((), None),
    ],
)
def test_a_run_is_as_good_as_its_worst_verdict(outcomes: tuple[str, ...], whole: Outcome | None) -> None:
    verdicts = tuple(VerdictRecord("fid", "FID", False, outcome) for outcome in outcomes)
    assert ReportRun((ModelRecord("A", {}, verdicts=verdicts),)).outcome == whole


def test_a_problem_of_the_session_forbids_green(make_run: MakeRun) -> None:
    assert make_run().outcome == Outcome.PASS
    assert replace(make_run(), problems=("--medgan-gpu: no test marked medgan_gpu ran",)).outcome == Outcome.FAIL


def test_a_row_gives_its_value_at_the_very_count() -> None:
    row = RowRecord("A", "measured", "", {"fid": {60: RowValue(9.0), 480: RowValue(7.0)}, "kid": {0: RowValue(1.0)}})
    assert row.at("fid", 60, 480) == RowValue(9.0)
    assert row.at("fid", 120, 480) is None
    assert row.at("kid", 480, 480) == RowValue(1.0)
    assert row.at("kid", 60, 480) is None
    assert row.largest("fid") == RowValue(7.0)


def test_a_metric_shows_its_own_decimals() -> None:
    facts = MetricFacts("kid", "KID", False, 5)
    assert facts.show(0.00123456) == "0.00123"
    assert facts.show(math.nan) == "–"
    assert facts.show(None) == "–"
