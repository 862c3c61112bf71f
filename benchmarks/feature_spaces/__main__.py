"""One table of feature spaces: which faults of a model each of them sees, and how fast it is.

    python -m benchmarks.feature_spaces --data ../shared/data --work FOLDER [--spaces compact ...] [--threads 2]

The work folder keeps features, so a run can be stopped and taken up again; nothing is written elsewhere. Images a
second are those of this run, best of three rounds over 128 images.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import torch

from benchmarks.feature_spaces.effects import CAUGHT, METRICS, Values, effects, measured, summary
from benchmarks.feature_spaces.faults import FAULTS
from benchmarks.feature_spaces.spaces import SPACES, Space, images_per_second, make_space, stored
from benchmarks.feature_spaces.stand_in import GROUPS, UNCHANGED, Study, draw, load_study


def measure_space(space: Space, study: Study, folder: Path) -> dict[str, list[Values]]:
    """The six metrics of every group, by fault; "unchanged" and "real" (patches of the pool's patients) among them."""
    real = stored(folder / "reference.npy", lambda: space.embed(study.reference))
    other = stored(folder / "other.npy", lambda: space.embed(study.pool[: len(study.reference)]))
    found = {"real": [measured(real, other, space.ball_dimensions)]}
    for fault in (UNCHANGED, *FAULTS):
        groups = []
        for group in range(GROUPS):
            file = folder / fault.replace(" ", "_") / f"{group}.npy"
            fake = stored(file, lambda: space.embed(draw(study, group, fault)))  # noqa: B023 - called at once
            groups.append(measured(real, fake, space.ball_dimensions))
        found[fault] = groups
        print(f"  {space.name}: {fault} done", flush=True)
    return found


def show(name: str, groups: dict[str, list[Values]], speed: float) -> dict[str, Values]:
    """Print the effects in one space; returns them."""
    found = effects(groups[UNCHANGED], {fault: groups[fault] for fault in FAULTS})
    caught, median, better = summary(found)
    print(f"\n### {name}\n")
    print(f"{speed:.0f} images a second. Caught {caught} of {len(found)}, median best effect {median:.1f}.")
    print(f"The furthest that a fault moves FID or KID to the better side: {max(0.0, -better):.1f}.\n")
    print("| fault | " + " | ".join(METRICS) + " | best |")
    print("| --- " * (len(METRICS) + 2) + "|")
    for fault, row in found.items():
        mark = "**" if row.max() > CAUGHT else ""
        print(f"| {fault} | " + " | ".join(f"{value:.1f}" for value in row) + f" | {mark}{row.max():.1f}{mark} |")
    plain, real = np.mean(groups[UNCHANGED], 0), groups["real"][0]
    print("| values: unchanged | " + " | ".join(f"{value:.4g}" for value in plain) + " | |")
    print("| values: real | " + " | ".join(f"{value:.4g}" for value in real) + " | |")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_spaces", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches and weights")
    parser.add_argument("--work", type=Path, required=True, help="where features are kept")
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), help="names of the table, or extractor strings")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    study = load_study(arguments.data)
    lines = []
    for name in arguments.spaces:
        space = make_space(name, arguments.data, study.reference)
        groups = measure_space(space, study, arguments.work / re.sub(r"\W+", "_", name))
        speed = images_per_second(space, study.reference[:128])
        found = show(name, groups, speed)
        caught, median, better = summary(found)
        width = space.embed(study.reference[:2]).shape[1]
        lines.append(f"| {name} | {width} | {speed:.0f} | {caught} | {median:.1f} | {max(0.0, -better):.1f} |")
    print("\n| feature space | dimensions | images a second | caught of 21 | median best | to the better side |")
    print("| --- " * 6 + "|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
