"""Several candidates as one row: which belong together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.document import Document
from pytest_medgan.gate.rows import chosen_row, combined
from pytest_medgan.records import TrainingRun


def runs(row, *values, recipe=None):
    return [row(fid=value, runs=(f"run {i}",)) for i, value in enumerate(values)]


def test_runs_become_one_row_with_their_mean(row):
    found = combined(runs(row, 20.0, 21.0, 25.0))
    assert [run.checkpoint for run in found.runs] == ["run 0", "run 1", "run 2"]
    assert found.fid.values[1024].mean == 22.0
    assert [run.mean for run in found.fid.values[128].runs] == [20.0, 21.0, 25.0]


def test_a_candidate_of_several_runs_joins_others(row):
    several = row(fid=(20.0, 21.0), runs=("a", "b"))
    found = combined([several, row(fid=25.0, runs=("c",))])
    assert [run.mean for run in found.fid.values[1024].runs] == [20.0, 21.0, 25.0]
    assert [run.checkpoint for run in found.runs] == ["a", "b", "c"]


def test_one_candidate_stays_as_it_is(row):
    base = row(fid=20.0)
    assert combined([base]) is base


def test_the_same_checkpoint_twice_is_refused(row):
    with pytest.raises(BaselineError, match="same checkpoint"):
        combined([row(fid=20.0, runs=("a",)), row(fid=20.0, runs=("a",))])


def test_mixed_recipes_are_refused_and_unknown_ones_are_not(row):
    first, second = runs(row, 20.0, 21.0)
    known = [
        replace(one, runs=(TrainingRun(one.runs[0].checkpoint, recipe),))
        for one, recipe in ((first, "A"), (second, "B"))
    ]
    with pytest.raises(BaselineError, match="2 recipes"):
        combined(known)
    assert len(combined([known[0], second]).runs) == 2


def test_one_candidate_of_several_runs_holds_one_recipe(row):
    """Runs that were measured together are asked the same as runs that were measured one by one."""
    several = row(fid=(20.0, 21.0, 25.0))

    def trained(*recipes):
        return replace(several, runs=tuple(TrainingRun(f"run {i}", one) for i, one in enumerate(recipes)))

    with pytest.raises(BaselineError, match=r"3 recipes \(one, three, two\)"):
        combined([trained("one", "two", "three")])
    assert combined([trained("one", None, "one")]).runs[1].recipe is None


def test_other_conditions_counts_metrics_and_revisions_are_refused(row):
    first, second = runs(row, 20.0, 21.0)
    inputs = {**second.fingerprint.inputs, "crop": "tumour"}
    with pytest.raises(BaselineError, match="crop: tumour != image"):
        combined([first, replace(second, fingerprint=replace(second.fingerprint, inputs=inputs))])
    with pytest.raises(BaselineError, match="other metrics"):
        combined([first, row(kid=0.1, runs=("x",))])
    revised = replace(second, entries={"fid": replace(second.entries["fid"], revision="2")})
    with pytest.raises(BaselineError, match="other revisions"):
        combined([first, revised])
    at = {n: score for n, score in second.entries["fid"].at.items() if n > 128}
    with pytest.raises(BaselineError, match="other metrics"):
        combined([first, replace(second, entries={"fid": replace(second.entries["fid"], at=at)})])


def test_which_row_is_meant_must_be_clear(row):
    one = Document("x", rows={"model": row(fid=1.0), "Real": row(fid=1.0)})
    assert chosen_row(one, None)[0] == "model"
    assert chosen_row(one, "PGGAN")[0] == "PGGAN"
    assert chosen_row(one, "Real")[0] == "Real"
    two = Document("x", rows={"a": row(fid=1.0), "b": row(fid=1.0)})
    with pytest.raises(BaselineError, match="a, b"):
        chosen_row(two, None)
    assert chosen_row(two, "b")[0] == "b"
    with pytest.raises(BaselineError, match="--row"):
        chosen_row(two, "c")


def test_one_measurement_of_a_nameless_model_is_not_two_runs(row):
    """A file that was given twice used to become two training runs without any spread."""
    nameless = [replace(row(fid=value, kid=0.0), runs=(TrainingRun(),)) for value in (20.0, 20.0, 21.0)]
    with pytest.raises(BaselineError, match="hold the same values"):
        combined(nameless[:2])
    assert len(combined(nameless[1:]).runs) == 2
    with pytest.raises(BaselineError, match="hold the same values"):
        combined([replace(row(fid=(20.0, 21.0, 20.0)), runs=(TrainingRun(),) * 3)])


def test_nameless_models_may_have_equal_shares(row):
    rows = [replace(row(copy_rate=0.0, se=0.0), runs=(TrainingRun(),)) for _ in range(2)]
    same = replace(rows[0].copy_rate.values[128], values=(0.0, 0.0, 0.0))
    rows = [replace(one, entries={"copy_rate": replace(one.entries["copy_rate"], at={128: same})}) for one in rows]
    assert len(combined(rows).runs) == 2


@pytest.mark.parametrize(("value", "is_refused"), [(20.0, True), (float("nan"), False)])
def test_values_that_are_not_known_hide_no_repetition_and_prove_none(row, value, is_refused):
    """NaN, which equals nothing, used to hide that all other values are the same."""
    nameless = [replace(row(fid=value, kid=float("nan")), runs=(TrainingRun(),)) for _ in range(2)]
    if is_refused:
        with pytest.raises(BaselineError, match="hold the same values"):
            combined(nameless)
    else:
        assert len(combined(nameless).runs) == 2
