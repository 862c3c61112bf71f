"""One process of several that embed one set; run by test_sharding.py. Arguments: the extractor, the result's file."""

from __future__ import annotations

import sys

import numpy as np
import torch

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.embedding.sharding import agreed, join, place, processes, shared
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet


def faults() -> list[str]:
    """Return what this process gets: no error, one in the second process, one for other images, one for other work.

    Last comes the value that both agree on.
    """
    rank, _ = place()
    images = np.zeros((2, 1, 4, 4), np.uint8)

    def work() -> int:
        if rank == 1:
            raise ExtractorError("no luck")
        return rank

    answers = []

    def well() -> int:
        return rank

    other = images + np.uint8(rank)
    for given, of, by in ((well, images, "a"), (work, images, "a"), (well, other, "a"), (well, images, "ab"[rank])):
        try:
            answers.append(str(shared(given, of=of, by=by)))
        except ExtractorError as error:
            answers.append(str(error))
    return [*answers, str(agreed(f"verdict of process {rank}"))]


def deserted() -> str:
    """Return what the first process gets when the second one ends early."""
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
        join()  # the second call does nothing
        np.savez(result, features=np.array(faults()))
        return
    if spec == "deserted":
        with processes():
            np.savez(result, features=np.array([deserted()]))
        return
    if spec == "means":
        extractor = space_of_function("means", "means", lambda given: given.mean((2, 3)), batch=4)
    else:
        extractor = load_extractor(spec, calibration=images.take(slice(0, 3)))
    with processes():
        np.savez(result, features=embed_images(extractor, images).features)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
