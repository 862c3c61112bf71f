from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.records import Fingerprint, Outcome, Scores, TrainingRun, Verdict
from pytest_medgan.report.privacy import scrub
from pytest_medgan.session.findings import JudgedVerdict, Model, ModelFindings
from pytest_medgan.session.model_records import ReportedModel, real_row_of, reported_models
from pytest_medgan.session.options import RunOptions

MakeModel = Callable[..., ModelFindings]
MakeScores = Callable[..., Scores]
MakeVerdict = Callable[..., Verdict]


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(tmp_path / "cache", tmp_path / "report")


def judged(verdict: Verdict, test: str = "test_a.py::test_fid") -> JudgedVerdict:
    return JudgedVerdict("key", verdict, test)


def test_looks_verdicts_and_real_row_are_handed_over(
    make_model: MakeModel, make_scores: MakeScores, make_verdict: MakeVerdict, options: RunOptions
) -> None:
    looks = {128: make_scores(128, fid=1.9), 64: make_scores(64, fid=2.0)}
    findings = make_model(looks=looks, evidence="evidence.npz")
    (model,) = reported_models([Model(findings, [judged(make_verdict())])], options)
    record = model.record
    assert [look.n_fake for look in record.looks] == [64, 128]
    assert record.full_count == 128
    assert [(c.metric, c.test) for c in record.comparisons] == [("fid", "test_a.py::test_fid")]
    assert (record.name, record.row, record.checkpoint) == ("toy", "TOY", "digest")
    assert record.real is not None
    assert record.real.entries["fid"].at[64].mean == 1.0
    assert record.window == (-1000.0, 400.0)
    assert (model.seed, model.evidence) == (0, Path("evidence.npz"))


def test_findings_of_one_model_are_joined(
    make_model: MakeModel, make_scores: MakeScores, make_verdict: MakeVerdict, options: RunOptions
) -> None:
    first = make_model(looks={64: make_scores(64, fid=2.0)}, evidence=None)
    second = make_model(looks={64: make_scores(64, kid=0.5), 128: make_scores(128, fid=1.9)}, evidence="b.npz")
    verdict = make_verdict()
    models = [Model(first, [judged(verdict)]), Model(second, [judged(verdict), judged(verdict, "test_b")])]
    (model,) = reported_models(models, options)
    assert [look.n_fake for look in model.record.looks] == [64, 128]
    assert set(model.record.looks[0].metrics) == {"fid", "kid"}
    assert [c.test for c in model.record.comparisons] == ["test_a.py::test_fid", "test_b"]
    assert model.evidence == Path("b.npz")


def test_one_name_under_other_settings_is_numbered(make_model: MakeModel, options: RunOptions) -> None:
    other = make_model(fingerprint=Fingerprint({"seeds": "1"}), evidence="other.npz")
    third = make_model(fingerprint=Fingerprint({"seeds": "2"}))
    models = [Model(found) for found in (make_model(), other, third, other)]
    reported = reported_models(models, options)
    assert [model.record.name for model in reported] == ["toy", "toy (2)", "toy (3)"]
    assert [model.evidence for model in reported] == [None, Path("other.npz"), None]


def found_fids(reported: tuple[ReportedModel, ...]) -> dict[str, float]:
    """The FID that the report shows under each name."""
    return {model.record.name: model.record.looks[0]["fid"].mean for model in reported}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("DCGAN (r1)", "DCGAN"), ("DCGAN (r1)", "DCGAN")),
        (("DCGAN", "DCGAN (r1)"), ("DCGAN", "DCGAN (r1)")),
        (("toy (2)", "toy"), ("toy (2)", "toy")),
        (("last", "last"), ("last", "last (2)")),
    ],
)
def test_models_of_other_checkpoints_or_names_are_never_joined(
    make_model: MakeModel,
    make_scores: MakeScores,
    options: RunOptions,
    names: tuple[str, str],
    shown: tuple[str, str],
) -> None:
    models = [
        Model(make_model(name=name, identity=identity, looks={64: make_scores(64, fid=fid)}))
        for name, identity, fid in zip(names, ("one", "other"), (2.0, 9.0), strict=True)
    ]
    assert found_fids(reported_models(models, options)) == dict(zip(shown, (2.0, 9.0), strict=True))


@pytest.mark.parametrize(
    ("fid", "shown"),
    [
        pytest.param(2.0, {"toy": 2.0}, id="equal"),
        pytest.param(2.0 + 1e-9, {"toy": 2.0 + 1e-9}, id="equal but for rounding"),
        pytest.param(float("nan"), {"toy": 2.0, "toy (2)": pytest.approx(float("nan"), nan_ok=True)}, id="nan"),
        pytest.param(9.0, {"toy": 2.0, "toy (2)": 9.0}, id="different"),
    ],
)
def test_models_without_a_checkpoint_are_joined_where_their_numbers_agree(
    make_model: MakeModel, make_scores: MakeScores, options: RunOptions, fid: float, shown: dict[str, float]
) -> None:
    models = [
        Model(make_model(identity=None, runs=(TrainingRun(),), looks={64: make_scores(64, fid=value)}))
        for value in (2.0, fid)
    ]
    assert found_fids(reported_models(models, options)) == shown


def test_training_runs_of_other_checkpoints_are_not_joined(make_model: MakeModel, options: RunOptions) -> None:
    """Several training runs have no digest in common, so those of the single runs are compared."""
    runs = [make_model(identity=None, runs=(TrainingRun("a"), TrainingRun(second))) for second in ("b", "c", "b")]
    assert [m.record.name for m in reported_models(map(Model, runs), options)] == ["toy", "toy (2)"]


def test_number_behind_a_name_is_not_a_name_that_the_user_chose(make_model: MakeModel, options: RunOptions) -> None:
    names = ["toy", "toy", "toy (2)", "toy (2)"]
    models = [Model(make_model(name=name, identity=str(place))) for place, name in enumerate(names)]
    reported = reported_models(models, options)
    assert [model.record.name for model in reported] == ["toy", "toy (3)", "toy (2)", "toy (2) (2)"]


def test_names_differ_after_paths_are_removed_from_them(make_model: MakeModel, options: RunOptions) -> None:
    """The run folder finds the evidence of a model by its name without paths."""
    names = ["/data/a/one.pt", "/data/b/two.pt"]
    reported = reported_models([Model(make_model(name=name, identity=name)) for name in names], options)
    assert [scrub(model.record.name) for model in reported] == ["[path]", "[path] (2)"]


def test_only_the_first_model_of_a_candidate_file_names_it(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file holds the values of the first model that was measured."""
    monkeypatch.chdir(tmp_path)
    options = RunOptions(Path("cache"), Path("report"))
    options.report_dir.mkdir()
    (options.report_dir / "candidate-last.yaml").write_text("", encoding="utf-8")
    found = [make_model(name="last", identity=identity, baseline="b.yaml") for identity in ("a", "b", "c")]
    reported = reported_models([Model(replace(found[0], looks={})), *map(Model, found[1:])], options)
    assert [bool(model.record.accept) for model in reported] == [False, True, False]


@pytest.mark.parametrize(
    ("baseline", "command"),
    [
        ("b.yaml", "medgan baseline accept report/candidate-toy.yaml --row toy"),
        ("{folder}/b.yaml", "medgan baseline accept report/candidate-toy.yaml --row toy --into b.yaml"),
        ("{folder}/../b.yaml", ""),
    ],
)
def test_accept_command_can_be_followed(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: str, command: str
) -> None:
    """A baseline outside the working directory cannot be named, since a report holds no such path."""
    monkeypatch.chdir(tmp_path)
    model = Model(make_model(baseline=baseline.format(folder=tmp_path)))
    options = RunOptions(Path("cache"), Path("report"))
    assert reported_models([model], options)[0].record.accept == "", "there is no candidate"
    options.report_dir.mkdir()
    (options.report_dir / "candidate-toy.yaml").write_text("", encoding="utf-8")
    assert reported_models([model], options)[0].record.accept == command


def test_accept_command_of_a_loss_overrides_drift(
    make_model: MakeModel, make_verdict: Callable[..., Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = RunOptions(Path("cache"), Path("report"))
    options.report_dir.mkdir()
    (options.report_dir / "candidate-toy.yaml").write_text("", encoding="utf-8")
    for outcome, end in ((Outcome.PASS, "--row TOY"), (Outcome.FAIL, "--row TOY --override drift")):
        model = Model(make_model(baseline="b.yaml"), [JudgedVerdict("key", make_verdict(outcome=outcome))])
        assert reported_models([model], options)[0].record.accept.endswith(end)


def test_candidate_outside_the_working_directory_has_no_command(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work", "report"):
        (tmp_path / name).mkdir()
    (tmp_path / "report" / "candidate-toy.yaml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "work")
    model = Model(make_model(baseline="b.yaml"))
    (found,) = reported_models([model], RunOptions(Path("cache"), tmp_path / "report"))
    assert found.record.accept == ""


def test_model_without_a_baseline_has_no_rows(make_model: MakeModel, options: RunOptions) -> None:
    record = reported_models([Model(replace(make_model(), real={}))], options)[0].record
    assert record.baseline is record.published is record.real is None
    assert record.history == ()


def test_real_row_holds_every_count(make_scores: MakeScores) -> None:
    row = real_row_of([make_scores(64, fid=2.0), make_scores(128, fid=1.5, kid=0.1)])
    assert row is not None
    assert {n: score.mean for n, score in row.entries["fid"].at.items()} == {64: 2.0, 128: 1.5}
    assert row.entries["kid"].at[128].se == 0.1
    assert row.entries["kid"].at[128].se_total == 0.2
    assert real_row_of([]) is None
