"""Where real and generated images lie beside each other: t-SNE in two dimensions (van der Maaten & Hinton 2008).

As in the paper's figure 4, but seeded, on a seeded subset of at most `POINTS` images, half of them real, and from the
leading principal components, which is what keeps it quick and quiet. The plane shows neighbourhoods; distances between
far-off clusters in it mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_medgan.errors import MetricInputError
from pytest_medgan.records import Bool, Float32, Float64, Int64

POINTS = 2000  # in all; more take long and show less
COMPONENTS = 50  # principal components that t-SNE sees
PERPLEXITY = 30.0
ITERATIONS = 500
FEWEST = 4  # images a side under which a picture says nothing


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of real images, then of generated ones."""

    coordinates: Float32  # [P,2], both axes within -1..1
    is_real: Bool  # [P]
    index: Int64  # [P], row in the image's own set, ascending within each side


def project(*, real: Float32, fake: Float32, points: int = POINTS, seed: int = 0) -> Projection | None:
    """t-SNE of features [N,D] and [M,D]; None where a side has fewer than four images.

    Equal features and seed give equal coordinates on one machine; they are for looking at, not for comparing.
    Raises MetricInputError where the widths differ.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise MetricInputError(
            f"real and fake must be [N,D] and [M,D], not {list(real.shape)} and {list(fake.shape)}; "
            "embed both with one extractor"
        )
    if min(len(real), len(fake)) < FEWEST:
        return None
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen_real, chosen_fake = (choose(len(side), points // 2, rng) for side in (real, fake))
    together = np.concatenate([real[chosen_real], fake[chosen_fake]]).astype(np.float64)
    return Projection(
        coordinates=_embed(together, seed),
        is_real=np.arange(len(together)) < len(chosen_real),
        index=np.concatenate([chosen_real, chosen_fake]),
    )


def choose(available: int, wanted: int, rng: np.random.Generator) -> Int64:
    """At most `wanted` rows of `available`, ascending."""
    if available <= wanted:
        return np.arange(available, dtype=np.int64)
    return np.sort(rng.choice(available, wanted, replace=False)).astype(np.int64)


def _embed(features: Float64, seed: int) -> Float32:
    """[P,D] to [P,2]: principal components, scaled to a spread of one in all, then t-SNE."""
    from sklearn.manifold import TSNE  # takes a second to import
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    centred = (features - features.mean(0)).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=ITERATIONS)
    # one thread: its threads wait for one another at every step, on a shared machine for minutes; and a sum's order
    # would depend on their number
    with threadpool_limits(1):
        left, values, _ = randomized_svd(centred, min(COMPONENTS, *centred.shape), random_state=seed)
        components = left * values
        spread = float(np.sqrt((components**2).sum(1).mean())) or 1.0
        plane: NDArray[np.float64] = model.fit_transform(components / spread).astype(np.float64)
    plane -= (plane.max(0) + plane.min(0)) / 2
    largest = float(np.abs(plane).max())
    return (plane / (largest or 1.0)).astype(np.float32)
