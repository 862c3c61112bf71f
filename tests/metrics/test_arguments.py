"""Arguments that are no number, or not one of those that mean something, are refused in the project's own words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import (
    copy_rate,
    density_coverage,
    duplicate_rate,
    improved_precision_recall,
    inception_score,
    intensity_distance,
    measure,
    ms_ssim_diversity,
    precision_recall_distribution,
    prepare_reference,
    score_features,
)

ROWS = np.random.default_rng(0).standard_normal((60, 4))
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8)
HALVES = np.full((20, 2), 0.5)


def both(function):
    return lambda **given: function(real=ROWS, fake=ROWS + 0.1, **given)


def pictures(function, other):
    return lambda **given: function(**{"fake": IMAGES, other: IMAGES, **given})


FUNCTIONS = {
    "improved": both(improved_precision_recall),
    "density": both(density_coverage),
    "prd": both(precision_recall_distribution),
    "scores": both(score_features),
    "inception": lambda **given: inception_score(probabilities=HALVES, **given),
    "copies": pictures(copy_rate, "train"),
    "duplicates": lambda **given: duplicate_rate(fake=IMAGES, **given),
    "intensity": pictures(intensity_distance, "real"),
    "ssim": lambda **given: ms_ssim_diversity(fake=IMAGES, **given),
    "prepare": lambda **given: prepare_reference(ROWS, **given),
    "measure": lambda **given: measure(prepare_reference(ROWS, metrics=["fid"]), fake=ROWS, **given),
}

WRONG: dict[str, tuple[list[str], list[object]]] = {
    "k": (["improved", "density"], [3.5, 3.0, True, None, "3", -1, [2, 2.5], [True], (1, None), np.float64(3)]),
    "k, prepared": (["prepare"], [3.5, True, None, "3", 0]),
    "density_k": (["prepare"], [5.0, False, None, -2]),
    "sweep": (["prepare"], [2.5, None, [1, 2.5], "12", [0]]),
    "clusters": (["prd"], [20.0, True, None, 0, -3, "20"]),
    "runs": (["prd"], [1.5, True, None, 0, "ten"]),
    "beta": (["prd"], [-8, 0, np.nan, np.inf, None, "8", True, [8]]),
    "splits": (["inception"], [0, -1, 2.5, True, None, "10"]),
    "pairs": (["ssim"], [0, -1, 2.5, True, None]),
    "seed": (["prd", "inception", "ssim", "scores", "measure"], [-1, 0.5, None, True, "a", [1, -2]]),
    "distance": (["copies", "duplicates"], [-1, np.nan, np.inf, "2", True, [1.0]]),
    "window": (["intensity", "prepare"], [(400, -1000), (0, 0), (1,), (1, 2, 3), 5, "ab", (0, np.nan), (None, 1)]),
    "metrics": (["scores", "prepare", "measure"], [5, None, ["fid", 5]]),
}


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [
        (function, name.split(",")[0], value)
        for name, (functions, values) in WRONG.items()
        for function in functions
        for value in values
    ],
    ids=repr,
)
def test_wrong_argument_is_named_with_its_value_in_one_line(function, name, value):
    with pytest.raises(MetricInputError) as caught:
        FUNCTIONS[function](**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}"), message
    assert "; give " in message
    assert "\n" not in message


def test_whole_numbers_of_any_type_are_accepted():
    expected = improved_precision_recall(real=ROWS, fake=ROWS + 0.1, k=3)
    assert improved_precision_recall(real=ROWS, fake=ROWS + 0.1, k=np.int64(3)) == expected
    for ks in ([3], np.array([3]), torch.tensor([3]), range(3, 4)):
        precision, recall = improved_precision_recall(real=ROWS, fake=ROWS + 0.1, k=ks)
        assert (precision[0], recall[0]) == expected
    assert prepare_reference(ROWS, metrics="kid", sweep=range(1, 4)).ks.sweep == (1, 2, 3)
    assert copy_rate(fake=IMAGES, train=IMAGES, distance=np.float32(0)) == 1.0
