"""Findings cross between processes as strict JSON, and those of several tests are joined."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Fingerprint, Outcome, Score, Scores, TrainingRun, Verdict
from pytest_medgan.session.findings import (
    Findings,
    JudgedVerdict,
    ModelFindings,
    TestFindings,
    have_equal_numbers,
)

MakeModel = Callable[..., ModelFindings]
MakeVerdict = Callable[..., Verdict]
MakeScores = Callable[..., Scores]


def test_findings_survive_strict_json(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    found = TestFindings((make_model(),), (JudgedVerdict("key", make_verdict(outcome=Outcome.STALE)),), True, ("line",))
    again = from_plain(TestFindings, json.loads(json.dumps(to_plain(found), allow_nan=False)))
    assert to_plain(again) == to_plain(found)
    assert again.verdicts[0].verdict.outcome is Outcome.STALE
    assert again.models[0].looks[64]["fid"].freedom == float("inf")


def test_empty_findings_are_false(make_model: MakeModel) -> None:
    assert not TestFindings()
    assert TestFindings(gpu=True)
    assert TestFindings((make_model(),))


def test_looks_of_two_tests_are_joined(make_model: MakeModel, make_scores: MakeScores) -> None:
    both = Findings()
    both.add(TestFindings((make_model(),)), "a")
    both.add(
        TestFindings((make_model(looks={128: make_scores(128, fid=1.0)}, real={128: make_scores(128, fid=0.5)}),)), "b"
    )
    joined = both.models["key"].findings
    assert sorted(joined.looks) == [64, 128]
    assert sorted(joined.real) == [64, 128]


def test_the_fuller_findings_keep_their_facts(make_model: MakeModel, make_scores: MakeScores) -> None:
    fuller = make_model(looks={64: make_scores(64, fid=2.0), 128: make_scores(128, fid=2.0)}, features="6 computed")
    assert make_model().joined(fuller).features == "6 computed"
    assert fuller.joined(make_model(trouble="disk full")).features == "6 computed"
    assert fuller.joined(make_model(trouble="disk full")).trouble == "disk full"


def test_verdicts_carry_the_test_that_asked(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    both = Findings()
    judged = JudgedVerdict("key", make_verdict())
    both.add(TestFindings((make_model(),), (judged,)), "test_a")
    both.add(TestFindings(verdicts=(replace(judged, model="other"),)), "test_b")
    assert [one.nodeid for one in both.models["key"].verdicts] == ["test_a"]
    assert list(both.models) == ["key"]


def test_a_skipped_gpu_test_is_not_counted() -> None:
    both = Findings()
    both.add(TestFindings(gpu=True), "a", ran=False)
    assert both.gpu_tests_run == 0
    both.add(TestFindings(gpu=True), "a")
    assert both.gpu_tests_run == 1


def test_terminal_lines_are_kept_once() -> None:
    both = Findings()
    both.add(TestFindings(terminal=("x", "y")), "a")
    both.add(TestFindings(terminal=("y",)), "b")
    assert both.terminal_lines == ["x", "y"]


def test_row_is_the_first_row_that_is_not_real(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    both = Findings()
    both.add(TestFindings((make_model(),)), "a")
    model = both.models["key"]
    assert model.row == "toy"
    model.verdicts += [JudgedVerdict("key", make_verdict(row=row)) for row in (None, "Real", "TOY", "OTHER")]
    assert model.row == "TOY"


def test_models_and_verdicts_are_arranged_in_the_order_of_the_tests(
    make_model: MakeModel, make_verdict: MakeVerdict
) -> None:
    both = Findings()
    for key, nodeid in [("late", "test_d"), ("early", "test_b"), ("early", "test_a"), ("late", "test_c")]:
        model = replace(make_model(), key=key)
        both.add(TestFindings((model,), (JudgedVerdict(key, make_verdict()),)), nodeid)
    both.add(TestFindings((replace(make_model(), key="unjudged"),)), "test_0")
    both.arrange(["test_a", "test_b", "test_c", "test_d"])
    assert list(both.models) == ["early", "late", "unjudged"]
    assert [judged.nodeid for judged in both.models["late"].verdicts] == ["test_c", "test_d"]


def test_nameless_models_of_two_processes_are_told_apart(
    make_model: MakeModel, make_verdict: MakeVerdict, make_scores: MakeScores
) -> None:
    """Each process counts generators without an identity from 0; the two used to be one model of mixed looks."""
    both = Findings()
    for process, fid, looks in (("gw0", 2.0, (64,)), ("gw1", 9.0, (64,)), ("gw0", 2.0, (64, 128)), ("gw1", 9.0, (64,))):
        model = make_model(identity=None, runs=(TrainingRun(),), looks={n: make_scores(n, fid=fid) for n in looks})
        second = replace(model, key="beside key", name="toy beside", beside="key")
        found = TestFindings((model, second), (JudgedVerdict("key", make_verdict(measured=Score(fid))),))
        both.add(both.told_apart(found, process), process)
    assert both.unite() == {}
    assert len(both.models) == 4
    first, other = (model for model in both.models.values() if model.findings.beside is None)
    assert [sorted(one.findings.looks) for one in (first, other)] == [[64, 128], [64]]
    for one, fid in ((first, 2.0), (other, 9.0)):
        assert {look["fid"].mean for look in one.findings.looks.values()} == {fid}
        assert {judged.verdict.measured.mean for judged in one.verdicts if judged.verdict.measured} == {fid}
        assert [m.name for m in both.models.values() if m.findings.beside == one.findings.key] == ["toy beside"]


def test_nameless_model_that_two_processes_measured_alike_is_one(
    make_model: MakeModel, make_scores: MakeScores
) -> None:
    both = Findings()
    nameless = make_model(identity=None, runs=(TrainingRun(),))
    more = {**nameless.looks, 128: make_scores(128, fid=1.0)}
    for process, looks in (("gw0", nameless.looks), ("gw1", more), ("gw1", nameless.looks)):
        both.add(both.told_apart(TestFindings((replace(nameless, looks=looks),)), process), process)
    assert both.unite() == {"key-gw1": "key"}
    assert {key: sorted(model.findings.looks) for key, model in both.models.items()} == {"key": [64, 128]}


def test_model_with_an_identity_is_one_in_every_process(make_model: MakeModel) -> None:
    both = Findings()
    runs = (TrainingRun("a"), TrainingRun("b"))
    for process in ("gw0", "gw1"):
        for model in (make_model(looks={}), make_model(key="runs", identity=None, runs=runs, looks={})):
            both.add(both.told_apart(TestFindings((model,)), process), process)
    assert both.unite() == {}
    assert list(both.models) == ["key", "runs"]


@pytest.mark.parametrize(
    ("ours", "theirs", "equal"),
    [
        ({"fid": 1.0}, {"fid": 1.0, "kid": 2.0}, True),
        ({"fid": 1.0, "kid": math.nan}, {"fid": 1.0, "kid": math.nan}, True),
        ({"fid": 1.0, "kid": 2.0}, {"fid": 1.0, "kid": 3.0}, False),
        ({"fid": 1.0, "kid": math.nan}, {"fid": 1.0, "kid": 3.0}, False),
        ({"fid": 1.0}, {"kid": 1.0}, False),
        ({"fid": math.nan}, {"fid": math.nan}, False),
        ({"fid": math.inf}, {"fid": math.inf}, False),
    ],
)
def test_equal_numbers_need_a_finite_value_that_both_have(
    ours: dict[str, float], theirs: dict[str, float], equal: bool, make_scores: MakeScores
) -> None:
    one, other = make_scores(64, **ours), make_scores(64, **theirs)
    assert have_equal_numbers({64: one}, {64: other}) is equal
    assert not have_equal_numbers({64: one}, {128: one})


@pytest.mark.parametrize(
    ("found", "models"),
    [
        ([("gw0", {}), ("gw1", {})], [{}]),
        ([("gw0", {}), ("gw1", {64: 2.0})], [{64: 2.0}]),
        ([("gw0", {64: 2.0}), ("gw1", {}), ("gw2", {})], [{64: 2.0}]),
        ([("gw0", {}), ("gw1", {64: 2.0}), ("gw0", {64: 2.0})], [{64: 2.0}]),
        ([("gw0", {}), ("gw1", {64: 2.0}), ("gw0", {64: 9.0})], [{64: 9.0}, {64: 2.0}]),
        ([("gw0", {64: 2.0}), ("gw1", {128: 1.0}), ("gw0", {128: 1.0})], [{64: 2.0, 128: 1.0}]),
        ([("gw0", {64: 2.0}), ("gw1", {128: 1.0}), ("gw2", {64: 2.0, 128: 1.0})], [{64: 2.0, 128: 1.0}]),
        ([("gw0", {64: 2.0}), ("gw1", {64: 9.0}), ("gw2", {})], [{64: 2.0}, {64: 9.0}, {}]),
    ],
)
def test_nameless_models_are_united_by_all_that_was_measured(
    found: Sequence[tuple[str, dict[int, float]]],
    models: list[dict[int, float]],
    make_model: MakeModel,
    make_verdict: MakeVerdict,
    make_scores: MakeScores,
) -> None:
    """A model that measured nothing in one process used to be a second model for the whole run."""
    both = Findings()
    for place, (process, fids) in enumerate(found):
        looks = {n: make_scores(n, fid=fid) for n, fid in fids.items()}
        model = make_model(identity=None, runs=(TrainingRun(),), looks=looks)
        verdict = JudgedVerdict("key", make_verdict(measured=Score(fids.get(64, 0.0))))
        seconds = replace(model, key="beside key", beside="key")
        both.add(both.told_apart(TestFindings((model, seconds), (verdict,)), process), f"test_{place}")
    united = both.unite()
    assert not united.keys() & both.models.keys()
    keys = [key for key, one in both.models.items() if one.findings.beside is None]
    assert [one.findings.beside for one in both.models.values() if one.findings.beside is not None] == keys
    first = [both.models[key] for key in keys]
    assert [{n: look["fid"].mean for n, look in sorted(one.findings.looks.items())} for one in first] == models
    for key, one in both.models.items():
        assert one.findings.key == key
        assert {judged.model for judged in one.verdicts} <= {key}
    assert sum(len(one.verdicts) for one in first) == len(found)


def test_nameless_model_under_other_conditions_is_another_one(make_model: MakeModel) -> None:
    both = Findings()
    for process, seeds in (("gw0", "0"), ("gw1", "1")):
        model = make_model(identity=None, runs=(TrainingRun(),), looks={}, fingerprint=Fingerprint({"seeds": seeds}))
        both.add(both.told_apart(TestFindings((model,)), process), process)
    assert both.unite() == {}
    assert list(both.models) == ["key", "key-gw1"]
