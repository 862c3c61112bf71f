"""Digests of how a generator was trained: two runs of one recipe differ in their seed alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

import pytest_medgan
from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import ARCHITECTURES, architecture_of
from pytest_medgan.gan.described import added_fields, plain_values
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import ImageSet

_PSEUDONYM = re.compile("p[0-9a-f]{12}")


def run_key(config: NetworkConfig, settings: TrainingSettings, images: ImageSet, *, half: bool = False) -> str:
    """Return 24 hex digits that name a finished generator: equal keys, equal weights (on one machine).

    Args:
        config: Shape of the networks.
        settings: How they are trained, the seed included.
        images: The training set.
        half: Whether the finished weights are stored as float16.
    """
    row = architecture_of(config)
    chosen = _without_defaults(row.name, plain_values(config), plain_values(settings))
    return digest_values(row.name, row.revision, *chosen, images.recipe, len(images), half)


def pseudonyms(images: ImageSet) -> tuple[str, ...]:
    """Return the patients of a training set, sorted, none by name: checkpoints are handed on.

    Studies come with pseudonyms, which stay; an array file may hold names. These become hashes of the same form, keyed
    by the images, so without them a name cannot be tried out. No checkpoint holds the key: its `training_recipe` is
    another digest.
    """
    names = set(map(str, images.groups))
    named = {name for name in names if not _PSEUDONYM.fullmatch(name)}
    if not named:
        return tuple(sorted(names))
    key = hashlib.blake2b(np.ascontiguousarray(images.pixels).data, digest_size=32).digest()
    hashed = (hashlib.blake2b(name.encode(errors="surrogateescape"), key=key, digest_size=6) for name in named)
    return tuple(sorted([*(names - named), *(f"p{digest.hexdigest()}" for digest in hashed)]))


def run_recipe(
    architecture: str,
    configuration: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    training_recipe: str,
    images: int,
    revision: int,
    version: str = pytest_medgan.__version__,
) -> str:
    """Return 24 hex digits that name how a generator was trained: code, settings and data, but not the seed.

    Args:
        architecture: Its name in the registry.
        configuration: Shape of the networks, as plain values.
        settings: How they are trained, as plain values.
        training_recipe: The recipe of the training set.
        images: Images in the training set.
        revision: Revision of the architecture's training code.
        version: Version of this package.

    Raises:
        CheckpointError: The architecture is unknown.
    """
    seedless = {name: value for name, value in settings.items() if name != "seed"}
    chosen = _without_defaults(architecture, configuration, seedless)
    return digest_values("recipe", architecture, revision, version, *chosen, training_recipe, images)


def _without_defaults(
    architecture: str, configuration: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[str, str]:
    """Return both as text that stays the same when a field is added and left at its default."""
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"The checkpoint's architecture {architecture!r} is unknown. Use one of {', '.join(ARCHITECTURES)}."
        )
    row = ARCHITECTURES[architecture]
    texts = []
    for kind, values in ((row.config, configuration), (row.settings, settings)):
        defaults = added_fields(kind)
        texts.append(repr(sorted((n, v) for n, v in values.items() if n not in defaults or v != defaults[n])))
    return texts[0], texts[1]
