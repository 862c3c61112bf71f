"""medgan train --resume: which options a resumed run takes, and which folders hold a run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.cli import main
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.loop import RunSettings

SMALL = ["--size=16", "--latent=8", "--generator-width=4", "--discriminator-width=4", "--batch=8", "--threads=1"]
BEGINS = "holds no checkpoint, so the run begins at step 0"
WITH_EVERY_LOSS_LINE = """
import sys
from pytest_medgan.cli import main, train
train.LOG_INTERVAL = 0.0  # every row of losses is printed
sys.exit(main(sys.argv[1:]))
"""
KILLED_UNDER_TORCHRUN = """
import os, signal, sys
from pathlib import Path
from pytest_medgan.cli import main, resuming
from pytest_medgan.gan.loop import Loop
write, advance = resuming.write_text, Loop.advance
def write_and_note(path, text):
    Path(sys.argv[1], "written-by-" + os.environ["RANK"]).touch()
    write(path, text)
def advance_once(loop):
    if loop.step == 1:
        Path(sys.argv[1], "stepped-" + os.environ["RANK"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(loop)
resuming.write_text, Loop.advance = write_and_note, advance_once
main(sys.argv[2:])
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", pixels=pixels, patient=np.repeat(["A", "B"], 10), window=[-1000.0, 400.0])
    return tmp_path / "set.npz"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, RunSettings]]:
    """Return device and storage of every run that begins; each is interrupted before its first step."""
    begun: list[tuple[str, RunSettings]] = []

    def train(
        config: Any, settings: Any, images: Any, directory: Path, *, run: RunSettings, device: str, **others: Any
    ) -> None:
        assert run.on_begin is not None
        run.on_begin(directory, settings.seed)
        begun.append((device, run))
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_medgan.gan.training.train", train)
    return begun


def kill_before_first_checkpoint(command: list[str]) -> None:
    """Begin a run in a process of its own, and kill it with SIGKILL after step 50."""
    with subprocess.Popen(
        [sys.executable, "-c", WITH_EVERY_LOSS_LINE, *command], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "medgan: step 50:" in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "".join(said)


def test_run_killed_before_its_first_checkpoint_begins_again_with_its_options(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--grid-every=0"]
    assert main([*command, "--steps=3", "--out", str(tmp_path / "whole")]) == 0
    kill_before_first_checkpoint([*command, "--steps=100000", "--out", str(tmp_path / "killed")])
    assert not list((tmp_path / "killed").glob("*.safetensors"))
    capsys.readouterr()
    assert main(["train", "dcgan", "--out", str(tmp_path / "killed"), "--resume", "--steps=3"]) == 0
    assert [line for line in capsys.readouterr().err.splitlines() if BEGINS in line] == [
        f"medgan: the folder killed {BEGINS} with the options in its options.json"
    ]
    whole, killed = (load(tmp_path / name / "generator.safetensors") for name in ("whole", "killed"))
    assert killed.identity() == whole.identity()
    assert (killed.step, killed.training_recipe) == (3, whole.training_recipe)
    assert main(["train", "dcgan", "--out", str(tmp_path / "killed"), "--resume", "--steps=4"]) == 0
    assert BEGINS not in capsys.readouterr().err


def test_runs_killed_before_their_first_checkpoint_begin_again_with_their_options(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--grid-every=0", "--runs=2", "--seed=5"]
    assert main([*command, "--steps=3", "--out", str(tmp_path / "whole")]) == 0
    kill_before_first_checkpoint([*command, "--steps=100000", "--out", str(tmp_path / "killed")])
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["seed-5"]
    capsys.readouterr()
    assert main(["train", "dcgan", "--out", str(tmp_path / "killed"), "--resume", "--runs=2", "--steps=3"]) == 0
    assert f"medgan: the folder seed-5 {BEGINS}" in capsys.readouterr().err
    for folder in ("seed-5", "seed-6"):
        whole, killed = (load(tmp_path / name / folder / "generator.safetensors") for name in ("whole", "killed"))
        assert killed.identity() == whole.identity()
    one = ["train", "dcgan", "--out", str(tmp_path / "killed" / "seed-6"), "--resume", "--steps=4"]
    assert main(one) == 0
    made = load(tmp_path / "killed" / "seed-6" / "generator.safetensors")
    assert (made.seed, made.step) == (6, 4)


def test_runs_of_torchrun_begin_again_at_their_first_seed(
    images: Path,
    tmp_path: Path,
    begun: list[tuple[str, RunSettings]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second process began its run, and all were killed before the first process began its own."""
    folder = ["--out", str(tmp_path / "runs"), "--runs=2"]
    with monkeypatch.context() as torchrun:
        torchrun.setenv("WORLD_SIZE", "2")
        torchrun.setenv("RANK", "1")
        assert main(["train", "dcgan", "--images", str(images), *SMALL, "--seed=5", *folder]) == 130
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["seed-6"]
    assert main(["train", "dcgan", "--resume", *folder]) == 130
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["seed-5", "seed-6"]


def test_seed_that_is_typed_takes_the_options_of_its_own_run(
    images: Path, tmp_path: Path, begun: list[tuple[str, RunSettings]]
) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--out", str(tmp_path / "runs"), "--runs=1"]
    assert main([*command, "--seed=5", "--keep=5"]) == 130
    assert main([*command, "--seed=10", "--keep=10"]) == 130
    for typed, expected in (("--seed=10", 10), ("--seed=5", 5), ("--runs=1", 5)):  # without a seed: the lowest
        again = ["train", "dcgan", "--resume", "--out", str(tmp_path / "runs"), "--runs=1", typed]
        assert main(again) == 130
        assert begun[-1][1].keep == expected


@pytest.mark.slow
def test_under_torchrun_only_the_first_process_writes_the_options(images: Path, tmp_path: Path) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--grid-every=0", "--out", str(tmp_path / "run")]
    (tmp_path / "script.py").write_text(KILLED_UNDER_TORCHRUN)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run(
        [*torchrun, str(tmp_path / "script.py"), str(tmp_path), *command], check=False, capture_output=True, text=True
    )
    assert list(tmp_path.glob("stepped-*")), ended.stderr
    assert [path.name for path in tmp_path.glob("written-by-*")] == ["written-by-0"]
    assert main(["train", "dcgan", "--out", str(tmp_path / "run"), "--resume", "--steps=2"]) == 0
    assert load(tmp_path / "run" / "generator.safetensors").configuration["size"] == 16


@pytest.mark.parametrize("more", [(), ("--runs=2",)])
@pytest.mark.parametrize("held", [(), ("run.lock",), ("seed-0/run.lock",), ("generator.safetensors",)])
def test_resuming_where_there_is_no_run_is_refused_before_images_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], held: tuple[str, ...]
) -> None:
    (tmp_path / "run" / "seed-0").mkdir(parents=True)
    for name in held:
        (tmp_path / "run" / name).touch()
    gone = str(tmp_path / "gone.npz")  # its error would come first if images were read
    assert main(["train", "dcgan", "--images", gone, "--out", str(tmp_path / "run"), "--resume", *more]) == 2
    assert "There is no run to resume" in capsys.readouterr().err


def test_typed_option_replaces_the_stored_one_where_it_is_the_default(
    images: Path, tmp_path: Path, begun: list[tuple[str, RunSettings]]
) -> None:
    command = ["train", "dcgan", "--out", str(tmp_path / "run")]
    stored = ["--device=cuda", "--keep=1", "--checkpoint-every=7", "--half", "--no-graph"]
    assert main([*command, "--images", str(images), *SMALL, *stored]) == 130
    assert main([*command, "--resume"]) == 130
    assert main([*command, "--resume", "--device=cpu", "--kee=3", "--no-half", "--graph"]) == 130
    assert main([*command, "--resume"]) == 130
    said = [(device, run.keep, run.checkpoint_every, run.half, run.graph) for device, run in begun]
    assert said == [("cuda", 1, 7, True, False)] * 2 + [("cpu", 3, 7, False, True)] * 2


def test_typed_keep_of_the_default_keeps_as_many_checkpoints(images: Path, tmp_path: Path) -> None:
    command = ["train", "dcgan", "--out", str(tmp_path / "run")]
    begin = ["--images", str(images), *SMALL, "--grid-every=0", "--checkpoint-every=1", "--keep=1", "--steps=4"]
    assert main([*command, *begin]) == 0
    assert main([*command, "--resume", "--keep=3", "--steps=8"]) == 0
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 3


def test_options_of_a_run_that_is_refused_leave_those_of_the_folder(images: Path, tmp_path: Path) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--grid-every=0", "--out", str(tmp_path / "run")]
    assert main([*command, "--steps=2"]) == 0
    kept = (tmp_path / "run" / "options.json").read_text()
    assert main([*command, "--steps=9"]) == 2
    assert main([*command, "--steps=9", "--resume", "--latent=9"]) == 2
    assert (tmp_path / "run" / "options.json").read_text() == kept


def test_resumed_run_takes_its_own_options(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [*SMALL, "--stables=8:24", "--batches=4:16", "--fading=16", "--stable=16", "--limit=16", "--seed=3"]
    where = ["--images", str(images), "--cache-dir", str(tmp_path / "cache")]
    assert main(["train", "pggan", *where, *typed, "--out", str(tmp_path / "whole")]) == 0
    assert main(["train", "pggan", *where, *typed, "--checkpoint-every=4", "--out", str(tmp_path / "cut")]) == 0
    whole, cut = (load(tmp_path / name / "generator.safetensors") for name in ("whole", "cut"))
    assert whole.identity() == cut.identity()
    first, *later = sorted((tmp_path / "cut").glob("*.safetensors"))
    assert first.name.startswith("checkpoint-")
    for path in later:  # what a run that was killed early leaves
        path.unlink()
    assert main(["train", "pggan", "--resume", "--out", str(tmp_path / "cut")]) == 0
    assert load(tmp_path / "cut" / "generator.safetensors").identity() == whole.identity()
    assert main(["train", "dcgan", "--resume", "--out", str(tmp_path / "cut")]) == 2
    assert "is of a pggan. Write medgan train pggan." in capsys.readouterr().err
    assert main(["train", "pggan", "--resume", "--latent=9", "--out", str(tmp_path / "cut")]) == 2
    assert "differs in latent." in capsys.readouterr().err
    kept = tmp_path / "cut" / "options.json"
    whole_text = kept.read_text()
    for text in ("[]", "", whole_text[:-9], whole_text.replace('"latent": 8', '"latent": "eight"')):
        assert text != whole_text
        kept.write_text(text)
        assert main(["train", "pggan", "--resume", "--out", str(tmp_path / "cut")]) == 2
        assert "options.json in --out is damaged or was edited." in capsys.readouterr().err
