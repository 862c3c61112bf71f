"""The heads of `anomaly_rate`: fitted once per reference and feature space, and kept in the store."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import read_arrays
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.files import write_bytes
from pytest_medgan.ground.locks import locked
from pytest_medgan.metrics.alterations import altered_images
from pytest_medgan.metrics.heads import LEAST_IMAGES, LEAST_PATIENTS, Heads, fit_heads
from pytest_medgan.records import Alteration, Float32, ImageSet, Int64, Progress, RealSets, no_progress

if TYPE_CHECKING:
    from pytest_medgan.embedding.contract import FeatureSpace

MOST_IMAGES = 2048  # reference images that are altered, where the feature space offers its maps
MOST_IN_OTHER_SPACES = 512  # where it does not: such spaces are slow


def reference_heads(
    extractor: FeatureSpace, real: RealSets, folder: Path, progress: Progress = no_progress
) -> Heads | None:
    """Return the heads of a reference: those in the store, or fitted now and stored.

    Args:
        extractor: The feature space; heads look at its maps where it offers them.
        real: The real images.
        folder: Where heads are stored. One process fits; others that use the folder wait.
        progress: Told of the embedding of altered images.

    Returns:
        The heads; None where the reference is too small, or nothing can be told from its images.
    """
    from pytest_medgan.embedding.sharding import agreed, join, place

    reference, space = real.reference, extractor.maps or extractor
    if len(reference) < LEAST_IMAGES or len(np.unique(reference.groups)) < LEAST_PATIENTS:
        return None
    revision = METRICS["anomaly_rate"].revision
    name = digest_values("heads", real.digest, reference.recipe, space.identity, space.numeric_class, revision)
    path = folder / f"{name}.npz"
    join()
    if place()[1] > 1:  # processes of one group embed together, so none may wait for another
        known = agreed(_read(path))
        return known if known is not None else _fit(space, reference, progress)
    with locked(path):
        known = _read(path)
        if known is None:
            known = _fit(space, reference, progress)
            if known is not None:
                content = _to_bytes(known)
                write_bytes(path, content)
    return known


def _fit(space: FeatureSpace, reference: ImageSet, progress: Progress) -> Heads | None:
    """Fit the heads on reference images and the same images altered."""
    from pytest_medgan.embedding import embed_images

    some = reference.take(chosen_rows(len(reference), MOST_IMAGES if space.is_maps else MOST_IN_OTHER_SPACES))
    features: dict[Alteration | None, Float32] = {}
    for alteration, pixels in altered_images(some.pixels):
        images = ImageSet(pixels, some.groups, digest_values(reference.recipe, alteration))
        features[alteration] = embed_images(space, images, progress=progress).features
    real = features.pop(None)
    return fit_heads(real, {name: rows for name, rows in features.items() if name is not None}, some.groups)


def chosen_rows(count: int, most: int, seed: int = 0) -> Int64:
    """Return `most` random rows of `count`, ascending; all where there are no more."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def _to_bytes(heads: Heads) -> bytes:
    """Return the content of a file that `_read` reads."""
    content = io.BytesIO()
    np.savez(
        content,
        alterations=np.array([str(name) for name in heads.alterations]),
        blind=np.array([str(name) for name in heads.blind], dtype=np.str_),
        found=np.array([heads.found[name] for name in heads.alterations]),
        weights=heads.weights,
        offsets=heads.offsets,
        real=heads.real,
        group=heads.group,
    )
    return content.getvalue()


def _read(path: Path) -> Heads | None:
    """Return the heads in a file; None where there is none or it cannot be used."""
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path, name=path.name)
        names = tuple(Alteration(name) for name in arrays["alterations"].tolist())
        return Heads(
            alterations=names,
            weights=arrays["weights"],
            offsets=arrays["offsets"],
            found=dict(zip(names, arrays["found"].tolist(), strict=True)),
            blind=tuple(Alteration(name) for name in arrays["blind"].tolist()),
            real=arrays["real"],
            group=arrays["group"],
        )
    except (DataError, KeyError, ValueError):
        return None
