"""Run many gates in one session, and gates over eight processes: memory, and verdicts that must not differ.

    python -m benchmarks.many_gates --work FOLDER [--gates 200] [--spread 24] [--write benchmarks/many_gates.md]

Each gate has a model of its own, 96 generated images against 128 real ones, and every report is written. The memory of
the process is noted when a gate has ended; the mean of gates 21 to 40 is compared with the mean of the last 20.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

GROWTH = 0.05  # of memory, at most
TOY = '''
"""Blobs of many kinds, and their features by fixed random projections."""
import numpy as np

def blobs(count, seed, spread):
    rng = np.random.default_rng([seed, 77])
    rows, columns = np.mgrid[:32, :32]
    centre = 16 + spread * (rng.random((count, 2)) - 0.5)
    distance = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    images = 60 + 140 * np.exp(-distance / 40) + rng.normal(0, 4, (count, 32, 32))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]

class Model:
    def __init__(self, number):
        self.identity, self.spread = f"model {number}", 12.0 if number % 3 else 4.0
    def __call__(self, count, seed):
        return blobs(count, seed, self.spread)

for number in range(400):
    globals()[f"model_{number}"] = Model(number)

class Features:
    identity = "projections"
    numeric_class = "float32"
    def embed(self, pixels, progress=lambda *a: None):
        matrix = np.random.default_rng(5).normal(size=(1024, 16)) / 32
        step = pixels.shape[-1] // 32
        flat = pixels[:, 0, ::step, ::step].reshape(len(pixels), -1).astype(np.float64) / 255
        return (flat @ matrix).astype(np.float32), None
'''
CONFTEST = """
import os

def pytest_runtest_logfinish(nodeid):
    with open("/proc/self/statm") as file, open("memory.txt", "a") as log:
        log.write(f"{int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')}\\n")
"""
TEST = """
import os
import pytest
from pytest_medgan import assert_fid_below, assert_improved_recall_above

NUMBERS = range(int(os.environ["GATES"]))

@pytest.mark.parametrize("n", [pytest.param(n, marks=pytest.mark.medgan(generator=f"toy:model_{n}")) for n in NUMBERS])
def test_gate(medgan_scores, n):
    assert_fid_below(medgan_scores, 0.5)
    assert_improved_recall_above(medgan_scores, 0.3)
"""
INI = """
[pytest]
medgan_data = images.npz,size=32,crop_size=32
medgan_extractor = toy:Features
medgan_metrics = fid improved_precision improved_recall
medgan_samples = 32
medgan_report = html,md,json
pythonpath = .
"""


def main() -> int:
    """Run both parts and print what they showed. Return 1 where memory grew too much or a verdict differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_gates", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="emptied and filled")
    parser.add_argument("--gates", type=int, default=200, help="in one process (default 200)")
    parser.add_argument("--spread", type=int, default=24, help="gates over eight processes (default 24)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the result to this file as well")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    _run(work / "many", arguments.gates)
    memory = [int(line) for line in (work / "many" / "memory.txt").read_text().split()]
    early, late = float(np.mean(memory[20:40])), float(np.mean(memory[-20:]))
    growth = late / early - 1
    one = _run(work / "one", arguments.spread)
    eight = _run(work / "eight", arguments.spread, "-n", "8")
    failed = sum(verdict == "failure" for verdict in one.values())
    lines = [
        f"- {len(memory)} gates in one process: {early / 2**20:.1f} MiB at gates 21 to 40, {late / 2**20:.1f} MiB at "
        f"the last 20: {growth:+.1%} (bar {GROWTH:.0%})",
        f"- {arguments.spread} gates, {failed} of them red: verdicts and measured values over eight processes "
        f"{'are' if eight == one else 'ARE NOT'} those of one process",
    ]
    print("\n".join(lines))
    if arguments.write:
        arguments.write.write_text("\n".join(lines) + "\n")
    return int(growth > GROWTH or eight != one)


def _run(folder: Path, gates: int, *options: str) -> dict[str, str]:
    """Run so many gates in a fresh project; return the verdict and the measured values of each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in {"toy.py": TOY, "conftest.py": CONFTEST, "test_gate.py": TEST, "pytest.ini": INI}.items():
        (folder / name).write_text(text)
    scope: dict[str, object] = {}
    exec(TOY, scope)
    blobs = scope["blobs"]
    assert callable(blobs)
    pixels = np.concatenate([blobs(32, 1000 + patient, 12.0) for patient in range(16)])
    np.savez(folder / "images.npz", pixels=pixels, patient=np.repeat(np.arange(16), 32).astype(str))
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml=junit.xml", *options]
    environment = {**os.environ, "GATES": str(gates), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")
    verdicts = {
        str(case.get("name")): next((child.tag for child in case if child.tag != "properties"), "passed")
        for case in cases
    }
    scores = json.loads((folder / "medgan-report" / "scores.json").read_text())
    values = [(model["name"], model["looks"]) for model in scores["models"]]
    return {**verdicts, "values in their order": json.dumps(values, sort_keys=True)}


if __name__ == "__main__":
    sys.exit(main())
