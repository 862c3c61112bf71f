"""What a damaged baseline does to a gate, and what two acceptances at once do to a baseline.

    python -m benchmarks.gate_trust.damage [--edits 3000] [--pairs 100]

A sealed baseline of two rows, one of them of several training runs, is damaged: random edits of characters and lines,
every cut after a complete line, and
fingerprint, canary, seal or a metric removed. Four candidates are judged against each row, before and after: an equal
one, a worse one, one measured under other conditions and one with a metric missing. A verdict that was not green and
becomes green is a fault, and so is a gate of fewer metrics that stays green.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.gate_trust.evaluations import FINGERPRINT, MEASURED, Looks, TableEvaluation, is_red, row_of
from benchmarks.gate_trust.recipes import simulated_runs
from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import Request, accept
from pytest_medgan.gate.candidate import write_candidate
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.document import Document
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import Fingerprint, Row, Scores, TrainingRun, mean_of_runs

LAW = (1.0,) * len(MEASURED)
NAMES = ("first", "last")  # of the rows; the first one has one training run, the last one several
SOME = ("fid", "kid", "improved_precision", "recall", "coverage")  # the metrics of the rows, so that files are short
RUNS = 3
OTHER = Fingerprint({"numeric_class": "float32", "crop": "tumour"}, (1.0,))


def some_runs(seed: Sequence[int], count: int, worse: float = 0.0) -> list[Looks]:
    """Return simulated training runs in some metrics; FID is worse by so many standard deviations of a run."""
    runs = simulated_runs(np.random.default_rng(seed), LAW, count)
    return [
        {n: {name: replace(scores[name], mean=scores[name].mean + worse * (name == "fid")) for name in SOME}}
        for run in runs
        for n, scores in run.items()
    ]


def make_document(seed: int = 0) -> Document:
    """Return a baseline of two rows."""
    rows = {}
    for place, name in enumerate(NAMES):
        runs = some_runs([seed, place], RUNS if place else 1)
        names = [f"{name} {i}" for i in range(len(runs))]
        joined: Looks = {
            n: {metric: mean_of_runs([run[n][metric] for run in runs]) for metric in scores}
            for n, scores in runs[0].items()
        }
        row = row_of(joined, names)
        rows[name] = sealed(replace(row, name=name, provenance={"accepted": "2026-01-01", "reason": "measured"}))
    return Document("damage", fingerprint=FINGERPRINT, rows=rows)


def candidates() -> dict[str, TableEvaluation]:
    """Return the candidates that are judged against every row."""
    good, worse = some_runs([0, 9], 1)[0], some_runs([0, 9], 1, worse=30.0)[0]
    without = {n: {name: score for name, score in scores.items() if name != "recall"} for n, scores in good.items()}
    return {
        "equal": TableEvaluation(good),
        "worse": TableEvaluation(worse),
        "other conditions": TableEvaluation(good, fingerprint=OTHER),
        "a metric missing": TableEvaluation(without),
    }


def outcomes(text: str) -> dict[tuple[str, str], bool | None]:
    """Return whether each candidate is red against each row; None stands for a file that is refused."""
    found: dict[tuple[str, str], bool | None] = {}
    try:
        document = baseline.parse(text, "base.yaml")
    except BaselineError:
        document = None
    for name in NAMES:
        row = None if document is None else document.row(name, "base.yaml")
        for label, candidate in candidates().items():
            found[name, label] = None if row is None else is_judged_red(candidate, row)
    return found


def is_judged_red(candidate: TableEvaluation, row: Row) -> bool:
    """Whether a gate on all that a row has is red; a row without metrics, or of fewer, has to be."""
    names = [name for name in row.entries if name in METRICS]
    if row.kind == "missing" or not names:
        return True
    red = is_red(decide(candidate, [(METRICS[name], row[name]) for name in names]))
    fewer = len(names) < len(SOME) and not red
    if fewer:
        FEWER[row.name] += 1
    return red


FEWER: Counter[str] = Counter()  # green gates of rows that had lost a metric


def edits(text: str, count: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield damaged texts with the kind of damage."""
    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines)):
        yield "cut after a line", "".join(lines[:end])
    for start in range(len(lines)):
        depth = _depth(lines[start])
        end = next((i for i in range(start + 1, len(lines)) if _depth(lines[i]) <= depth), len(lines))
        yield "a block removed", "".join(lines[:start] + lines[end:])
    for key in ("canary", "seal", "fingerprint", "family", "counts", "runs", "revision", "margin"):
        yield f"every {key} removed", _without(lines, key)
    yield "a tolerance added", text.replace("  canary:", "  canary_tolerance: 10.0\n  canary:")
    rng = np.random.default_rng(seed)
    for _ in range(count):
        kind = rng.choice(list(_EDITS))
        yield kind, _EDITS[kind](text, rng)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))


def _without(lines: list[str], key: str) -> str:
    """Return the text without the blocks of a key."""
    kept, skipped = [], None
    for line in lines:
        if skipped is not None and _depth(line) > skipped:
            continue
        skipped = _depth(line) if line.strip().startswith(f"{key}:") else None
        if skipped is None:
            kept.append(line)
    return "".join(kept)


def _digit(text: str, rng: np.random.Generator) -> str:
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    place = int(rng.choice(places))
    return text[:place] + str((int(text[place]) + int(rng.integers(1, 10))) % 10) + text[place + 1 :]


def _letter(text: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(len(text)))
    return text[:place] + chr(int(rng.integers(32, 127))) + text[place + 1 :]


def _lost_letter(text: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(len(text)))
    return text[:place] + text[place + 1 :]


def _lost_line(text: str, rng: np.random.Generator) -> str:
    lines = text.splitlines(keepends=True)
    del lines[int(rng.integers(len(lines)))]
    return "".join(lines)


def _swapped_lines(text: str, rng: np.random.Generator) -> str:
    lines = text.splitlines(keepends=True)
    one, other = rng.integers(len(lines), size=2)
    lines[one], lines[other] = lines[other], lines[one]
    return "".join(lines)


def _copied_line(text: str, rng: np.random.Generator) -> str:
    lines = text.splitlines(keepends=True)
    one, other = rng.integers(len(lines), size=2)
    lines[one] = lines[other]
    return "".join(lines)


_EDITS = {
    "a digit changed": _digit,
    "a character changed": _letter,
    "a character lost": _lost_letter,
    "a line lost": _lost_line,
    "two lines swapped": _swapped_lines,
    "a line over another": _copied_line,
}


def damage(count: int) -> None:
    """Print the table of damaged files."""
    text = canonical.text(make_document())
    before, same = outcomes(text), outcomes(text)
    assert_expected(before)
    kinds, refused, faults = Counter[str](), Counter[str](), Counter[str]()
    unchanged = Counter[str]()
    for kind, damaged in edits(text, count):
        FEWER.clear()
        same = outcomes(damaged)
        kinds[kind] += 1
        refused[kind] += any(value is None for value in same.values())
        unchanged[kind] += same == before
        turned = [key for key, value in same.items() if value is False and before[key]]
        faults[kind] += bool(turned) or bool(FEWER)
    print("| damage | files | refused as no baseline | all verdicts as before | red or refused before, now green |")
    print("| --- " * 5 + "|")
    for kind in kinds:
        print(f"| {kind} | {kinds[kind]} | {refused[kind]} | {unchanged[kind]} | {faults[kind]} |")
    print(
        f"| all | {kinds.total()} | {refused.total()} | {unchanged.total()} | {faults.total()} |",
        flush=True,
    )


def assert_expected(found: dict[tuple[str, str], bool | None]) -> None:
    """Stop where the undamaged file does not give what this benchmark rests on."""
    wrong = {key: value for key, value in found.items() if value is not (key[1] != "equal")}
    if wrong:
        raise SystemExit(f"the undamaged baseline gives other outcomes than expected: {wrong}")


def accepts(pairs: int) -> None:
    """Accept two candidates at once, again and again, and count the rows that are left."""
    context = multiprocessing.get_context("spawn")
    looks = some_runs([3], 1)[0]
    scores = {n: Scores(1000, n, ("0", "1", "2"), metrics) for n, metrics in looks.items()}
    with tempfile.TemporaryDirectory() as name, context.Pool(2) as pool:
        folder = Path(name)
        for place in range(2 * pairs):
            run = (TrainingRun(str(place)),)
            path = folder / f"c{place}.yaml"
            write_candidate(path, row=f"row {place}", scores=scores, fingerprint=FINGERPRINT, complete=True, runs=run)
        for pair in range(pairs):
            pool.starmap(_accept, [(folder, 2 * pair), (folder, 2 * pair + 1)], chunksize=1)
        rows = baseline.load(folder / "base.yaml").rows
        left = [path.name for path in folder.iterdir() if not path.name.startswith("c") and path.name != "base.yaml"]
    print(f"\n{pairs} pairs of simultaneous acceptances: {len(rows)} of {2 * pairs} rows kept, files left over: {left}")


def _accept(folder: Path, place: int) -> None:
    accept(Request((folder / f"c{place}.yaml",), "at once", f"row {place}", folder / "base.yaml"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.damage", description=__doc__)
    parser.add_argument("--edits", type=int, default=3000, help="random edits, beside the systematic ones")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of simultaneous acceptances")
    arguments = parser.parse_args()
    damage(arguments.edits)
    accepts(arguments.pairs)


if __name__ == "__main__":
    main()
