"""t-SNE of real and generated features in two dimensions (van der Maaten & Hinton 2008; Jang et al. 2022, figure 4).

Unlike the paper's figure, the projection is seeded and uses a seeded subset of at most `POINTS` images, half of them
real, and the leading principal components of the features, which keeps it fast. It shows neighbourhoods: distances
between clusters that lie far apart have no meaning.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pytest_medgan.errors import DataError, MetricInputError, OutputError
from pytest_medgan.ground.arrays import read_arrays
from pytest_medgan.ground.digests import digest_array, digest_values
from pytest_medgan.ground.files import write_file
from pytest_medgan.records import Bool, Float32, Float64, Int64

POINTS = 1600  # in all; more points take long and hide one another
COMPONENTS = 50  # principal components that t-SNE receives
PERPLEXITY = 30.0
ITERATIONS = 500
ANGLE = 0.8  # how coarsely distant points are gathered: a third faster than 0.5, with neighbourhoods kept as well
FEWEST_IMAGES = 4  # of each kind; with fewer the picture shows nothing
KEPT = 24  # projections kept in a folder; the one unused for longest is removed first


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of real images, then of generated ones."""

    coordinates: Float32  # [P,2]; the first axis spans -1..1, the second, along which they spread less, lies within
    is_real: Bool  # [P]
    index: Int64  # [P], row in the image's own set, ascending within each kind


def project(
    *, real: Float32, fake: Float32, points: int = POINTS, seed: int = 0, folder: Path | None = None
) -> Projection | None:
    """Project features to two dimensions by t-SNE.

    Equal features and seed give equal coordinates on one machine. The coordinates are for looking at, never for
    comparing.

    Args:
        real: float32 [N,D], features of real images.
        fake: float32 [M,D], features of generated images.
        points: Highest number of points in all.
        seed: Seed of the subset and of t-SNE.
        folder: Where coordinates are kept, so that equal features are not projected again; None keeps nothing.

    Returns:
        The points, or None where a set has fewer than four images.

    Raises:
        MetricInputError: The widths differ.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise MetricInputError(
            f"real and fake have shapes {list(real.shape)} and {list(fake.shape)} and must be [N,D] and [M,D]. "
            "Embed both with one extractor."
        )
    if min(len(real), len(fake)) < FEWEST_IMAGES:
        return None
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen_real, chosen_fake = (_choose(len(side), points // 2, rng) for side in (real, fake))
    together = np.concatenate([real[chosen_real], fake[chosen_fake]]).astype(np.float64)
    return Projection(
        coordinates=_coordinates(together, seed, folder),
        is_real=np.arange(len(together)) < len(chosen_real),
        index=np.concatenate([chosen_real, chosen_fake]),
    )


def _choose(available: int, wanted: int, rng: np.random.Generator) -> Int64:
    """Return at most `wanted` of `available` rows, ascending."""
    if available <= wanted:
        return np.arange(available, dtype=np.int64)
    return np.sort(rng.choice(available, wanted, replace=False)).astype(np.int64)


def _coordinates(features: Float64, seed: int, folder: Path | None) -> Float32:
    """Return [P,2] for [P,D], from the folder where it has them."""
    if folder is None:
        return _fill_frame(_embed(features, seed))
    settings = (seed, COMPONENTS, PERPLEXITY, ITERATIONS, ANGLE, version("scikit-learn"))
    path = folder / f"{digest_values('plane', digest_array(features), *settings)}.npy"
    with suppress(DataError, OSError):
        if path.exists():
            path.touch()
            [kept] = read_arrays(path, name=path.name).values()
            if kept.shape == (len(features), 2) and kept.dtype == np.float32 and np.isfinite(kept).all():
                return kept
    plane = _fill_frame(_embed(features, seed))
    with suppress(OutputError, OSError):  # a full disk must not cost the report
        folder.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda stream: np.save(stream, plane))
        for old in sorted(folder.glob("*.npy"), key=lambda file: file.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
    return plane


def _embed(features: Float64, seed: int) -> Float64:
    """Return [P,2] for [P,D]: principal components, scaled to a total variance of one, then t-SNE."""
    from sklearn.manifold import TSNE  # takes a second to import
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    centred = (features - features.mean(0)).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=ITERATIONS, angle=ANGLE)
    # One thread: several wait for one another at every step, and the order of a sum would depend on their number.
    with threadpool_limits(1):
        left, values, _ = randomized_svd(centred, min(COMPONENTS, *centred.shape), random_state=seed)
        components = left * values
        spread = float(np.sqrt((components**2).sum(1).mean())) or 1.0
        return np.asarray(model.fit_transform(components / spread), np.float64)


def _fill_frame(plane: Float64) -> Float32:
    """Return [P,2] rotated so that the wider spread lies along the first axis, centred and scaled to -1..1."""
    centred = plane - plane.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned = centred @ axes[:, ::-1]  # eigh sorts ascending
    turned -= (turned.max(0) + turned.min(0)) / 2
    if np.ptp(turned[:, 1]) > np.ptp(turned[:, 0]):
        turned = turned[:, ::-1]
    widest = float(np.abs(turned).max())
    return np.asarray(turned / (widest or 1.0), np.float32)
