"""The canary: features of eight canned images, projected to 128 numbers.

A baseline stores it. When the features of these images have moved by more than the numeric class allows, the machine, a
library or the weights compute something else, and scores may not be compared.

The store of features keeps it too, under the digest of all that could move it (`digest_environment`): with nothing
changed it is not computed again. Where it differs from the first one of the same identity, nothing is embedded, since
features are stored by identity alone. Files that a user's extractor reads are not part of that digest. So before
anything is embedded the canary is computed all the same and compared with the stored one (`check_canary`).
"""

from __future__ import annotations

import hashlib
import math
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine

import numpy as np
import torch

from pytest_medgan.embedding.cache import Cache, image_digests
from pytest_medgan.embedding.canned import canned_images, canned_volumes
from pytest_medgan.embedding.contract import Answer, FeatureSpace, check_answer
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import CANARY_TOLERANCE, Float32, Float64, UInt8

NUMBERS = 16  # per canned image
CUBE = (32, 32, 32)  # of canned volumes, where the size of real ones is not known
LIBRARIES = (
    "pytest-medgan",
    "torch",
    "torchvision",
    "numpy",
    "onnxruntime",
    "timm",
    "torch-fidelity",
    "torchxrayvision",
)


def canary(space: FeatureSpace) -> tuple[float, ...]:
    """Return 128 numbers: the features of eight canned images, projected to 16 numbers each.

    Raises:
        ExtractorError: The extractor returns something that is no features.
    """
    images = _canned(space)
    features, _ = check_answer(space.embed(images), len(images))
    return project(features)


def stored_canary(space: FeatureSpace, cache: Cache, device: str = "cpu") -> tuple[tuple[float, ...], bool]:
    """Return the canary, and whether it was computed now; it is read where nothing that could move it has changed.

    Where the extractor computes something else than when features were first stored under its identity, `cache.moved`
    says so, and `embed_images` refuses to mix both.

    Raises:
        ExtractorError: The extractor returns something that is no features.
    """
    environment = digest_environment(space, device)
    images = _canned(space)

    def compute(index: list[int], done: int) -> Answer:
        return check_answer(space.embed(images[index]), len(index))

    is_new, digests = True, image_digests(images)
    if environment is None:
        answer = compute(list(range(len(images))), 0)
    else:
        stored = cache.space(f"canary {environment} of {space.identity}", space.numeric_class, counted=False)
        answer = stored.gather(digests, compute, len(images))
        is_new = stored.counts.computed > 0
    found = project(answer[0])
    first = cache.space(f"first canary of {space.identity}", space.numeric_class, counted=False)
    features, _ = first.gather(digests, lambda index, done: _rows(answer, index), len(images))
    try:
        _compare(found, project(features), space)
    except ExtractorError as error:  # a baseline is compared with what the extractor computes now, and says so itself
        cache.moved[space.identity, space.numeric_class] = str(error)
    return found, is_new


def _rows(answer: Answer, index: list[int]) -> Answer:
    """Return some rows of an answer."""
    features, probabilities = answer
    return features[index], None if probabilities is None else probabilities[index]


def _canned(space: FeatureSpace) -> UInt8:
    """Return the canned images, or volumes where the space takes these."""
    return canned_volumes(space.volume_shape or CUBE) if space.takes_volumes else canned_images()


def check_canary(space: FeatureSpace, known: tuple[float, ...]) -> None:
    """Compare the extractor with its stored canary.

    Raises:
        ExtractorError: It computes something else.
    """
    _compare(canary(space), known, space)


def _compare(found: tuple[float, ...], known: tuple[float, ...], space: FeatureSpace) -> None:
    """Raise ExtractorError where a canary has moved by more than the space's numeric class allows."""
    gap = distance(found, known)
    if not gap <= CANARY_TOLERANCE[space.numeric_class]:  # NaN must not pass
        how = f"differ by {gap:.1e}" if math.isfinite(gap) else "cannot be compared"
        action = (
            "Change its identity, or remove the stored ones by `medgan cache prune --all`."
            if space.is_users
            else "A library or the device has changed. Remove the stored ones by `medgan cache prune --all`."
        )
        raise ExtractorError(
            f"The extractor computes other features than those stored under the same identity (they {how}). {action}"
        )


def project(features: Float32) -> tuple[float, ...]:
    """Return 8 * 16 numbers of features [8,D]: a fixed +-1 projection over sqrt(D), in float64."""
    width = features.shape[1]
    raw = np.asarray(np.random.PCG64(20220630).random_raw(width * NUMBERS), dtype=np.uint64)
    signs: Float64 = ((raw >> np.uint64(63)).astype(np.float64) * 2.0 - 1.0).reshape(width, NUMBERS)
    return tuple(float(value) for value in (features.astype(np.float64) @ signs / np.sqrt(width)).ravel())


def distance(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the distance of two canaries relative to the second; NaN where one holds NaN, infinite for other lengths.

    Examples:
        >>> distance((3.0, 4.0), (3.0, 4.0))
        0.0
    """
    ours, theirs = np.asarray(first), np.asarray(second)
    if ours.shape != theirs.shape:
        return float("inf")
    scale = float(np.linalg.norm(theirs))
    return float(np.linalg.norm(ours - theirs)) / (scale or 1.0)


def digest_environment(space: FeatureSpace, device: str) -> str | None:
    """Return a hex digest of all that computes the features; None where a module has no source file.

    That is the device, libraries, the engine, and the source of this folder and of the user's modules.
    """
    cuda = torch.device(device).type == "cuda"
    processor = torch.cuda.get_device_name(device) if cuda else f"{machine()} {torch.backends.cpu.get_cpu_capability()}"
    files = sorted(Path(__file__).parent.glob("*.py"))
    for name in sorted(space.modules):
        source = getattr(sys.modules.get(name), "__file__", None)
        if source is None:  # typed in by hand, or made by another program
            return None
        files.append(Path(source))
    whole = hashlib.sha256(repr((processor, space.engine, *map(_version, LIBRARIES))).encode())
    for file in files:
        try:
            whole.update(file.read_bytes())
        except OSError:
            return None
    return whole.hexdigest()[:24]


def _version(library: str) -> str | None:
    """Return an installed library's version, or None."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None
