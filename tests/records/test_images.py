"""Parts of image sets and embeddings keep rows together."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.records import Embeddings, ImageSet

INDEX = np.array([2, 0])


@pytest.mark.parametrize("index", [INDEX, slice(1, 3)])
def test_part_of_an_image_set_keeps_rows_together(index: np.ndarray | slice) -> None:
    pixels = np.arange(3 * 4, dtype=np.uint8).reshape(3, 1, 2, 2)
    whole = ImageSet(pixels, np.array(["a", "b", "c"]), "recipe", np.array([0, 1, -1], np.int8), (-1000.0, 400.0))
    part = whole.take(index)
    assert (part.pixels == pixels[index]).all()
    assert part.groups.tolist() == whole.groups[index].tolist()
    assert part.labels is not None
    assert whole.labels is not None
    assert part.labels.tolist() == whole.labels[index].tolist()
    assert (part.recipe, part.window, len(part)) == ("recipe", (-1000.0, 400.0), 2)


def test_part_of_a_set_without_labels_has_none() -> None:
    assert ImageSet(np.zeros((2, 1, 2, 2), np.uint8), np.array(["a", "b"]), "r").take(slice(1)).labels is None


def test_part_of_embeddings_keeps_rows_together() -> None:
    features, probabilities = np.arange(6, dtype=np.float32).reshape(3, 2), np.eye(3, dtype=np.float32)
    part = Embeddings(features, np.array(["a", "b", "c"]), "space", "recipe", probabilities).take(INDEX)
    assert (part.features == features[INDEX]).all()
    assert part.probabilities is not None
    assert (part.probabilities == probabilities[INDEX]).all()
    assert part.groups.tolist() == ["c", "a"]
    assert Embeddings(features, np.array(["a", "b", "c"]), "space", "recipe").take(INDEX).probabilities is None
