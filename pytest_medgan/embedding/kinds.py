"""Whether a feature space takes images of a kind: grey ones, colours or volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_medgan.embedding.canaries import distance
from pytest_medgan.embedding.contract import FeatureSpace, check_answer
from pytest_medgan.errors import ExtractorError, MedganError
from pytest_medgan.records import CANARY_TOLERANCE, Float32, UInt8

TRIED = 4  # images or volumes that a space is tried with
# By how much features may depend on the others of a batch, relative to their size. Measured: 0 in float32 and bfloat16,
# 0.007 where activations are quantised together; batch normalisation in train mode has more.
MOST_COUPLED = 0.02


def check_kind(space: FeatureSpace, pixels: UInt8) -> None:
    """Raise ExtractorError where a space does not take what is to be embedded.

    Args:
        space: The feature space.
        pixels: uint8 [N,C,H,W], or volumes [N,1,D,H,W].
    """
    if space.takes_volumes and pixels.ndim != 5:
        raise ExtractorError(
            "The extractor takes volumes, and the images are slices or pictures. Add planes=volume to --medgan-data, "
            "or name an extractor of images."
        )
    if pixels.ndim == 5 and not space.takes_volumes:
        raise ExtractorError(
            "The extractor takes images, and planes=volume asks for volumes. Choose planes=three, or name an extractor "
            "of volumes, with volumes=yes behind its name."
        )
    if pixels.shape[1] not in space.channels:
        kind = "in colour" if pixels.shape[1] == 3 else "grey"
        raise ExtractorError(
            f"The images are {kind}, and {space.summary} does not take such images. Name another extractor, such as "
            "inception_v3."
        )


def try_space(space: FeatureSpace, pixels: UInt8) -> None:
    """Embed a few real images or volumes twice, before anything is drawn, and by the user's own code also apart.

    The package's own spaces are not tried with grey images: each was made for them, and the canary tries it.

    Args:
        space: The feature space.
        pixels: uint8 [N,C,H,W], or volumes [N,1,D,H,W].

    Raises:
        ExtractorError: It fails, returns something that is no features, other features the second time, or features
            that depend on the other images of a batch, as those of batch normalisation in train mode do.
    """
    is_grey = pixels.ndim == 4 and pixels.shape[1] == 1
    if is_grey and not space.is_users:
        return
    some = pixels[:TRIED]
    what = "volumes" if pixels.ndim == 5 else "grey images" if is_grey else "images in colour"
    first = _embed(space, [some], what)
    if not _distance(_embed(space, [some], what), first) <= CANARY_TOLERANCE[space.numeric_class]:
        raise ExtractorError(
            f"The extractor returns other features when it is given the same {what} again. Build it in eval mode, "
            "without random numbers."
        )
    middle = len(some) // 2
    if not space.is_users or not middle:
        return
    if not _distance(_embed(space, [some[:middle], some[middle:]], what), first) <= MOST_COUPLED:
        raise ExtractorError(
            f"The extractor returns other features for the same {what} when others are embedded with them. Build it in "
            "eval mode, and normalise each image by itself."
        )


def _embed(space: FeatureSpace, batches: Sequence[UInt8], what: str) -> Float32:
    """Return the features of batches, each embedded by itself; the space gets copies, because it may write to them.

    Raises:
        ExtractorError: It fails, or returns something that is no features.
    """
    found: list[Float32] = []
    for batch in batches:
        try:
            features, _ = check_answer(space.embed(batch.copy()), len(batch))
        except MedganError:
            raise
        except Exception as error:  # a foreign network raises anything where a shape does not suit it
            raise ExtractorError(
                f"The extractor fails on {what} uint8 {list(batch.shape)}. Call it on such an array in Python to see "
                "what it says."
            ) from error
        found.append(features)
    return np.concatenate(found)


def _distance(ours: Float32, theirs: Float32) -> float:
    """Return the distance of two answers relative to the second."""
    return distance(tuple(ours.ravel().tolist()), tuple(theirs.ravel().tolist()))
