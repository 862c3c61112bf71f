"""What a reader of the figures is warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate import Settings, Subject, Workbench
from pytest_medgan.records import DataSettings, Float32, ImageSet, Progress, RealSets, UInt8, no_progress


class Means:
    identity = "means"
    numeric_class = "float32"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        return pixels.reshape(len(pixels), -1)[:, :4].astype(np.float32), None


def images(count: int, patients: int) -> ImageSet:
    groups = np.array([f"p{i % patients}" for i in range(count)])
    return ImageSet(np.zeros((count, 1, 8, 8), np.uint8), groups, "recipe")


@pytest.mark.parametrize(
    ("reference", "held_out", "words"),
    [
        (images(50, 4), images(16, 2), []),
        (images(49, 4), images(16, 2), ["The reference has 49 images of 4 patients, and at least 50 of 4 are needed"]),
        (images(60, 3), images(16, 2), ["The reference has 60 images of 3 patients"]),
        (images(50, 4), images(15, 2), ["15 images are held out, too few for a Real row"]),
        (images(9, 1), images(1, 1), ["The reference has 9 images", "1 images are held out"]),
    ],
)
def test_small_sets_are_warned_of(reference: ImageSet, held_out: ImageSet, words: list[str], tmp_path: Path) -> None:
    real = RealSets(images(60, 6), reference, held_out, DataSettings("studies"), "digest", warnings=("known",))
    subject = Subject(real, resolve_extractor(Means()), Settings(), Workbench(tmp_path))
    first, *others = subject.warnings
    assert first == "known"
    assert [text[: len(word)] for text, word in zip(others, words, strict=True)] == words


def test_small_sets_of_whole_volumes_are_counted_in_volumes(tmp_path: Path) -> None:
    settings = DataSettings("studies", planes="volume")
    real = RealSets(images(6, 6), images(9, 9), images(3, 3), settings, "digest")
    reference, held_out = Subject(real, resolve_extractor(Means()), Settings(), Workbench(tmp_path)).warnings
    assert reference.startswith("The reference has 9 volumes of 9 patients, and at least 50 of 4 are needed")
    assert held_out == (
        "3 volumes are held out, too few for a Real row, which would show the values of real volumes. Add studies."
    )
