"""Damage valid files by a seeded rule, read each, and count how the readers respond.

    python -m benchmarks.fuzz --cases 12000 --workers 2 --results FILE --write benchmarks/fuzz/README.md
    python -m benchmarks.fuzz --formats npz --show silent

A case is a format and a number; both name the damage, so a case that fails is repeated with `--case FORMAT:NUMBER`.
Results are kept in FILE, and an interrupted run goes on where it stopped. Each case is read with a time limit, and the
most memory that reading took is measured. Exits with 1 where there was a traceback, a crash, a hang or too much memory.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz.formats import FORMATS
from benchmarks.fuzz.kinds import Seen
from pytest_medgan.errors import MedganError
from pytest_medgan.ground.pool import Pool, WorkerLostError
from pytest_medgan.ground.terminal import printable

SECONDS = 20
MEMORY = 2 << 30  # bytes
FEW = 64  # most changed pixels of an image that count as few
CHUNK = 25  # cases handed to a worker at a time

OUTCOMES = {
    "same": "the same images and words",
    "refused": "refused with an error of one line",
    "said": "a warning or a count says what is wrong; the images may differ",
    "few pixels": f"without a message: up to {FEW} pixels of the damaged file's own images",
    "own image": "without a message: more of the damaged file's own images",
    "own content": "without a message: names, numbers or places that the damaged file alone holds",
    "others": "without a message: the images of other files",
    "traceback": "another exception than medgan's own",
    "hang": f"more than {SECONDS} s",
    "memory": f"more than {MEMORY >> 30} GiB",
    "crash": "the process died",
}
FAILURES = ("traceback", "hang", "memory", "crash")


@dataclass(frozen=True)
class Result:
    """The result of one case."""

    case: str  # FORMAT:NUMBER
    outcome: str  # of OUTCOMES
    words: str = ""  # the error
    file: str = ""
    seconds: float = 0.0
    peak: int = 0  # bytes


class Hang(BaseException):
    """Reading took too long."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A valid sample on disk and what its reader returns."""

    folder: Path
    seen: Seen
    files: tuple[Path, ...]


_benches: dict[str, Bench] = {}


def bench(name: str) -> Bench:
    """Return the sample of a format, written once per process."""
    if name not in _benches:
        folder = Path(tempfile.mkdtemp(prefix="medgan-fuzz-")) / "sample"
        folder.mkdir()
        FORMATS[name].write(folder)
        files = tuple(sorted(folder.glob(FORMATS[name].damaged)))
        _benches[name] = Bench(folder, FORMATS[name].read(folder), files)
    return _benches[name]


def run_case(case: str) -> Result:
    """Damage a file, read, restore it, and judge what was read."""
    name = case.rpartition(":")[0]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        sound = bench(name)
        random = Random(case)
        path = random.choice(sound.files)
        good = path.read_bytes()
        damaged = random.choice(FORMATS[name].mutations)(good, random)
        path.write_bytes(damaged)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        began = time.monotonic()
        try:
            with limited():
                outcome, words = judge(sound, FORMATS[name].read(sound.folder))
        except MedganError as error:
            outcome, words = "refused", str(error)
        except Hang:
            outcome, words = "hang", ""
        except Exception as error:
            outcome, words = "traceback", f"{type(error).__name__}: {error}"
        finally:
            path.write_bytes(good)
    peak = peak_memory()
    outcome = "memory" if peak > MEMORY and outcome not in FAILURES else outcome
    shown = path.relative_to(sound.folder).as_posix()
    return Result(case, outcome, printable(words), shown, time.monotonic() - began, peak)


def judge(sound: Bench, seen: Seen) -> tuple[str, str]:
    """Return the outcome of a case that was read, and what differs."""
    before = sound.seen
    whose = "own content" if len(sound.files) == 1 else "others"
    if seen.said != before.said:
        return "said", str(seen.said)
    if seen.facts != before.facts:
        return whose, f"{before.facts} -> {seen.facts}" if before.images is not None else ""
    if seen.images is None or before.images is None:
        return "same", ""
    if seen.images.shape != before.images.shape:
        return whose, f"{before.images.shape} -> {seen.images.shape}"
    changed = (seen.images != before.images).sum(axis=(1, 2))
    words = f"{np.count_nonzero(changed)} images, up to {changed.max()} pixels"
    if np.count_nonzero(changed) > max(len(changed) // len(sound.files), 1):
        return "others", words
    return ("same" if not changed.any() else "few pixels" if changed.max() <= FEW else "own image"), words


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise Hang in the body after the time that a case may take."""

    def raise_hang(signal_number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, raise_hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def peak_memory() -> int:
    """Return the most memory that this process held since the peak was reset, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run_all(cases: list[str], workers: int) -> Iterator[Result]:
    """Run the cases in worker processes; a worker that dies or does not answer costs one case."""
    while cases:
        done = 0
        try:
            with Pool(workers, {"OMP_NUM_THREADS": "1"}) as pool:
                for results in pool.stream(run_case, cases, chunk=CHUNK, timeout=SECONDS * CHUNK):
                    done += len(results)
                    yield from results
            return
        except WorkerLostError:
            suspects, cases = cases[done : done + CHUNK], cases[done + CHUNK :]
            for case in suspects:
                try:
                    with Pool(1, {"OMP_NUM_THREADS": "1"}) as pool:
                        yield from next(pool.stream(run_case, [case], timeout=2 * SECONDS))
                except WorkerLostError:
                    yield Result(case, "crash")


def table(results: list[Result]) -> str:
    """Return the counts by format as Markdown."""
    counts = collections.Counter((result.case.rpartition(":")[0], result.outcome) for result in results)
    names = [name for name in FORMATS if any(key[0] == name for key in counts)]
    shown = [outcome for outcome in OUTCOMES if outcome in FAILURES or any(key[1] == outcome for key in counts)]
    lines = ["| format | cases | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    for name in [*names, ""]:
        own = [sum(n for key, n in counts.items() if key[0] == (name or key[0]) and key[1] == out) for out in shown]
        lines.append(f"| {name or 'all'} | {sum(own)} | " + " | ".join(map(str, own)) + " |")
    slowest, largest = max(result.seconds for result in results), max(result.peak for result in results)
    lines += ["", f"Slowest case {slowest:.1f} s, most memory {largest / 2**20:.0f} MiB.", ""]
    return "\n".join([*lines, *(f"- {outcome}: {OUTCOMES[outcome]}" for outcome in shown), ""])


def earlier_results(path: Path | None) -> dict[str, Result]:
    """Return the results of an earlier run, by case."""
    if path is None or not path.exists():
        return {}
    read = [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return {result.case: result for result in read}


def main() -> int:
    """Run the cases asked for. Return 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument(
        "--cases", type=int, default=12000, help="number of cases over all formats (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--formats", default="", metavar="NAMES", help="only these, separated by semicolons")
    parser.add_argument("--case", default="", metavar="FORMAT:NUMBER", help="one case, in this process")
    parser.add_argument(
        "--show", default="", metavar="OUTCOMES", help="list the cases with these outcomes, separated by semicolons"
    )
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep the results, one JSON line for each case")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to a file")
    arguments = parser.parse_args()
    if arguments.case:
        print(run_case(arguments.case))
        return 0
    chosen = {name: FORMATS[name] for name in filter(None, arguments.formats.split(";"))} or FORMATS
    share = arguments.cases / sum(form.weight for form in chosen.values())
    cases = [f"{name}:{number}" for name, form in chosen.items() for number in range(round(share * form.weight))]
    results = earlier_results(arguments.results)
    for result in run_all([case for case in cases if case not in results], arguments.workers):
        results[result.case] = result
        if arguments.results:
            with arguments.results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(result)) + "\n")
        if result.outcome in (*FAILURES, "others", *arguments.show.split(";")):
            print(f"{result.outcome:12s} {result.case:20s} {result.file}: {result.words[:300]}", flush=True)
        if len(results) % 500 == 0:
            print(f"{len(results)} of {len(cases)}", file=sys.stderr, flush=True)
    wanted = [results[case] for case in cases]
    print(text := table(wanted))
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    return int(any(result.outcome in FAILURES for result in wanted))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
