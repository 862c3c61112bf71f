"""Measure how long a report takes once the scores exist, and how large it is, for 6,080 real and generated images.

python benchmarks/report_speed.py [--images 6080] [--size 128] [--features 2048] [--real]

Images and features are made up, with the structure that matters here: shapes under noise that hardly compresses,
clusters in feature space, and duplicates. The passes of the scores (evidence with the k-sweep) are timed separately,
because a run that reports gathers the evidence while it scores. Processor time is printed next to time on the clock,
since it depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pytest_medgan.evaluate.pictures import with_pictures
from pytest_medgan.evaluate.workbench import swept
from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.records import ImageSet, Score, Scores
from pytest_medgan.report import ModelRecord, ReportRun, render, save_evidence, write_run


def images(count: int, size: int, seed: int) -> np.ndarray:
    """Return uint8 [N,1,size,size]: discs of different places and widths under noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    found = np.empty((count, 1, size, size), np.uint8)
    for i in range(count):
        x, y, width = rng.uniform((-0.4, -0.4, 0.2), (0.4, 0.4, 0.6)).tolist()
        disc = ((columns - x) ** 2 + (rows - y) ** 2 < width**2) * np.float32(120)
        found[i, 0] = np.clip(50 + disc + rng.normal(0, 12, (size, size)), 0, 255)
    return found


def features(count: int, width: int, seed: int) -> np.ndarray:
    """Return float32 [N,width] in twenty clusters, of the rank that deep features have."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(99)
    centres, mixing = kinds.normal(0, 1.5, (20, 64)), kinds.normal(0, 0.1, (64, width))
    return ((centres[rng.integers(20, size=count)] + rng.normal(0, 1, (count, 64))) @ mixing).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6080)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--real", action="store_true", help="with pictures of real images, as --medgan-report-real")
    arguments = parser.parse_args()
    n = arguments.images
    real_pixels, fake_pixels = (images(n, arguments.size, seed) for seed in (1, 2))
    fake_pixels[1:9] = fake_pixels[0]  # a few duplicates
    patients = np.array([f"{i // 64:03d}" for i in range(n)])
    real, fake = (features(n, arguments.features, seed) for seed in (1, 2))
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {n} images of {arguments.size} x {arguments.size}")

    metrics = ("fid", "kid", "precision", "recall", "improved_precision", "improved_recall", "density", "coverage")
    metrics += ("duplicate_rate", "intensity_distance")
    start = time.perf_counter()
    reference = prepare_reference(real, pixels=real_pixels, metrics=metrics, sweep=swept(n))
    print(f"the reference, prepared once: {time.perf_counter() - start:.1f} s")
    for evidence in (False, True):
        start = time.perf_counter()
        battery = measure(reference, fake=fake, pixels=fake_pixels, metrics=metrics, evidence=evidence)
        words = "with evidence and k-sweep" if evidence else "without evidence"
        print(f"the scores of one sample group {words}: {time.perf_counter() - start:.1f} s")

    scored = {
        name: Score(found.value, found.se, 0.0, found.se_total, 3, (found.value,) * 3)
        for name, found in battery.estimates.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        began = last = (time.perf_counter(), time.process_time())

        def lap(what: str, since: tuple[float, float] | None = None) -> None:
            nonlocal last
            now = (time.perf_counter(), time.process_time())
            clock, processor = (b - a for a, b in zip(since or last, now, strict=True))
            print(f"  {what}: {clock:.1f} s, processor {processor:.1f} s")
            last = now

        drawn = with_pictures(
            battery.evidence,
            real=ImageSet(real_pixels, patients, "real", window=(-1000.0, 400.0)),
            fake=ImageSet(fake_pixels, patients, "fake"),
            real_features=real,
            fake_features=fake,
            include_real=arguments.real,
        )
        lap("t-SNE, thumbnails, histograms")
        save_evidence(Path(folder) / "one.npz", drawn)
        lap("evidence kept")
        model = ModelRecord("model", looks=(Scores(n, n, ("0", "1", "2"), scored),), full_count=n)
        write_run(Path(folder), ReportRun((model,)), {"model": drawn}, include_real=arguments.real)
        lap("run folder")
        render(Path(folder), ("html", "md", "json"), include_real=arguments.real)
        lap("report.html and report.md")
        size = (Path(folder) / "report.html").stat().st_size
        lap("the report after the scores, in all", began)
        print(f"report.html: {size / 1e6:.2f} MB")
    print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
