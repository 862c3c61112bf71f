from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import OutputError, SettingsError
from pytest_medgan.records import (
    Anchor,
    Count,
    Entry,
    Evidence,
    Fingerprint,
    Margin,
    Outcome,
    Row,
    Score,
    Scores,
    TrainingRun,
    Verdict,
)
from pytest_medgan.report import (
    Comparison,
    HistoryPoint,
    ModelRecord,
    ReportRun,
    discard_run,
    folder,
    read_run,
    write_run,
)
from pytest_medgan.report.evidence_file import bundle_bytes
from pytest_medgan.report.folder import from_dict, to_dict

GOLDEN = Path(__file__).parent / "golden"
MakeRun = Callable[..., ReportRun]


def test_written_run_is_read_back(tmp_path: Path, make_run: MakeRun, evidence: Evidence) -> None:
    run = make_run(improved_recall=9.0)
    write_run(tmp_path / "run", run, {"PGGAN": evidence})
    saved = read_run(tmp_path / "run")
    assert saved.run == run
    again = saved.evidence["PGGAN"]
    assert (again.window, again.ties) == (evidence.window, evidence.ties)
    np.testing.assert_array_equal(again.realism, evidence.realism)
    assert set(again.sweep) == set(evidence.sweep)


def test_run_without_evidence_is_read_back(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run())
    assert read_run(tmp_path).evidence == {}


def test_equal_runs_give_equal_bytes(tmp_path: Path, make_run: MakeRun, evidence: Evidence) -> None:
    for name in "ab":
        write_run(tmp_path / name, make_run(), {"PGGAN": evidence})
    files = [sorted((tmp_path / name).iterdir()) for name in "ab"]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_scores_file_is_strict_json(tmp_path: Path, make_model: Callable[..., ModelRecord]) -> None:
    model = make_model()
    look = model.looks[0]
    odd = replace(look.metrics["fid"], mean=math.nan, sd=math.inf)
    write_run(tmp_path, ReportRun((replace(model, looks=(replace(look, metrics={"fid": odd}),)),)))

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"), parse_constant=refuse)
    score = read_run(tmp_path).run.models[0].looks[0].metrics["fid"]
    assert math.isnan(score.mean)
    assert score.sd == math.inf


def small_run() -> ReportRun:
    """Return a run with every kind of record and few numbers."""
    score = Score(7.0, 0.5, 0.7, 0.6, 2, (6.5, 7.5))
    anchor = Anchor("2026-01-01", 2, {60: Score(5.9, 0.3)})
    entry = Entry({60: Score(6.0, 0.4, 0.5, 0.6, 2)}, Margin(), anchor, "1", 2.0, 4)
    row = Row(
        "A",
        {"fid": entry},
        "b.yaml:3",
        runs=(TrainingRun("9f2c", "5d", {"commit": "0000000", "dirty": False}),),
        counts={60: Count(520, 2)},
        provenance={"accepted": "2026-01-01"},
    )
    verdict = Verdict(
        METRICS["fid"], Outcome.PASS, "b.yaml:4", row="A", measured=score, n_fake=60, limit=6.0, margin=1.5, looks=(60,)
    )
    look = Scores(520, 60, ("0", "1"), {"fid": score}, {"kid": "not asked for"})
    model = ModelRecord(
        name="model",
        row="A",
        looks=(look,),
        full_count=60,
        comparisons=(Comparison(verdict, "test_gate.py::test_fid"),),
        real=row,
        baseline=row,
        published=row,
        published_sweep={"density": {3: (0.5,)}},
        history=(HistoryPoint("2026-01-01", {"fid": Score(6.0)}, "first"),),
        fingerprint=Fingerprint({"seeds": "0,1"}, (0.5,), environment={"torch": "2"}),
        window=(-1000.0, 400.0),
        checkpoint="9f2c",
        accept="medgan baseline accept candidate.yaml",
    )
    return ReportRun((model,), {"data": "phantom"}, ("a warning",), ("a problem",), True, "2026-01-01T00:00:00Z")


def test_file_of_this_schema_version_is_read() -> None:
    """Files of users have the keys of the stored example: a field may be added with a default, not renamed or removed.

    Any other change needs a new SCHEMA_VERSION.
    """
    data = json.loads((GOLDEN / "scores.json").read_text(encoding="utf-8"))
    run = from_dict(data)
    assert run.models[0].looks[0].metrics["fid"].values == (6.5, 7.5)
    assert run == small_run()


def test_written_file_has_every_key_of_the_stored_example() -> None:
    """Readers of scores.json outside this package rely on its keys and types."""
    golden = json.loads((GOLDEN / "scores.json").read_text(encoding="utf-8"))

    def missing(old: object, new: object, where: str) -> list[str]:
        """Return the places at which the new data lack something or have another type."""
        if type(old) is not type(new):
            return [where]
        if isinstance(old, dict) and isinstance(new, dict):
            lost = [f"{where}.{key}" for key in old if key not in new]
            return lost + [p for key in old if key in new for p in missing(old[key], new[key], f"{where}.{key}")]
        if isinstance(old, list) and isinstance(new, list):
            return [p for i, (a, b) in enumerate(zip(old, new, strict=True)) for p in missing(a, b, f"{where}[{i}]")]
        return []

    assert missing(golden, json.loads(json.dumps(to_dict(small_run()))), "run") == []


def pictures() -> Evidence:
    images, index = np.zeros((2, 4, 4), np.uint8), np.arange(2)
    return Evidence(
        thumbnails_fake=images,
        thumbnail_fake_index=index,
        thumbnails_real=images,
        thumbnail_real_index=index,
        thumbnails_train=images,
        thumbnail_train_index=index,
    )


@pytest.mark.parametrize("include_real", [False, True])
def test_real_images_are_kept_only_when_asked_for(tmp_path: Path, make_run: MakeRun, include_real: bool) -> None:
    write_run(tmp_path, make_run(), {"PGGAN": pictures()}, include_real=include_real)
    kept = read_run(tmp_path).evidence["PGGAN"]
    assert (kept.thumbnails_real is not None) is include_real
    assert (kept.thumbnails_train is not None) is include_real
    assert kept.thumbnails_fake is not None


def test_second_run_replaces_the_first_and_its_reports(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run(), {"PGGAN": Evidence(ties=1)})
    for name in ("report.html", "report.md", "candidate-PGGAN.yaml", "notes.txt"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    write_run(tmp_path, make_run(fid=9.0), {"PGGAN": Evidence(ties=2)})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:1] == ["candidate-PGGAN.yaml"]
    assert re.fullmatch(r"evidence-[0-9a-f]{16}\.npz", names[1])
    assert names[2:] == ["notes.txt", "scores.json"]
    assert read_run(tmp_path).evidence["PGGAN"].ties == 2


@pytest.mark.parametrize("writes", [0, 1])
def test_interrupted_write_leaves_the_old_run_whole(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The process dies before it writes the evidence, or after that and before it writes the scores."""
    write_run(tmp_path, make_run(), {"PGGAN": Evidence(ties=1)})
    done = 0

    def dies(path: Path, content: object) -> None:
        nonlocal done
        if done == writes:
            raise KeyboardInterrupt
        done += 1
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())

    monkeypatch.setattr(folder, "write_bytes", dies)
    monkeypatch.setattr(folder, "write_text", dies)
    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path, make_run(fid=9.0), {"PGGAN": Evidence(ties=2)})
    saved = read_run(tmp_path)
    assert saved.run == make_run()
    assert saved.evidence["PGGAN"].ties == 1


def test_discarded_run_leaves_other_files(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run(), {"PGGAN": Evidence(ties=1)})
    for name in ("report.html", "report.md", "notes.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    discard_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    discard_run(tmp_path / "nowhere")


def test_file_that_cannot_be_removed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError) as caught:
        discard_run(tmp_path)
    assert caught.value.file == "report.html"


def test_damaged_evidence_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run(), {"PGGAN": Evidence(ties=1)})
    next(tmp_path.glob("evidence-*.npz")).write_bytes(b"PK")
    with pytest.raises(SettingsError, match="evidence of the run is damaged"):
        read_run(tmp_path)


def test_evidence_of_another_run_under_its_name_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run(), {"PGGAN": Evidence(ties=1)})
    next(tmp_path.glob("evidence-*.npz")).write_bytes(bundle_bytes({0: Evidence(ties=2)}))
    with pytest.raises(SettingsError, match="evidence of the run is damaged"):
        read_run(tmp_path)


def test_evidence_is_read_from_the_folder_alone(tmp_path: Path, make_run: MakeRun) -> None:
    """A scores.json from elsewhere cannot name a file outside its folder."""
    write_run(tmp_path / "other", make_run(), {"PGGAN": Evidence(ties=1)})
    write_run(tmp_path / "run", make_run())
    name = next((tmp_path / "other").glob("*.npz"))
    scores = tmp_path / "run" / "scores.json"
    data = json.loads(scores.read_text(encoding="utf-8"))
    scores.write_text(json.dumps({**data, "evidence": f"../other/{name.name}"}), encoding="utf-8")
    with pytest.raises(SettingsError, match="evidence of the run cannot be read"):
        read_run(tmp_path / "run")


def leaky(run: ReportRun) -> ReportRun:
    return replace(
        run,
        warnings=("1 file skipped under /data/LUNG1-001/ct", "no (0010,0020)"),
        facts={"baseline": "/home/u/p/baselines/phantom.yaml"},
    )


def test_written_run_has_no_path_and_no_patient(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, leaky(make_run()))
    text = (tmp_path / "scores.json").read_text(encoding="utf-8")
    for secret in ("LUNG1", "/home", "(0010"):
        assert secret not in text
    assert '"phantom.yaml"' in text


def test_run_from_elsewhere_is_filtered_when_read(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run())
    file = tmp_path / "scores.json"
    text = file.read_text(encoding="utf-8").replace("random Inception", "/mnt/scans/LUNG1-001")
    file.write_text(text, encoding="utf-8")
    assert "LUNG1" not in read_run(tmp_path).run.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not JSON"),
        ("[1]", "not the record of a run"),
        ("{}", "not the record of a run"),
        ('{"schema": "medgan-run", "schema_version": 99}', "schema version 99 and this version reads 2"),
        ('{"schema": "medgan-run", "schema_version": 2}', "run.models is absent"),
        (
            '{"schema": "medgan-run", "schema_version": 2, "models": 3}',
            "run.models must be a list and is a whole number",
        ),
        (
            '{"schema": "medgan-run", "schema_version": 2, "models": [], "report_only": "no"}',
            "must be true or false and is text",
        ),
        ('{"schema": "medgan-run", "schema_version": 2, "models": [{"name": null}]}', "must be text and is nothing"),
    ],
)
def test_folder_without_a_readable_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message) as caught:
        read_run(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_error_of_a_folder_without_scores_has_no_path_in_its_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no scores\.json") as caught:
        read_run(tmp_path)
    assert caught.value.file == str(tmp_path)


def test_unknown_keys_are_ignored(make_run: MakeRun) -> None:
    assert from_dict({**to_dict(make_run()), "added_later": 1}) == make_run()
