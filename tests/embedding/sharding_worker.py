"""One process of several that embed one set; run by test_sharding.py. Arguments: the extractor, the result's file."""

from __future__ import annotations

import sys

import numpy as np
import torch

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.embedding.sharding import join, place, processes, shared
from pytest_medgan.embedding.spaces import OtherExtractor
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet


def faults() -> list[str]:
    """What this process is told when all is well, when the second one fails, when images differ, and when work does."""
    rank, _ = place()
    images = np.zeros((2, 1, 4, 4), np.uint8)

    def work() -> int:
        if rank == 1:
            raise ExtractorError("no luck")
        return rank

    told = []

    def well() -> int:
        return rank

    other = images + np.uint8(rank)
    for given, of, by in ((well, images, "a"), (work, images, "a"), (well, other, "a"), (well, images, "ab"[rank])):
        try:
            told.append(str(shared(given, of=of, by=by)))
        except ExtractorError as error:
            told.append(str(error))
    return told


def deserted() -> str:
    """What the first process is told when the second one leaves on its own."""
    images = np.zeros((2, 1, 4, 4), np.uint8)
    if place()[0] == 1:
        return "left"
    try:
        return str(shared(lambda: 0, of=images, by="a"))
    except ExtractorError as error:
        return str(error)


def main(spec: str, result: str) -> None:
    torch.set_num_threads(1)
    y, x = np.mgrid[:128, :128]
    discs = [(np.hypot(y - 40 - i, x - 60 + i) < 15 + i) * 150 + 40 + 3 * i for i in range(21)]
    images = ImageSet(np.stack(discs)[:, None].astype(np.uint8), np.array(["P"] * 21), "discs")
    if spec == "faults":
        join()
        join()  # again is nothing
        np.savez(result, features=np.array(faults()))
        return
    if spec == "deserted":
        with processes():
            np.savez(result, features=np.array([deserted()]))
        return
    if spec == "means":
        extractor = OtherExtractor("means", "means", lambda given: given.mean((2, 3)), batch=4)
    else:
        extractor = load_extractor(spec, calibration=images.take(slice(0, 3)))
    with processes():
        np.savez(result, features=embed_images(extractor, images).features)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
