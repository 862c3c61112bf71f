"""medgan evaluate: two feature spaces side by side, and the work shared by the processes of torchrun."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pytest_medgan.cli import main
from pytest_medgan.embedding.kinds import TRIED
from tests.toy_images import write_real_images

SPACES = '''
"""Two toy models and three toy feature spaces."""
import os

import numpy as np

def draw(count, seed, grey, noise):
    rng = np.random.default_rng([seed, 5])
    rows, columns = np.mgrid[:32, :32]
    centre = 16 + 12 * (rng.random((count, 2)) - 0.5)
    away = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    images = 60 + grey + 100 * np.exp(-away / 40) + rng.normal(0, noise, (count, 32, 32))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]

def real(count, seed):
    return draw(count, seed, 0, 2)

def brighter(count, seed):
    return draw(count, seed, 40, 2)

def noisier(count, seed):
    return draw(count, seed, 0, 25)

def unsteady(count, seed):
    return draw(count, os.getpid(), 0, 2)

class Means:
    """Sees brightness, and no noise."""
    identity, numeric_class, batch = "means", "float32", 8
    def embed(self, pixels, progress=lambda *a: None):
        if log := os.environ.get("TOY_LOG"):
            with open(log, "a") as file:
                file.write("".join(f"{os.getpid()} {hash(image.tobytes())}\\n" for image in pixels))
        n, side = len(pixels), pixels.shape[-1] // 4
        return pixels.reshape(n, 4, side, 4, side).mean((2, 4)).reshape(n, 16).astype(np.float32), None

class Edges:
    """Sees noise, and no brightness."""
    identity, numeric_class = "edges", "float32"
    def embed(self, pixels, progress=lambda *a: None):
        n, side = len(pixels), pixels.shape[-1] // 4
        steps = np.abs(np.diff(pixels.astype(np.float32), axis=3, append=pixels[..., -1:]))
        return steps.reshape(n, 4, side, 4, side).mean((2, 4)).reshape(n, 16).astype(np.float32), None

class Broken(Means):
    """Fails in the second process alone, after its trial."""
    identity = "broken"
    def embed(self, pixels, progress=lambda *a: None):
        if os.environ.get("RANK") == "1" and len(pixels) > 4:
            raise RuntimeError("the second one fails")
        return super().embed(pixels, progress)
'''
ARGUMENTS = [
    *("evaluate", "--data", "images.npz,size=32,crop_size=32", "--samples", "64", "--seeds", "0", "--metrics", "fid"),
    *("--model", "bright=toy_spaces:brighter", "--model", "noise=toy_spaces:noisier"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_spaces", raising=False)
    (tmp_path / "toy_spaces.py").write_text(SPACES)
    write_real_images(tmp_path / "images.npz", SPACES, "real", each=16)
    return tmp_path


def test_spaces_that_rank_differently_are_flagged(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = project / "table.json"
    arguments = [*ARGUMENTS, "--extractor", "toy_spaces:Means", "--beside", "toy_spaces:Edges", "--out", str(out)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "features: means" in shown
    assert "features: edges" in shown
    assert "RANKING DIFFERS in FID, the first feature space prefers noise, the second bright\n" in shown
    stored = json.loads(out.read_text())
    flagged = {"metric": "fid", "better_under_first": "noise", "better_under_second": "bright", "clear": True}
    assert flagged in stored["disagreements"]
    means, edges = (table["rows"] for table in (stored, stored["beside"]))
    assert means["noise"]["metrics"]["fid"]["mean"] < means["bright"]["metrics"]["fid"]["mean"]
    assert edges["noise"]["metrics"]["fid"]["mean"] > edges["bright"]["metrics"]["fid"]["mean"]


def test_equal_second_space_ranks_alike_and_embeds_nothing_more(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGUMENTS, "--extractor", "toy_spaces:Means", "--beside", "toy_spaces:Means"]) == 0
    assert "The two feature spaces rank all rows alike." in capsys.readouterr().out
    assert main([*ARGUMENTS, "--extractor", "toy_spaces:Means"]) == 0
    shown = capsys.readouterr().out
    assert "RANKING" not in shown
    assert "features: 0 images embedded" in shown


def test_unknown_second_space_is_an_error_before_the_first_embeds(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = project / "log"
    monkeypatch.setenv("TOY_LOG", str(log))
    assert main([*ARGUMENTS, "--extractor", "toy_spaces:Means", "--beside", "toy_spaces:Edgse"]) == 2
    assert "Edgse" in capsys.readouterr().err
    embedded = {line.split()[1] for line in log.read_text().splitlines()}
    assert len(embedded) == TRIED  # in the first space's trial


def together(project: Path, size: int, *arguments: str) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each of `size` processes, as torchrun would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    environment |= {"OMP_NUM_THREADS": "1", "TOY_LOG": str(project / f"log-{size}"), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "pytest_medgan", *ARGUMENTS, "--cache-dir", f"cache-{size}", *arguments]
    workers = [
        subprocess.Popen(
            command,
            cwd=project,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        outputs = [worker.communicate(timeout=300) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(worker.returncode, *output) for worker, output in zip(workers, outputs, strict=True)]


@pytest.mark.slow
def test_two_processes_share_the_work_and_print_one_table(project: Path) -> None:
    ((status, alone, errors),) = together(project, 1, "--extractor", "toy_spaces:Means")
    assert status == 0, errors
    both = together(project, 2, "--extractor", "toy_spaces:Means")
    assert [status for status, _, _ in both] == [0, 0], both
    tables = [
        output.splitlines()[:-1] for output in (alone, both[0][1])
    ]  # the last line counts the images of this process
    assert tables[0] == tables[1]
    assert both[1][1] == ""
    done = [line.split() for line in (project / "log-2").read_text().splitlines()]
    times = sorted(Counter(image for _, image in done).values())
    # Each process tries the space with the same few images, and embeds the canned ones to check itself.
    assert max(times[:-TRIED]) <= 2
    assert times[: -8 - TRIED] == [1] * (len(times) - 8 - TRIED)  # no other image is embedded twice
    shares = Counter(process for process, _ in done)
    assert len(shares) == 2
    assert {image for _, image in done} == {line.split()[1] for line in (project / "log-1").read_text().splitlines()}


@pytest.mark.slow
def test_failure_in_one_process_ends_all_processes(project: Path) -> None:
    both = together(project, 2, "--extractor", "toy_spaces:Broken")
    assert all(status != 0 for status, _, _ in both)
    assert "process 1 of 2: RuntimeError('the second one fails')" in both[0][2]
    unsteady = together(project, 2, "--extractor", "toy_spaces:Means", "--model", "unsteady=toy_spaces:unsteady")
    assert [status for status, _, _ in unsteady] == [2, 2], unsteady
    assert "The processes have different images." in unsteady[0][2]


def test_figures_and_reports_are_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*ARGUMENTS[:-6], "--metrics", "fid,improved_precision,improved_recall", *ARGUMENTS[-4:]]
    arguments += ["--extractor", "toy_spaces:Means", "--figures", "figures", "--report", "html,json"]
    assert main(arguments) == 0
    names = {path.name for path in (project / "figures").iterdir()}
    models = ("bright", "noise")
    assert names == {*(f"figure{n}-{model}.png" for n in (3, 4) for model in models), "figure5.png"}
    shown = capsys.readouterr().out
    assert "figure: figures/figure5.png" in shown
    assert "report: medgan-report/report.html" in shown
    assert "bright" in (project / "medgan-report" / "report.html").read_text()
    assert main([*arguments, "--report-real"]) == 0
    assert (project / "figures" / "figure3-Real.png").exists()


def test_unknown_report_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--extractor", "toy_spaces:Means", "--report", "pdf"]) == 2
    assert "--report takes html, md, json, not 'pdf'." in capsys.readouterr().err
