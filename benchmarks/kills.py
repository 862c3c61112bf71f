"""Kill medgan by SIGKILL while it writes, and check that nothing half-written is taken for whole.

    python -m benchmarks.kills --trials 200 --work FOLDER [--write benchmarks/kills.md]

Six actions, each on real DICOM of painted phantoms and a real DCGAN: prepare, train, embed, candidate, report, accept.
A trial runs one of them in a process group of its own, kills the group at a write that a seed has chosen (half of the
trials at once, half up to 5 ms later, so amid the write), then checks two things:

- every file that has its final name can be read to its end;
- the same command run again on what was left gives what an undisturbed run gives, to the bit.

Trials are kept in FOLDER, and an interrupted benchmark goes on where it stopped. Exits with 1 where a trial failed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from pytest_medgan.cli import main as medgan
from pytest_medgan.phantom.dicom import write_study
from pytest_medgan.phantom.paint import draw_anatomy

SLACK = 0.005  # seconds between the write that was chosen and the kill, at most
WRITING = os.O_WRONLY | os.O_RDWR
TRAIN = shlex.split(
    "train dcgan --images set.npz --size 32 --latent 8 --generator-width 8 --discriminator-width 8 --batch 16 "
    "--steps 12 --checkpoint-every 2 --grid-every 4 --threads 1 --out run"
)
TEST = """
from pytest_medgan import assert_no_regression

def test_gate(medgan_scores, medgan_baseline):
    assert_no_regression(medgan_scores, medgan_baseline.row("SMALL"))
"""
INI = """
[pytest]
medgan_data = set.npz,crop=image,size=32
medgan_generator = generator.safetensors
medgan_metrics = fid kid improved_precision improved_recall duplicate_rate
medgan_samples = 24
medgan_report = html,md,json
"""
ACCEPT = shlex.split(
    "baseline accept candidate.yaml --row SMALL --into medgan-baseline.yaml --override dirty --reason first"
)


@dataclass(frozen=True)
class Action:
    """One command, and what of it is compared."""

    given: tuple[str, ...]  # files that it starts from
    run: Callable[[bool], int]  # called with whether an earlier run was killed; returns the exit status
    result: Callable[[], object]  # what an undisturbed run and a repeated one must share
    watched: Callable[[str], bool]  # the paths whose writes are chosen from


def gate(again: bool) -> int:
    """Run pytest on the project; a missing row is its usual end."""
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "--medgan-full"]))


def train(again: bool) -> int:
    """Train, and go on from the checkpoints that a killed run left."""
    left = again and any(Path("run").glob("*"))
    return medgan([*TRAIN, "--resume"] if left else TRAIN)


def measured() -> object:
    """Return the values that a run measured, without dates and versions."""
    (candidate,) = Path("medgan-report").glob("candidate*.yaml")
    return [row["metrics"] for row in yaml.safe_load(candidate.read_text())["rows"].values()]


def pages() -> object:
    """Return what a run measured and which reports it left."""
    names = sorted(path.name for path in Path("medgan-report").iterdir() if path.suffix in {".html", ".md", ".json"})
    return [measured(), names]


def weights(path: str) -> str:
    """Return a digest of every tensor."""
    digest = hashlib.sha256()
    with safe_open(path, "np") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).tobytes())
    return digest.hexdigest()


def arrays(path: str) -> str:
    """Return a digest of every array."""
    with np.load(path) as file:
        return hashlib.sha256(b"".join(name.encode() + file[name].tobytes() for name in sorted(file))).hexdigest()


def accepted() -> object:
    """Return the rows of the baseline without the time of acceptance."""
    rows = yaml.safe_load(Path("medgan-baseline.yaml").read_text())["rows"]
    return {name: row["metrics"] for name, row in rows.items()}


PROJECT = ("set.npz", "generator.safetensors", "test_gate.py", "pytest.ini")
ACTIONS = {
    "prepare": Action(
        ("studies",),
        lambda again: medgan(["prepare", "studies", "--crop=image", "--size=32", "--out", "set.npz"]),
        lambda: arrays("set.npz"),
        lambda path: True,
    ),
    "train": Action(("set.npz",), train, lambda: weights("run/generator.safetensors"), lambda path: True),
    "embed": Action(PROJECT, gate, measured, lambda path: ".medgan" in path),
    "candidate": Action(PROJECT, gate, measured, lambda path: "candidate" in path),
    "report": Action(PROJECT, gate, pages, lambda path: "medgan-report" in path and "candidate" not in path),
    "accept": Action((*PROJECT, "candidate.yaml"), lambda again: medgan(ACCEPT), accepted, lambda path: True),
}


def main() -> int:
    """Run the trials and print a table. Return 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="over all six actions (default 200)")
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where everything is kept")
    parser.add_argument("--seed", type=int, default=0, help="of the writes that are chosen (default 0)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to this file as well")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    base = work / "base"
    if not (base / "whole.json").exists():
        _make_base(base)
    whole = json.loads((base / "whole.json").read_text())
    store = work / "trials.json"
    trials: dict[str, str] = json.loads(store.read_text()) if store.exists() else {}
    for number in range(arguments.trials):
        name = list(ACTIONS)[number % len(ACTIONS)]
        key = f"{name}:{arguments.seed}:{number}"
        if key not in trials:
            trials[key] = _trial(name, whole[name], base, work / "trial", random.Random(key))
            store.write_text(json.dumps(trials, indent=1))
            print(f"{key:16s} {trials[key]}", flush=True)
    table = _table(trials)
    print(table)
    if arguments.write:
        arguments.write.write_text(table)
    return int(any(outcome.startswith("FAILED") for outcome in trials.values()))


def _make_base(base: Path) -> None:
    """Make the inputs, and run each action undisturbed: its writes and its result."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    for patient in range(8):
        write_study(base / "studies", draw_anatomy(0, patient), 12)
    (base / "test_gate.py").write_text(TEST)
    (base / "pytest.ini").write_text(INI)
    whole: dict[str, dict[str, object]] = {}
    for name, action in ACTIONS.items():
        folder = base.parent / "trial"
        _fresh(folder, base, action.given)
        status, writes = _run(action, folder, again=False)
        whole[name] = {"status": status, "writes": writes, "result": _result(action, folder)}
        print(f"{name}: {len(writes)} writes, exit status {status}, {str(whole[name]['result'])[:60]}", flush=True)
        made = {"prepare": ["set.npz"], "train": ["run/generator.safetensors"]}.get(name, [])
        for file in made:
            shutil.copy2(folder / file, base / Path(file).name)
        if name == "candidate":
            shutil.copy2(next((folder / "medgan-report").glob("candidate*.yaml")), base / "candidate.yaml")
    (base / "whole.json").write_text(json.dumps(whole))


def _trial(name: str, whole: dict[str, object], base: Path, folder: Path, draw: random.Random) -> str:
    """Kill one run of an action at a write; return how it ended, in words that begin with FAILED for a fault."""
    action = ACTIONS[name]
    writes = whole["writes"]
    assert isinstance(writes, list)
    chosen = draw.choice([place for place, path in enumerate(writes) if action.watched(path)])
    slack = draw.choice((0.0, draw.uniform(0, SLACK)))
    _fresh(folder, base, action.given)
    status, seen = _run(action, folder, again=False, kill_at=chosen, slack=slack)
    where = f"at write {chosen + 1} of {len(writes)}"
    if unreadable := [str(path.relative_to(folder)) for path in folder.rglob("*") if not _is_whole(path)]:
        return f"FAILED {where}: {', '.join(unreadable)} cannot be read"
    status_again, _ = _run(action, folder, again=True)
    if status_again != whole["status"]:
        return f"FAILED {where}: run again, exit status {status_again}"
    if _result(action, folder) != whole["result"]:
        return f"FAILED {where}: run again, another result"
    return f"{'killed' if status == -signal.SIGKILL else 'had ended'} {where}, {len(seen)} seen"


def _fresh(folder: Path, base: Path, given: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in given:
        if (base / name).is_dir():
            shutil.copytree(base / name, folder / name)
        else:
            shutil.copy2(base / name, folder / name)


def _run(
    action: Action, folder: Path, *, again: bool, kill_at: int | None = None, slack: float = 0.0
) -> tuple[int, list[str]]:
    """Run an action in a forked process group; return its exit status, negative for a signal, and its writes."""
    log = folder.parent / "writes.txt"
    log.write_text("")
    child = os.fork()
    if child == 0:
        os.setsid()
        status = 70
        try:
            os.chdir(folder)
            with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
                _watch(folder, log, kill_at, slack)
                status = action.run(again)
        finally:
            os._exit(status)
    _, raw = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers that outlived their parent
    return os.waitstatus_to_exitcode(raw), log.read_text().splitlines()


def _watch(folder: Path, log: Path, kill_at: int | None, slack: float) -> None:
    """Note every change of a file below a folder, and kill this process group at one of them."""
    stream = os.open(log, os.O_WRONLY | os.O_APPEND)
    count = 0

    def kill() -> None:
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def heard(event: str, given: tuple[object, ...]) -> None:
        nonlocal count
        changes = event in {"os.rename", "os.mkdir", "os.remove", "os.chmod", "os.link"} or (
            event == "open" and isinstance(given[2], int) and given[2] & WRITING
        )
        if not changes or not isinstance(given[0], str | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(given[0]))
        if not path.startswith(f"{folder}{os.sep}"):
            return
        os.write(stream, f"{os.path.relpath(path, folder)}\n".encode())
        if count == kill_at:
            if slack:
                threading.Timer(slack, kill).start()
            else:
                kill()
        count += 1

    sys.addaudithook(heard)


def _is_whole(path: Path) -> bool:
    """Whether a file can be read to its end. Temporary names, folders and kinds that nobody reads back are whole."""
    if path.is_dir() or path.name.startswith(".") or path.suffix in {".part", ".lock", ".tmp"}:
        return True
    readers: dict[str, Callable[[Path], object]] = {
        ".npz": lambda file: arrays(str(file)),
        ".npy": np.load,
        ".safetensors": lambda file: weights(str(file)),
        ".json": lambda file: json.loads(file.read_text()),
        ".yaml": lambda file: yaml.safe_load(file.read_text())["rows"],
        ".png": lambda file: Image.open(file).load(),
        ".html": lambda file: file.read_text().rstrip().endswith("</html>") or 1 / 0,
    }
    try:
        readers.get(path.suffix, lambda file: None)(path)
    except Exception:  # whatever a reader says of a file cut short
        return False
    return True


def _result(action: Action, folder: Path) -> object:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return json.loads(json.dumps(action.result()))
    except Exception as error:  # part of what is compared: no result is another result
        return f"{type(error).__name__}: {error}"
    finally:
        os.chdir(before)


def _table(trials: dict[str, str]) -> str:
    rows: dict[str, Counter[str]] = {name: Counter() for name in ACTIONS}
    for key, outcome in trials.items():
        rows[key.split(":")[0]][outcome.split()[0]] += 1
    lines = [
        "| action | trials | killed while writing | half-written or other after running again |",
        "| --- | --- | --- | --- |",
    ]
    for name, counts in rows.items():
        lines.append(f"| {name} | {counts.total()} | {counts['killed']} | {counts['FAILED']} |")
    failed = [f"- {key}: {outcome}" for key, outcome in trials.items() if outcome.startswith("FAILED")]
    return "\n".join([*lines, "", *failed]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
