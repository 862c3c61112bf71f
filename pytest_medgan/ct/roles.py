"""Divide a prepared set into its three roles, and check that no patient has two of them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import replace

import numpy as np

from pytest_medgan.ct.findings import LEAK
from pytest_medgan.ct.split import Split, split_images
from pytest_medgan.ct.store import Prepared
from pytest_medgan.errors import LeakageError
from pytest_medgan.records import DataSettings, ImageSet, Int64, RealSets


def divide(prepared: Prepared, settings: DataSettings) -> RealSets:
    """Return the training, reference and held-out images of a prepared set.

    Args:
        prepared: Every image.
        settings: `split`, `fractions` and `seed`.

    Raises:
        LeakageError: Under split=patient two patients on different sides share a study or an image; split=slice turns
            both into warnings.
        MedganError: As `split_images` raises.
    """
    split = split_images(prepared.groups, settings)
    warnings = [*prepared.warnings, *_leaks(prepared, split, settings), *_dominant_patient(prepared, settings)]
    chosen: dict[str, object] = {"images": prepared.digest, "split": settings.split, "seed": settings.seed}
    if settings.split == "patient":
        chosen["fractions"] = settings.fractions
        if len(np.unique(np.unique(prepared.groups, return_counts=True)[1])) > 1:
            chosen["dealt by"] = "images"  # absent where all patients have as many images: the roles are then the same
    digest = sha256(chosen)
    everything = ImageSet(prepared.pixels, prepared.groups, "", prepared.labels, prepared.window)

    def role(name: str, rows: Int64) -> ImageSet:
        """Return the images of one role."""
        return replace(everything.take(rows), recipe=sha256({"set": digest, "role": name}))

    return RealSets(
        training=role("training", split.training),
        reference=role("reference", split.reference),
        held_out=role("held out", split.held_out),
        settings=replace(settings, **prepared.settings.as_fields()),
        digest=digest,
        warnings=tuple(warnings),
        counts=dict(prepared.counts),
    )


def _leaks(prepared: Prepared, split: Split, settings: DataSettings) -> list[str]:
    """Return warnings of one person in two roles under split=slice; raise LeakageError under split=patient."""
    known = [warning for warning in prepared.warnings if warning.startswith(LEAK)]
    copies = _copies(prepared, split)
    if settings.split == "patient":
        if known:
            raise LeakageError(
                f"{known[0].removeprefix(f'{LEAK}: ')}. Give one person one PatientID, or leave one out."
            )
        if copies:
            raise LeakageError(
                f"{copies} images are identical to an image of a patient in another role. Leave the copies out."
            )
        return []
    found = [
        "split=slice: slices of one patient are in both sets, so the Real row looks too good; split=patient avoids this"
    ]
    if copies:
        found.append(f"{LEAK}: {copies} images of the reference are identical to held-out ones")
    return found


def _dominant_patient(prepared: Prepared, settings: DataSettings) -> list[str]:
    """Return a warning if one patient has more than half of the images, so that a role is nearly one patient."""
    _, counts = np.unique(prepared.groups, return_counts=True)
    if settings.split == "patient" and counts.max() > counts.sum() / 2:
        share = 100.0 * counts.max() / counts.sum()
        return [f"one of {len(counts)} patients has {share:.0f}% of the images: slices= limits the number per patient"]
    return []


def _copies(prepared: Prepared, split: Split) -> int:
    """Count images that equal an image in another role in every pixel; constant images are not counted."""
    apart = prepared.pixels.reshape(len(prepared.pixels), -1)
    flat = apart.min(axis=1) == apart.max(axis=1)
    sides: dict[bytes, set[int]] = defaultdict(set)
    names: dict[bytes, int] = defaultdict(int)
    roles = [split.reference, split.held_out]
    if not np.isin(split.training, np.concatenate(roles)).any():  # under split=slice training is both together
        roles.append(split.training)
    for side, rows in enumerate(roles):
        for row in rows.tolist():
            if not flat[row]:
                key = hashlib.blake2b(apart[row].data, digest_size=16).digest()
                sides[key].add(side)
                names[key] += 1
    return sum(names[key] for key, on in sides.items() if len(on) > 1)


def sha256(value: object) -> str:
    """Return the hex digest of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
