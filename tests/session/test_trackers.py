"""What experiment trackers receive of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Outcome, Score, Scores, Verdict
from pytest_medgan.session.findings import JudgedVerdict, Model, ModelFindings
from pytest_medgan.session.trackers import LoggedModel, load_loggers, logged_model

MakeModel = Callable[..., ModelFindings]
MakeVerdict = Callable[..., Verdict]


def judged(*verdicts: Verdict) -> list[JudgedVerdict]:
    return [JudgedVerdict("key", verdict) for verdict in verdicts]


def test_values_are_those_of_the_largest_look(make_model: MakeModel, make_scores: Callable[..., Scores]) -> None:
    looks = {64: make_scores(64, fid=2.0), 128: make_scores(128, fid=1.5, recall=0.25)}
    model = Model(make_model(looks=looks, real={128: make_scores(128, fid=0.5)}))
    assert logged_model(model).values == {
        "fid": 1.5, "fid.se": 0.1, "fid.real": 0.5, "recall": 0.25, "recall.se": 0.1
    }  # fmt: skip
    assert logged_model(model).parameters["images_per_group"] == "128"


def test_value_that_is_not_finite_is_left_out(make_model: MakeModel) -> None:
    scores = Scores(240, 64, ("0",), {"fid": Score(2.0, nan, nan, nan, 1, (2.0,))})
    assert logged_model(Model(make_model(looks={64: scores}, real={}))).values == {"fid": 2.0}


def test_the_worst_verdict_is_the_whole(make_model: MakeModel, make_verdict: MakeVerdict) -> None:
    """A metric that a failed one left open, and stands before it, used to be the outcome."""
    open_, failed = make_verdict("fid", Outcome.UNDECIDED), make_verdict("recall", Outcome.FAIL)
    verdicts = judged(open_, failed, replace(failed, outcome=Outcome.UNDECIDED))
    tags = logged_model(Model(make_model(), verdicts)).tags
    assert (tags["verdict"], tags["fid.verdict"], tags["recall.verdict"]) == ("FAIL", "UNDECIDED", "FAIL")
    stale = judged(make_verdict(outcome=Outcome.STALE))
    assert logged_model(Model(make_model(), stale)).tags["verdict"] == "PASS"


def test_verdicts_are_tags_and_the_one_that_is_not_green_is_the_whole(
    make_model: MakeModel, make_verdict: MakeVerdict
) -> None:
    verdicts = judged(make_verdict(), make_verdict("recall", Outcome.FAIL), make_verdict("recall", Outcome.PASS))
    logged = logged_model(Model(make_model(), verdicts))
    assert logged.tags == {
        "verdict": "FAIL", "model": "digest", "fid.verdict": "PASS", "recall.verdict": "FAIL"
    }  # fmt: skip
    assert logged.values["fid.limit"] == 2.25
    assert logged_model(Model(make_model(), judged(make_verdict()))).tags["verdict"] == "PASS"
    assert logged_model(Model(make_model())).tags["verdict"] == "none"


def test_name_that_no_package_offers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"'nothing' is no tracker\. Choose mlflow, wandb"):
        load_loggers(["nothing"])


def test_tracker_whose_package_is_missing_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "pytest_medgan.session.mlflow_logger", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'pytest-medgan\[mlflow\]'"):
        load_loggers(["mlflow"])


@pytest.fixture
def logged(tmp_path: Path) -> LoggedModel:
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")
    return LoggedModel("toy", {"seeds": "0,1"}, {"fid": 1.5}, {"verdict": "FAIL"}, (report,))


@pytest.mark.filterwarnings("default")
def test_mlflow_keeps_values_verdict_and_report(
    logged: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a server keeps runs in a database
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    (logger,) = load_loggers(["mlflow"])
    with mlflow.start_run() as outer:
        logger(logged)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs(["0"], "tags.`medgan.verdict` = 'FAIL'")
    assert run.info.run_name == "toy"
    assert run.data.metrics == {"fid": 1.5}
    assert run.data.params == {"seeds": "0,1"}
    assert run.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]


@pytest.mark.filterwarnings("default")
def test_wandb_keeps_values_verdict_and_report(
    logged: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest", "--medgan-data=/clinic"])
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true", "PROJECT": "gate"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    (logger,) = load_loggers(["wandb"])
    logger(logged)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (stored,) = folder.glob("*.wandb")
    wanted = (b"toy", b"fid", b"FAIL", b"report.html")
    for _ in range(300):  # its own process writes the file
        if all(text in stored.read_bytes() for text in wanted):
            break
        time.sleep(0.1)
    assert [text for text in wanted if text not in stored.read_bytes()] == []
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"--medgan-data=/clinic" not in everything
