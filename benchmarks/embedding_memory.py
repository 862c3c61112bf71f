"""Peak memory of embedding 12,160 images through the store of features, and FID in bfloat16 beside float32.

    python benchmarks/embedding_memory.py memory [--every 16] [--spec inception_v3,weights=random]
    python benchmarks/embedding_memory.py bfloat16 --images FILE.npz [--count 512] [--weights FILE]

`memory`: every sixteenth block of images is computed and the others repeat its answer (--every 1 computes all): what is
held in memory at any time is the same. `bfloat16`: two halves of real images, no patient in both.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_medgan.embedding import Cache, embed_images, load_extractor
from pytest_medgan.embedding.batches import Batches
from pytest_medgan.embedding.contract import Answer
from pytest_medgan.metrics import frechet_distance
from pytest_medgan.records import ImageSet, UInt8


def peak() -> float:
    """Megabytes, of a million bytes each; everything that the process has had resident at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def memory(spec: str, every: int) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12160, 1, 128, 128), dtype=np.uint8)
    images = ImageSet(pixels, np.array([str(i // 64) for i in range(12160)]), "noise")
    extractor = load_extractor(spec, calibration=images.take(slice(0, 32)))
    batches: Batches = extractor.run.__self__  # type: ignore[attr-defined]
    loaded, compute = peak(), batches._stream
    calls = [0]
    kept: list[Answer] = []

    def stream(given: UInt8, batch: int) -> Iterator[Answer]:
        if calls[0] % every == 0:
            kept[:] = compute(given, batch)
        calls[0] += 1
        left = len(given)
        for features, chances in kept:
            yield features[:left].copy(), None if chances is None else chances[:left].copy()
            left -= len(features)

    batches._stream = stream
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        first = embed_images(extractor, images, cache=Cache(Path(folder)))
        most = peak()
        cache = Cache(Path(folder))
        middle = time.perf_counter()
        second = embed_images(extractor, images, cache=cache)
        end = time.perf_counter()
    print(
        f"{extractor.summary}: {loaded:.0f} MB once loaded, images included; "
        f"peak {most:.0f} MB for {len(first)} images, {peak():.0f} MB with a second copy of the features"
    )
    print(
        f"{middle - start:.1f} s with one block in {every} computed; "
        f"again from the store {end - middle:.1f} s: {cache.counts}"
    )
    if not np.array_equal(first.features, second.features):
        raise SystemExit("the store changed the features")


def bfloat16(file: Path, count: int, weights: str) -> None:
    stored = np.load(file)
    pixels, patients = stored["pixels"].reshape(-1, 1, 128, 128), stored["patient"].astype(str)
    names = np.random.default_rng(0).permutation(np.unique(patients))
    halves = [np.flatnonzero(np.isin(patients, part)) for part in np.array_split(names, 2)]
    chosen = [np.random.default_rng(1).permutation(half)[: count // 2] for half in halves]
    sets = [ImageSet(pixels[index], patients[index], "real") for index in chosen]
    found = {}
    for precision in ("float32", "bfloat16"):
        extractor = load_extractor(f"inception_v3,weights={weights},precision={precision}", calibration=sets[0])
        features = [embed_images(extractor, images).features for images in sets]
        found[precision] = frechet_distance(real=features[0], fake=features[1])
    change = abs(found["bfloat16"] / found["float32"] - 1)
    print(f"FID between two halves of {count // 2} real images: {found}, changed by {change:.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("memory", "bfloat16"))
    parser.add_argument("--spec", default="inception_v3,weights=random")
    parser.add_argument("--every", type=int, default=16)
    parser.add_argument("--images", type=Path, metavar="FILE.npz", help="uint8 `pixels` [N,128,128] and `patient` [N]")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--weights", default="random", help="of the two networks under bfloat16 (default random)")
    arguments = parser.parse_args()
    if arguments.what == "memory":
        memory(arguments.spec, arguments.every)
    elif arguments.images is None:
        parser.error("bfloat16 needs --images")
    else:
        bfloat16(arguments.images, arguments.count, arguments.weights)


if __name__ == "__main__":
    main()
