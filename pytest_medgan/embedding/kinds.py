"""Whether a feature space takes images of a kind: grey ones, colours or volumes."""

from __future__ import annotations

import numpy as np

from pytest_medgan.embedding.canaries import distance
from pytest_medgan.embedding.contract import FeatureSpace, check_answer
from pytest_medgan.errors import ExtractorError, MedganError
from pytest_medgan.records import CANARY_TOLERANCE, UInt8

TRIED = 2  # images or volumes that a space is tried with


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
    """Embed two real images or volumes twice, before anything is drawn.

    Grey images are not tried: every space was made for them, and the canary tries it.

    Args:
        space: The feature space.
        pixels: uint8 [N,C,H,W], or volumes [N,1,D,H,W].

    Raises:
        ExtractorError: It fails, returns something that is no features, or other features the second time.
    """
    if pixels.ndim == 4 and pixels.shape[1] == 1:
        return
    some = np.ascontiguousarray(pixels[:TRIED])
    what = "volumes" if pixels.ndim == 5 else "images in colour"
    try:
        first, again = (check_answer(space.embed(some), len(some))[0] for _ in range(2))
    except MedganError:
        raise
    except Exception as error:  # a foreign network raises anything where a shape does not suit it
        raise ExtractorError(
            f"The extractor fails on {what} uint8 {list(some.shape)}. Call it on such an array in Python to see what "
            "it says."
        ) from error
    gap = distance(tuple(again.ravel().tolist()), tuple(first.ravel().tolist()))
    if not gap <= CANARY_TOLERANCE[space.numeric_class]:
        raise ExtractorError(
            f"The extractor returns other features when it is given the same {what} again. Build it in eval mode, "
            "without random numbers."
        )
