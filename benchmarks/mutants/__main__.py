"""Apply each mutant to a copy of the repository and run the tests that should notice it.

python -m benchmarks.mutants --work FOLDER [--rooms metrics,gate] [--workers 2]

Results are kept in FOLDER by mutant, its source file and its tests, so an interrupted run goes on where it stopped and
a later run repeats only what has changed. The summary is written to README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from benchmarks.mutants.catalogue import FOLDER, ROOT, Mutant, read_mutants

COPIED = ("pytest_medgan", "tests", "fixtures", "baselines", "examples", "benchmarks", "pyproject.toml")
COPIED_FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "LICENSE", "CITATION.cff", "SECURITY.md")
TIMEOUT = 900.0  # seconds; a mutant that hangs is noticed


def main() -> int:
    """Run the mutants and write the summary. Return 1 where a mutant survived that is not equivalent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where copies and results are kept")
    parser.add_argument("--rooms", default="", metavar="NAMES", help="only these rooms (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default: 2)")
    arguments = parser.parse_args()
    mutants = read_mutants(tuple(filter(None, arguments.rooms.split(","))))
    copies: SimpleQueue[Path] = SimpleQueue()
    for number in range(arguments.workers):
        copies.put(_copy(arguments.work / f"copy-{number}"))
    _check_unchanged(mutants, copies, arguments.workers)
    store, lock = arguments.work / "results.json", threading.Lock()
    results: dict[str, str] = json.loads(store.read_text()) if store.exists() else {}

    def judge(mutant: Mutant) -> str:
        key = f"{mutant.key} {_state(mutant)}"
        if key not in results:
            copy = copies.get()
            try:
                outcome = _run(mutant, copy)
            finally:
                copies.put(copy)
            with lock:
                results[key] = outcome
                store.write_text(json.dumps(results, indent=1, sort_keys=True))
                print(f"{outcome:9s} {mutant.key}", flush=True)
        return results[key]

    with ThreadPoolExecutor(arguments.workers) as pool:
        outcomes = list(pool.map(judge, mutants))
    lines = list(_summary(mutants, outcomes))
    print("\n".join(lines))
    if not arguments.rooms:
        (FOLDER / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(any(o == "survived" and not m.equivalent for m, o in zip(mutants, outcomes, strict=True)))


def _copy(folder: Path) -> Path:
    """Return a fresh copy of what the tests need."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".medgan"))
        else:
            shutil.copy(source, folder / name)
    for name in COPIED_FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


def _check_unchanged(mutants: Iterable[Mutant], copies: SimpleQueue[Path], workers: int) -> None:
    """Check that the tests pass without any mutant; a mutant "killed" by a test that always fails says nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})

    def check(test: str) -> None:
        copy = copies.get()
        try:
            if _tests(copy, (test,)) != 0:
                raise SystemExit(f"{test} fails without any mutant; mend it first")
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(check, tests))


def _run(mutant: Mutant, copy: Path) -> str:
    """Return "killed" where a test notices the mutant, else "survived"."""
    path = copy / mutant.file
    original = path.read_text(encoding="utf-8")
    path.write_text(original.replace(mutant.before, mutant.after), encoding="utf-8")
    try:
        return "killed" if _tests(copy, mutant.tests) else "survived"
    finally:
        path.write_text(original, encoding="utf-8")


def _tests(copy: Path, tests: tuple[str, ...]) -> int:
    """Run fast tests in a copy; return their exit status, 1 where they hang."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    try:
        return subprocess.run(
            command, cwd=copy, env=environment, timeout=TIMEOUT, capture_output=True, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


def _state(mutant: Mutant) -> str:
    """Return a digest of everything a result depends on, as far as it can be told."""
    digest = hashlib.sha256(mutant.after.encode() + (ROOT / mutant.file).read_bytes())
    for test in mutant.tests:
        path = ROOT / test
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _summary(mutants: list[Mutant], outcomes: list[str]) -> Iterable[str]:
    """Yield the lines of the summary."""
    yield "# Mutants"
    yield ""
    yield "Each mutant changes what the code means; the fast tests of its room must notice. Run by"
    yield "`python -m benchmarks.mutants --work FOLDER`, which wrote this page."
    yield ""
    yield "| room | mutants | equivalent | killed | survived |"
    yield "| --- | --- | --- | --- | --- |"
    judged = list(zip(mutants, outcomes, strict=True))
    rooms = sorted({mutant.room for mutant in mutants})
    for room in [*rooms, "all"]:
        mine = [(m, o) for m, o in judged if room in (m.room, "all")]
        equivalent = sum(bool(m.equivalent) for m, _ in mine)
        killed = sum(o == "killed" and not m.equivalent for m, o in mine)
        yield f"| {room} | {len(mine)} | {equivalent} | {killed} | {len(mine) - equivalent - killed} |"
    for title, wanted in (("Survivors", False), ("Equivalent", True)):
        lines = [(m, o) for m, o in judged if bool(m.equivalent) is wanted and (wanted or o == "survived")]
        if lines:
            yield ""
            yield f"{title}:"
            yield ""
        for mutant, _ in lines:
            yield f"- {mutant.key} ({mutant.file})" + (f": {mutant.equivalent}" if wanted else "")


if __name__ == "__main__":
    raise SystemExit(main())
