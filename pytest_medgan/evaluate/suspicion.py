"""Find images that are no sample of a generator: seed ignored, constant, blank, or real images handed back.

Such images may score well, so they are looked for on their own, whatever the metrics say. The gate turns each finding
red and says why.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from pytest_medgan.evaluate.volumes import flatten_volumes
from pytest_medgan.metrics.copies import COPY_DISTANCE
from pytest_medgan.metrics.pixel_pairs import near_pairs
from pytest_medgan.records import ImageSet, RealSets, Suspect, Suspicion, UInt8

if TYPE_CHECKING:
    from pytest_medgan.evaluate.workbench import Workbench

CHECKED = 512  # images per sample group, and of each role's own, that are compared with real images
SAME = 0.5  # share of equal images from which two sample groups count as the same
NOISE = 1.0  # grey levels, root mean square, below which an image does not differ from the mean image
CONSTANT = 0.9  # share of such images from which a generator counts as nearly constant
BLANK = 0.05  # share of images of a single grey level, beyond that of the reference images
HANDED_BACK = 0.05  # share of images that are real ones, beyond what held-out patients show by chance

_ROLES = (
    (Suspicion.REFERENCE_RETURNED, "reference"),
    (Suspicion.TRAINING_RETURNED, "training"),
    (Suspicion.HELD_OUT_RETURNED, "held_out"),
)


def find_suspects(
    groups: Sequence[UInt8], real: RealSets, bench: Workbench, *, drawn: Sequence[UInt8] | None = None
) -> tuple[Suspect, ...]:
    """Return why images are no sample of a generator.

    Args:
        groups: The images of each sample group at one look, uint8 [N,C,H,W].
        real: The real images at hand.
        bench: Keeps what depends on the real images alone.
        drawn: All images drawn so far for each group, in the generator's order, uint8 [M,C,H,W]; by default those of
            the look. A look that takes a random part of each group holds few of the images that two groups share.

    Returns:
        One finding per suspicion, with the share of the images that it concerns; empty where there is none.
    """
    constant = _constancy(groups, real.reference)
    if constant is not None:
        return (constant,)
    found = [] if (same := _repeated_groups(groups if drawn is None else drawn)) is None else [same]
    blank = float(np.mean([_blank_share(images) for images in groups]))
    if blank - _blank_share(real.reference.pixels) >= BLANK:
        found.append(Suspect(Suspicion.BLANK, blank))
    some = np.concatenate([images[:CHECKED] for images in groups])
    for suspicion, role in _ROLES:
        theirs: ImageSet = getattr(real, role)
        if len(theirs) == 0:
            continue
        by_chance = bench.keep(("near by chance", role, real.digest), partial(_by_chance, real, role))
        share = _near_share(some, theirs.pixels)
        if share - by_chance >= HANDED_BACK:
            found.append(Suspect(suspicion, share))
    return tuple(found)


def _constancy(groups: Sequence[UInt8], reference: ImageSet) -> Suspect | None:
    """Return whether all images are one, or nearly so while the real ones are not."""
    first = groups[0][0]
    if all((images == first).all() for images in groups):
        return Suspect(Suspicion.CONSTANT, 1.0)
    share = min(_flat_share(images) for images in groups)
    if share >= CONSTANT and _flat_share(reference.pixels) < CONSTANT:
        return Suspect(Suspicion.NEARLY_CONSTANT, share)
    return None


def _flat_share(images: UInt8) -> float:
    """Return the share of images that lie within noise of their mean image."""
    mean = images.mean(0, dtype=np.float64)
    gaps = [float(np.sqrt(np.square(image - mean).mean())) for image in images]
    return float(np.mean(np.array(gaps) < NOISE))


def _blank_share(images: UInt8) -> float:
    """Return the share of images of a single grey level or colour."""
    flat = images.reshape(*images.shape[:2], -1)
    return float((flat == flat[..., :1]).all((1, 2)).mean())


def _repeated_groups(groups: Sequence[UInt8]) -> Suspect | None:
    """Return whether two sample groups of different latent seeds hold the same images, in place or elsewhere.

    Images elsewhere are those of a generator that seeds each image by seed + index. Only images that their group holds
    once are counted: black images in common do not say that the seed is ignored.
    """
    digests = [[hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images] for images in groups]
    ignored, common = 0.0, 0.0
    for left, right in combinations(digests, 2):
        times, others = Counter(left), Counter(right)
        in_place = sum(a == b and times[a] == 1 for a, b in zip(left, right, strict=True)) / len(left)
        ignored = max(ignored, 1.0 if times == others else in_place)
        common = max(common, sum(times[one] == 1 == others[one] for one in times) / len(left))
    if ignored >= SAME:
        return Suspect(Suspicion.SEED_IGNORED, ignored)
    return Suspect(Suspicion.SEEDS_OVERLAP, common) if common >= SAME else None


def _by_chance(real: RealSets, role: str) -> float:
    """Return the share of real images of other patients that are as near to a role's images as a copy is."""
    others = real.held_out if role != "held_out" else real.reference
    return _near_share(others.pixels[:CHECKED], getattr(real, role).pixels) if len(others) else 0.0


def _near_share(images: UInt8, real: UInt8) -> float:
    """Return the share of images that are, pixel by pixel, one of the real images."""
    return len(near_pairs(flatten_volumes(images), flatten_volumes(real), COPY_DISTANCE, most=1)) / len(images)
