"""Replacing a row: it is compared with the row that it replaces, under that row's own conditions and in its metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import Request, accept
from pytest_medgan.gate.document import REAL
from pytest_medgan.records import Seal
from tests.gate.conftest import FINGERPRINT


def conditions(**inputs):
    """Return a fingerprint with other inputs."""
    return replace(FINGERPRINT, inputs={**FINGERPRINT.inputs, **inputs})


FIRST, SECOND = conditions(data="first"), conditions(data="second")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def take(*candidates, overrides=(), **more):
    return accept(Request(candidates, "wanted", overrides=frozenset(overrides), **more))


def document():
    text = Path("base.yaml").read_text()
    found = baseline.parse(text, "base.yaml")
    assert canonical.text(found) == text
    assert {row.seal for row in found.rows.values()} == {Seal.VALID}
    return found


def data_of(name):
    """Return the data set that a row was measured on."""
    return document().rows[name].fingerprint.inputs["data"]


@pytest.fixture
def two_data_sets(candidate):
    """A file with a row on each of two data sets; its fingerprint is the first one's."""
    take(candidate("z.yaml", row="Other", fingerprint=FIRST))
    take(candidate("a.yaml", fingerprint=SECOND), overrides=["fingerprint"])


@pytest.mark.parametrize("overrides", [(), ("fingerprint",)])
@pytest.mark.parametrize("fid", [21.0, 60.0, 200.0])
@pytest.mark.usefixtures("two_data_sets")
def test_a_loss_is_seen_under_the_conditions_of_the_row(candidate, fid, overrides):
    """An override of the fingerprint that nothing needs does not switch off the comparison with the row."""
    before = Path("base.yaml").read_text()
    with pytest.raises(BaselineError, match=r"fid ↓: 20\.000 -> .*--override drift"):
        take(candidate("b.yaml", fingerprint=SECOND, fid=fid), overrides=overrides)
    assert Path("base.yaml").read_text() == before


@pytest.mark.usefixtures("two_data_sets")
def test_a_row_measured_as_the_one_before_needs_no_override_and_moves_its_anchor(candidate):
    done = take(candidate("b.yaml", fingerprint=SECOND, fid=20.05))
    assert done.overridden == ()
    assert done.after.entries["fid"].anchor.rows == 2
    assert (data_of("Other"), data_of("model")) == ("first", "second")


@pytest.mark.usefixtures("two_data_sets")
def test_a_candidate_of_the_files_data_does_not_replace_a_row_of_other_data_unseen(candidate):
    path = candidate("b.yaml", fingerprint=FIRST, fid=21.0)
    with pytest.raises(BaselineError, match=r"data: first != second.*--override fingerprint"):
        take(path)
    done = take(path, overrides=["fingerprint"])
    assert done.overridden == ("fingerprint: data: first != second",)
    assert done.after.entries["fid"].anchor is None  # no mean of values of two data sets
    assert data_of("model") == "first"


@pytest.mark.usefixtures("two_data_sets")
def test_a_new_row_is_compared_with_the_file(candidate):
    with pytest.raises(BaselineError, match="data: second != first"):
        take(candidate("b.yaml", row="Third", fingerprint=SECOND))
    assert take(candidate("c.yaml", row="Third", fingerprint=FIRST)).overridden == ()


@pytest.mark.parametrize("real", [False, True])
def test_the_only_model_takes_the_files_conditions_along(candidate, real):
    """Else the file would speak of conditions under which it has no model, and each new row would need an override."""
    take(candidate("a.yaml", fingerprint=FIRST, real=real))
    done = take(candidate("b.yaml", fingerprint=SECOND, real=real, real_fid=5.0), overrides=["fingerprint"])
    assert done.overridden[0] == "fingerprint: data: second != first"
    assert document().fingerprint.inputs["data"] == "second"
    assert take(candidate("c.yaml", fingerprint=SECOND, fid=20.05)).overridden == ()
    assert take(candidate("d.yaml", row="Other", fingerprint=SECOND)).overridden == ()
    if real:
        assert "the Real row was measured under other conditions" in done.warnings[0]
        assert data_of(REAL) == "second"
        assert document().row("model", "base.yaml").real.entries["fid"].at[1024].mean == 5.0


def test_the_last_model_that_changes_its_conditions_takes_the_file_along(candidate):
    for name in ("A", "B"):
        take(candidate(f"{name}.yaml", row=name, fingerprint=FIRST))
    take(candidate("a2.yaml", row="A", fingerprint=SECOND), overrides=["fingerprint"])
    assert (document().fingerprint.inputs["data"], data_of(REAL)) == ("first", "first")
    take(candidate("b2.yaml", row="B", fingerprint=SECOND), overrides=["fingerprint"])
    assert (document().fingerprint.inputs["data"], data_of(REAL)) == ("second", "second")


def test_another_condition_of_the_model_changes_nothing_else_of_the_file(candidate):
    take(candidate("a.yaml", fingerprint=conditions(condition="class=1")))
    real = document().rows[REAL]
    path = candidate("b.yaml", fingerprint=conditions(condition="class=2"), real_fid=5.0)
    with pytest.raises(BaselineError, match="condition: class=2 != class=1"):
        take(path)
    take(path, overrides=["fingerprint"])
    assert "condition" not in document().fingerprint.inputs
    assert document().rows[REAL].seal_text == real.seal_text
    assert take(path, row=REAL).overridden == ()  # real images are drawn under no condition


def test_the_usual_latent_seeds_are_no_other_conditions_than_those_of_a_selected_row(candidate):
    """The gate compares them, too; the seeds of a selected row are never those of the file."""
    take(candidate("a.yaml"))
    take(candidate("best.yaml", fingerprint=conditions(seeds="7,8,9")), selected_from=5)
    assert document().fingerprint.inputs["seeds"] == "0,1,2"
    with pytest.raises(BaselineError, match="--override drift"):
        take(candidate("worse.yaml", fid=21.0))
    assert take(candidate("b.yaml", fid=20.05)).overridden == ()
    assert document().rows["model"].selected_from == 0


def test_a_selected_row_of_other_data_leaves_the_files_seeds(candidate):
    take(candidate("a.yaml", fingerprint=FIRST))
    fresh = conditions(data="second", seeds="7,8,9")
    take(candidate("best.yaml", fingerprint=fresh), selected_from=5, overrides=["fingerprint"])
    inputs = document().fingerprint.inputs
    assert (inputs["data"], inputs["seeds"]) == ("second", "0,1,2")
    assert document().rows["model"].fingerprint.inputs["seeds"] == "7,8,9"


def test_the_real_rows_values_of_other_data_are_not_taken(candidate):
    take(candidate("a.yaml", fingerprint=FIRST))
    done = take(candidate("b.yaml", fingerprint=SECOND, real=False), overrides=["fingerprint"])
    assert done.after.entries["fid"].real is None
    assert data_of(REAL) == "first"
    assert take(candidate("c.yaml", fingerprint=SECOND, real=False)).after.entries["fid"].real is None


def test_a_metric_of_the_row_is_not_lost_unseen(candidate):
    """A metric that is left out once is gone, so the loss after that would be seen by nobody."""
    take(candidate("a.yaml"))
    path = candidate("b.yaml", fid=None, checkpoint="another")
    with pytest.raises(BaselineError, match=r"fid.*--medgan-metrics.*--override drift") as caught:
        take(path)
    assert "improved_recall" not in str(caught.value)
    assert "worse" not in str(caught.value)
    with pytest.raises(BaselineError, match="--override drift"):
        take(path, overrides=["fingerprint"])
    done = take(path, overrides=["drift"])
    assert done.overridden == ("drift: fid: not measured any more",)
    assert document().rows["model"].provenance["override_1"] == done.overridden[0]
    assert document().rows["model"].entries["improved_recall"].anchor.rows == 2  # it was not lost


def test_a_metric_is_not_lost_with_other_conditions_either(candidate):
    take(candidate("a.yaml", fingerprint=FIRST))
    path = candidate("b.yaml", fid=None, fingerprint=SECOND)
    with pytest.raises(BaselineError, match=r"fid.*--override drift"):
        take(path, overrides=["fingerprint"])
    take(path, overrides=["fingerprint", "drift"])


def test_losses_and_metrics_that_are_left_out_are_said_together(candidate):
    take(candidate("a.yaml"))
    path = candidate("b.yaml", fid=21.0, recall=None)
    with pytest.raises(BaselineError, match=r"worse.*fid ↓: 20\.000 -> 21\.000.*improved_recall.*--override drift"):
        take(path)
    assert len(take(path, overrides=["drift"]).overridden) == 2


def test_the_real_row_may_have_fewer_metrics(candidate):
    take(candidate("a.yaml"))
    assert take(candidate("b.yaml", fid=None, real=False), row=REAL).overridden == ()


@pytest.mark.parametrize("installed", [False, True])
def test_a_baseline_of_the_package_is_changed_only_by_its_name(candidate, tmp_path, monkeypatch, installed):
    folder = tmp_path / "site-packages" / "pytest_medgan" / "baselines"
    folder.mkdir(parents=True)
    monkeypatch.setattr(baseline, "_shipped", lambda: [folder])
    monkeypatch.setattr(baseline, "INSTALLED", folder if installed else tmp_path / "none")
    take(candidate("first.yaml"))
    shipped = folder / "phantom.yaml"
    shipped.write_text(Path("base.yaml").read_text())
    path = candidate("a.yaml", baseline="phantom")
    with pytest.raises(BaselineError, match=r"phantom.*package.*--into FILE"):
        take(path)
    assert take(path, into=Path("own.yaml")).created
    if installed:
        with pytest.raises(BaselineError, match="--into FILE"):
            take(path, into=shipped)
    else:
        take(path, into=shipped)
    assert ("a.yaml" in shipped.read_text()) is not installed
