"""Errors that take the slices of a volume together agree with a bootstrap over volumes.

The bootstrap draws sample groups of whole volumes out of many, as a generator of volumes does. One that draws volumes
with replacement out of a single sample group would repeat images, which shifts FID, recall and coverage. The model
differs from the real volumes: near them, where FID, KID and intensity distance cannot fall much,
their errors are too large.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.metrics.reference import Reference
from pytest_medgan.records import ImageSet

AGREE = ("fid", "kid", "improved_precision", "density", "coverage")
WITHIN = 0.15
SLICES = 4  # of a volume


def ratios(
    reference: Reference,
    features: np.ndarray,
    group: np.ndarray,
    *,
    volumes: int,
    draws: int,
    metrics: tuple[str, ...] = AGREE,
    pixels: np.ndarray | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return each metric's error by volume, and by slice, as a share of its spread over drawn sample groups.

    Args:
        reference: What is measured against.
        features: Features of the slices of all volumes.
        group: The volume of each slice, numbered from 0.
        volumes: Volumes of a sample group.
        draws: Sample groups.
        metrics: The metrics.
        pixels: The slices, where metrics need them.
    """
    rng, count = np.random.default_rng(0), int(group.max()) + 1
    values: dict[str, list[float]] = {name: [] for name in metrics}
    errors: tuple[dict[str, list[float]], ...] = ({name: [] for name in metrics}, {name: [] for name in metrics})
    for turn in range(draws):
        rows = np.flatnonzero(np.isin(group, rng.permutation(count)[:volumes]))
        some = None if pixels is None else pixels[rows]
        for place, groups in enumerate((group[rows], None)[: 2 if turn < 10 else 1]):
            by = measure(reference, fake=features[rows], pixels=some, fake_groups=groups, metrics=metrics).estimates
            for name in metrics:
                errors[place][name].append(by[name].se)
                if place == 0:
                    values[name].append(by[name].value)
    left = np.sqrt(1 - volumes / count)  # groups drawn out of finitely many volumes spread less
    shares: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for name in metrics:
        spread = np.std(values[name], ddof=1) / left
        for share, claimed in zip(shares, errors, strict=True):
            share[name] = float(np.sqrt(np.mean(np.square(claimed[name]))) / spread)
    return shares


def slices_of_volumes(rng: np.random.Generator, volumes: int, offset: float, slices: int = SLICES) -> np.ndarray:
    """Return features float32 [volumes * slices, 8]; the slices of a volume are alike."""
    volume = np.repeat(rng.standard_normal((volumes, 8)), slices, 0)
    return (volume + 0.7 * rng.standard_normal(volume.shape) + offset).astype(np.float32)


def test_errors_by_volume_agree_with_a_bootstrap_over_volumes() -> None:
    rng = np.random.default_rng(3)
    real = slices_of_volumes(rng, 60, 0.0)
    reference = prepare_reference(real, groups=np.arange(len(real)) // SLICES)
    fake = slices_of_volumes(rng, 2000, 1.0)
    by_volume, by_slice = ratios(reference, fake, np.arange(len(fake)) // SLICES, volumes=40, draws=150)
    for name in AGREE:
        assert by_volume[name] == pytest.approx(1, abs=WITHIN), (name, by_volume)
        assert by_slice[name] < 0.8, (name, by_slice)


@pytest.mark.parametrize(("volumes", "slices"), [(12, 16), pytest.param(24, 8, marks=pytest.mark.slow)])
def test_errors_of_prd_by_few_volumes_are_not_below_the_spread_of_new_volumes(volumes: int, slices: int) -> None:
    """New volumes reach clusters that the others did not, which the influence of the drawn slices does not show.

    The errors are above the spread, since the clusters follow the drawn volumes and would follow new ones as well.
    """
    rng, names = np.random.default_rng(4), ("precision", "recall")
    real = slices_of_volumes(rng, 40, 0.0, 8)
    reference = prepare_reference(real, groups=np.arange(len(real)) // 8, metrics=names)
    fake = slices_of_volumes(rng, 1000, 0.0, slices)
    group = np.arange(len(fake)) // slices
    by_volume, _ = ratios(reference, fake, group, volumes=volumes, draws=60, metrics=names)
    for name in names:
        assert 1 - WITHIN < by_volume[name] < 1.7, (name, by_volume)


@pytest.mark.slow
def test_errors_by_phantom_volume_agree_with_a_bootstrap_over_volumes(tmp_path: Path) -> None:
    """The model is the phantoms, blurred, which leaves grey levels nearly as they are.

    The error of the intensity distance is then above its spread, since the distance cannot fall below 0; so is that of
    recall, by image as well.
    """
    from pytest_medgan.embedding import embed_images, load_extractor
    from pytest_medgan.evaluate.settings import parse_data
    from pytest_medgan.evaluate.sources import prepare

    made = prepare(parse_data("phantom:240x8@7,crop=image,size=64,slices=all"), cache_dir=tmp_path)
    names, group = np.unique(made.groups, return_inverse=True)
    real = group < 60
    blurred = np.rint(gaussian_filter(made.pixels[~real].astype(np.float64), (0, 0, 0.7, 0.7))).astype(np.uint8)
    space = load_extractor("compact")
    features = [
        embed_images(space, ImageSet(pixels, made.groups[rows], "x")).features
        for pixels, rows in ((made.pixels[real], real), (blurred, ~real))
    ]
    metrics = (*AGREE, "intensity_distance", "improved_recall")
    reference = prepare_reference(
        features[0],
        groups=group[real],
        pixels=made.pixels[real],
        window=made.window,
        metrics=metrics,
        ball_dimensions=space.ball_dimensions,
    )
    by_volume, by_slice = ratios(
        reference, features[1], group[~real] - 60, volumes=30, draws=300, metrics=metrics, pixels=blurred
    )
    for name in ("fid", "kid", "improved_precision", "density"):
        assert by_volume[name] == pytest.approx(1, abs=WITHIN), (name, by_volume)
    for name in ("fid", "kid"):
        assert by_slice[name] < 0.8, (name, by_slice)
    for name in ("intensity_distance", "improved_recall"):
        assert by_volume[name] > 1 - WITHIN, (name, by_volume)
    assert len(names) == 240
