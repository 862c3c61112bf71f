"""The metric battery on a GPU beside the same call on the CPU: times, and how far the values are apart.

    python benchmarks/gpu_metrics.py [--device cuda] [--rows 6080]

Features float32 [rows,2048] as in metrics_speed.py. Each call is timed once after a call on an eighth of the rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import torch
from metrics_speed import BATTERY, features

from pytest_medgan import metrics


def values(real: torch.Tensor, fake: torch.Tensor) -> Mapping[str, float]:
    """Return the value of every metric of the battery."""
    return metrics.score_features(real=real, fake=fake)


def timed(real: torch.Tensor, fake: torch.Tensor) -> tuple[float, Mapping[str, float]]:
    """Return the seconds that a call takes, and its values."""
    eighth = len(real) // 8
    values(real[:eighth], fake[:eighth])
    if real.is_cuda:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    found = values(real, fake)
    return time.perf_counter() - begun, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, default=6080)
    arguments = parser.parse_args()
    real, fake = features(arguments.rows)
    on_device, theirs = timed(real.to(arguments.device), fake.to(arguments.device))
    on_cpu, ours = timed(real, fake)
    print(
        f"{arguments.rows} rows of 2048, {len(BATTERY)} metrics and more: {arguments.device} {on_device:.2f} s, ",
        end="",
    )
    print(f"cpu on {torch.get_num_threads()} threads {on_cpu:.2f} s, {on_cpu / on_device:.1f} times as fast")
    print("| metric | cpu | device | relative difference |\n| --- | --- | --- | --- |")
    for name, value in ours.items():
        apart = abs(theirs[name] - value) / max(abs(value), 1e-12)
        print(f"| {name} | {value:.6g} | {theirs[name]:.6g} | {apart:.1e} |")


if __name__ == "__main__":
    main()
