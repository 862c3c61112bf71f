"""Names of candidates and the command that accepts them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_medgan.gate.baseline import parse
from pytest_medgan.session.candidates import accept_command, candidate_path, portable_name, write_model_candidate
from pytest_medgan.session.findings import ModelFindings


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("toy", "candidate-toy.yaml"),
        ("my model/2", "candidate-my-model-2.yaml"),
        ("..", "candidate-model.yaml"),
        ("größe", "candidate-gr-e.yaml"),
    ],
)
def test_candidate_path_is_safe(model: str, name: str) -> None:
    assert candidate_path(Path("r"), model) == Path("r") / name


def test_accept_command_quotes_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = "medgan baseline accept 'my report/candidate-toy.yaml'"
    assert accept_command(tmp_path / "my report", "toy", "base.yaml") == command
    # the package's own is not written
    assert accept_command(tmp_path / "my report", "toy", "phantom") == f"{command} --into medgan-baseline.yaml"


@pytest.mark.parametrize(
    ("baseline", "kept"),
    [(None, ""), ("b.yaml", "b.yaml"), ("/x/b.yaml", ""), ("../b.yaml", ""), ("phantom", "phantom")],
)
def test_portable_name_drops_paths_of_this_machine(baseline: str | None, kept: str) -> None:
    assert portable_name(baseline) == kept


@pytest.mark.parametrize(("counts", "complete"), [((64,), True), ((64, 128), False)])
def test_candidate_is_complete_only_with_every_look(
    tmp_path: Path, make_model: Callable[..., ModelFindings], counts: tuple[int, ...], complete: bool
) -> None:
    path = write_model_candidate(make_model(counts=counts), "TOY", tmp_path)
    document = parse(path.read_text(), path.name)
    assert document.complete is complete
    assert sorted(document.rows) == ["Real", "TOY"]
    assert [run.checkpoint for run in document.rows["TOY"].runs] == ["digest"]


@pytest.mark.parametrize("baseline", ["base.yaml", "base-beside.yaml"])
def test_baseline_files_of_both_feature_spaces_may_be_uncommitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., ModelFindings], baseline: str
) -> None:
    """Accepting into both used to make the tree dirty for the model that is accepted next."""
    monkeypatch.chdir(tmp_path)
    for name in ("base.yaml", "base-beside.yaml", "toy.py"):
        (tmp_path / name).write_text("old")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)

    def is_dirty() -> bool:
        path = write_model_candidate(make_model(baseline=baseline), "TOY", tmp_path / "report")
        return parse(path.read_text(), path.name).rows["TOY"].runs[0].facts["dirty"] is True

    for name in ("base.yaml", "base-beside.yaml"):
        (tmp_path / name).write_text("new")
    assert not is_dirty()
    (tmp_path / "toy.py").write_text("new")
    assert is_dirty()
