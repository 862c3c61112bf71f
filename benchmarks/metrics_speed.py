"""Time and memory of the battery and of the packages people use, each in a process of its own, in turns.

    python benchmarks/metrics_speed.py                                 the comparison and the k-sweep, 6,080 x 2,048
    python benchmarks/metrics_speed.py --scaling 6080 12160 25000
    python benchmarks/metrics_speed.py --against FOLDER --turns 5      this checkout and another one, in turns

Wall-clock time is what a user waits; processor time remains comparable on a machine that does other work at the same
time. The peers come with the `dev` extra; the PRD procedure is written here from its paper's description (its package
is not on the index): MiniBatchKMeans with 20 clusters and n_init=10, ten runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

WIDTH = 2048
BATTERY = ("fid", "kid", "precision", "recall", "improved_precision", "improved_recall", "density", "coverage")
PEERS = ("torch-fidelity FID", "torch-fidelity KID", "prdc", "official PRD procedure")


def features(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two overlapping sets float32 [rows,2048] like pooled activations: non-negative, correlated."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(256, WIDTH, generator=generator) / 16
    scale = torch.linspace(2, 0.2, 256)

    def draw(gain: float) -> torch.Tensor:
        low = torch.randn(rows, 256, generator=generator) * scale * gain
        return torch.relu(low @ mixing + 0.3 * torch.randn(rows, WIDTH, generator=generator) + 0.4)

    return draw(1.0), draw(1.03)


def official_prd(real: np.ndarray, fake: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return (precision, recall) by the procedure of Sajjadi et al. 2018 with scikit-learn, ten runs."""
    from sklearn.cluster import MiniBatchKMeans

    from pytest_medgan.metrics.prd_curve import curve, f_pair

    curves = []
    for run in range(10):
        model = MiniBatchKMeans(n_clusters=20, n_init=10, random_state=seed * 10 + run)
        labels = model.fit(np.concatenate([fake, real])).labels_
        histogram = [np.bincount(part, minlength=20) / len(part) for part in (labels[: len(fake)], labels[len(fake) :])]
        curves.append(curve(real=histogram[1], fake=histogram[0]))
    return f_pair(np.mean(curves, 0))


def ours(name: str, real: torch.Tensor, fake: torch.Tensor) -> Callable[[], object]:
    """Return a call of the battery, whole or against a prepared reference, or of the ball metrics at one k or many."""
    from pytest_medgan import metrics

    if name == "ours":
        return lambda: metrics.measure(metrics.prepare_reference(real, metrics=BATTERY), fake=fake, metrics=BATTERY)
    if name == "ours, reference prepared":
        ready = metrics.prepare_reference(real, metrics=BATTERY)
        return lambda: metrics.measure(ready, fake=fake, metrics=BATTERY)
    ks = tuple(range(1, 101)) if name == "ours, 100 k" else 3
    return lambda: (
        metrics.improved_precision_recall(real=real, fake=fake, k=ks),
        metrics.density_coverage(real=real, fake=fake, k=ks),
    )


def peer(name: str, real: torch.Tensor, fake: torch.Tensor) -> Callable[[], object]:
    """Return a call of another package on the same features."""
    if name == "torch-fidelity FID":
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        return lambda: fid_statistics_to_metric(
            fid_features_to_statistics(fake), fid_features_to_statistics(real), False
        )
    if name == "torch-fidelity KID":
        from torch_fidelity.metric_kid import kid_features_to_metric

        return lambda: kid_features_to_metric(fake, real, kid_subsets=100, kid_subset_size=1000, verbose=False)
    if name == "prdc":
        from prdc import compute_prdc

        return lambda: compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    return lambda: official_prd(real.numpy(), fake.numpy())


def time_here(name: str, rows: int, threads: int) -> None:
    """Time one call in this process and print the figures as JSON."""
    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(io.StringIO()):
        task = (ours if name.startswith("ours") else peer)(name, *features(rows))
        wall, processor = time.perf_counter(), time.process_time()
        task()
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - wall,
                "processor": time.process_time() - processor,
                "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
            }
        )
    )


def time_apart(name: str, rows: int, threads: int, turns: int = 1, source: str = "") -> dict[str, float]:
    """Return the median over `turns` fresh processes; `source` is another checkout to import the package from."""
    variables = {key: str(threads) for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--here", name, "--rows", str(rows), "--threads", str(threads)]
    if source:
        variables["PYTHONPATH"] = source
    found = []
    for _ in range(turns):
        done = subprocess.run(
            command, cwd=source or None, env={**os.environ, **variables}, capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def table_row(name: str, found: dict[str, float]) -> str:
    """Return a row of the table."""
    return f"| {name} | {found['wall']:.1f} | {found['processor']:.1f} | {found['gigabytes']:.2f} |"


def compare(rows: int, threads: int, turns: int) -> None:
    """Print the battery beside the sum of its peers, and the k-sweep beside one k."""
    names = (*PEERS, "ours", "ours, reference prepared", "ours, one k", "ours, 100 k")
    found = {}
    print(f"{rows:,} x {WIDTH:,}, threads: {threads}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | wall s | processor s | peak GB |\n| --- | --- | --- | --- |")
    for name in names:
        found[name] = time_apart(name, rows, threads, turns)
        print(table_row(name, found[name]), flush=True)
    for kind in ("wall", "processor"):
        peers = sum(found[name][kind] for name in PEERS)
        print(
            f"\n{kind}: the four peers {peers:.1f} s; ours 1/{peers / found['ours'][kind]:.1f}, with the reference "
            f"prepared 1/{peers / found['ours, reference prepared'][kind]:.1f}; 100 k cost "
            f"{found['ours, 100 k'][kind] / found['ours, one k'][kind]:.2f} times one k"
        )


def compare_checkouts(other: str, rows: int, threads: int, turns: int) -> None:
    """Print the battery against a prepared reference in this checkout and in another one, in turns."""
    name, found = "ours, reference prepared", list[tuple[dict[str, float], dict[str, float]]]()
    print("| turn | wall s, here | there | processor s, here | there |\n| --- | --- | --- | --- | --- |")
    for turn in range(turns):
        here, there = time_apart(name, rows, threads), time_apart(name, rows, threads, source=other)
        found.append((here, there))
        print(f"| {turn} | {here['wall']:.2f} | {there['wall']:.2f} | {here['processor']:.2f} ", end="")
        print(f"| {there['processor']:.2f} |", flush=True)
    for kind in ("wall", "processor"):
        ratio = statistics.median(here[kind] / there[kind] for here, there in found)
        print(f"\n{kind}: here {ratio:.2f} of there (median of {turns} turns)")


def scaling(counts: list[int], threads: int) -> None:
    """Print time and memory by the number of rows."""
    print("| rows | wall s | processor s | peak GB | processor s over rows squared, first = 1 |")
    print("| --- | --- | --- | --- | --- |")
    first = None
    for rows in counts:
        found = time_apart("ours", rows, threads)
        each = found["processor"] / rows**2
        first = first or each
        print(f"{table_row(f'{rows:,}', found)} {each / first:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6080)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--scaling", type=int, nargs="+")
    parser.add_argument("--against", help="folder of another checkout")
    parser.add_argument("--here", help="internal: the call to time in this process")
    given = parser.parse_args()
    if given.here:
        time_here(given.here, given.rows, given.threads)
    elif given.against:
        compare_checkouts(given.against, given.rows, given.threads, given.turns)
    elif given.scaling:
        scaling(given.scaling, given.threads)
    else:
        compare(given.rows, given.threads, given.turns)


if __name__ == "__main__":
    main()
