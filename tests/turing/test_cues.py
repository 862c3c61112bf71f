from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import laplace, uniform_filter

from pytest_medgan.turing import cue_warning, find_cues
from pytest_medgan.turing.cues import STATISTICS, Cue

Pixels = npt.NDArray[np.uint8]


def pictures(seed: int, *, count: int = 40) -> Pixels:
    """Return images [N,1,32,32] of an ellipse with noise; size of the ellipse and strength of the noise vary."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    axes = rng.uniform(0.4, 0.9, (count, 2, 1, 1))
    inside = (x / axes[:, 0]) ** 2 + (y / axes[:, 1]) ** 2 < 1
    noise = rng.normal(0, 1, inside.shape) * rng.uniform(8, 12, (count, 1, 1))
    return np.clip(60 + 90 * inside + noise, 1, 254).astype(np.uint8)[:, None]


def cues_by_name(real: Pixels, fake: Pixels) -> dict[str, str]:
    return {cue.name: cue.higher_in for cue in find_cues(real=real, fake=fake)}


def test_equal_sets_have_no_cue() -> None:
    assert find_cues(real=pictures(1), fake=pictures(2)) == ()


def test_blurred_generated_images_give_cues_of_sharpness_and_noise() -> None:
    blurred = uniform_filter(pictures(2), (0, 0, 3, 3))
    found = cues_by_name(pictures(1), blurred)
    assert found["sharpness"] == "real"
    assert found["noise"] == "real"
    assert "mean grey level" not in found


def test_brighter_generated_images_give_a_cue_of_mean_grey_level() -> None:
    assert cues_by_name(pictures(1), pictures(2) // 2 + 120)["mean grey level"] == "generated"


def test_missing_grey_levels_give_a_cue() -> None:
    found = cues_by_name(pictures(1), pictures(2) // 8 * 8)
    assert found["number of grey levels"] == "real"


def test_clipped_grey_levels_give_a_cue() -> None:
    fake = pictures(2)
    fake[:, :, 0] = 0
    assert cues_by_name(pictures(1), fake)["share of black and white pixels"] == "generated"


def test_lower_contrast_gives_a_cue() -> None:
    fake = (pictures(2).astype(float) * 0.6 + 40).astype(np.uint8)
    assert cues_by_name(pictures(1), fake)["contrast"] == "real"


def test_clearest_cue_comes_first() -> None:
    cues = find_cues(real=pictures(1), fake=uniform_filter(pictures(2), (0, 0, 3, 3)) // 8 * 8)
    assert len(cues) > 1
    assert [cue.area for cue in cues] == sorted((cue.area for cue in cues), reverse=True)
    assert all(0.8 < cue.area <= 1 for cue in cues)


def test_few_images_need_a_larger_area() -> None:
    """With three images in each set the area is often above 0.8 by chance."""
    cue_counts = [len(find_cues(real=pictures(2 * i, count=3), fake=pictures(2 * i + 1, count=3))) for i in range(20)]
    assert sum(cue_counts) == 0


def test_sharpness_and_noise_agree_with_scipy() -> None:
    image = pictures(5, count=1)[:, 0]
    inner = laplace(image[0].astype(float), mode="constant")[1:-1, 1:-1]
    assert STATISTICS["sharpness"](image)[0] == pytest.approx(inner.var())
    assert STATISTICS["noise"](image)[0] == pytest.approx(np.median(np.abs(inner)))


def test_warning_names_the_statistic_and_its_area() -> None:
    text = cue_warning(Cue("sharpness", 0.934, "real"))
    assert "sharpness alone separates" in text
    assert "0.93" in text
    assert "higher in real images" in text
