"""Assign images to the roles training, reference and held-out.

Randomness comes from hashes of (seed, row), not from a library's generator, so that a split is the same on every
machine and with every version of every library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_medgan.errors import DataError, LeakageError, SettingsError
from pytest_medgan.records import DataSettings, Int64, Names


@dataclass(frozen=True)
class Split:
    """Row numbers of images, each role in ascending order."""

    training: Int64
    reference: Int64
    held_out: Int64


def split_images(groups: Names, settings: DataSettings) -> Split:
    """Return the training, reference and held-out rows of a set of images.

    split="patient": patients are shuffled by the seed and dealt so that each role gets its share of the images, at
    least one patient each. split="slice" (the paper): a random half of all images is the reference, the other half is
    held out, and training is both together.

    Args:
        groups: Each image's patient, [N], in order of patient.
        settings: `split`, `fractions` and `seed`.

    Raises:
        SettingsError: The split is unknown, or the fractions are invalid.
        DataError: There are too few patients or images.
        LeakageError: A patient would be in two roles under split="patient".
    """
    if settings.split == "slice":
        return _split_slices(len(groups), settings.seed)
    if settings.split != "patient":
        raise SettingsError(f"split is {settings.split!r}. Give patient or slice.")
    patients = list(dict.fromkeys(groups.tolist()))
    rows = {patient: np.flatnonzero(groups == patient) for patient in patients}
    roles = deal([len(rows[patient]) for patient in patients], settings.fractions, settings.seed)
    members = [np.sort(np.concatenate([rows[patients[at]] for at in role])) for role in roles]
    split = Split(*members)
    check_disjoint(groups, split)
    return split


def deal(
    sizes: Sequence[int], fractions: tuple[float, float, float], seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Deal patients to training, reference and held-out.

    Args:
        sizes: Images of each patient.
        fractions: Shares of the images, which sum to 1; each role gets at least one patient.
        seed: Of the order in which patients are dealt.

    Returns:
        The patients' numbers, one list a role.

    Raises:
        SettingsError: The fractions are not three positive parts of 1.
        DataError: There are fewer than three patients.
    """
    if len(fractions) != 3 or not all(0 < part < 1 for part in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise SettingsError(
            "fractions are not three positive parts of 1. Give the parts of training, reference and held-out."
        )
    count = len(sizes)
    if count < 3:
        raise DataError(
            f"split=patient needs at least 3 patients and the source has {count}. Add patients, or use split=slice."
        )
    order = shuffled(count, seed, "patients")
    dealt = [sizes[at] for at in order]
    training = min(max(1, round(_place(dealt, fractions[0], sum(sizes)))), count - 2)
    reference = min(max(1, round(_place(dealt[training:], fractions[1], sum(sizes)))), count - training - 1)
    return order[:training], order[training : training + reference], order[training + reference :]


def _place(sizes: Sequence[int], share: float, total: int) -> float:
    """Return how many patients, in fractions of one, hold a share of all images."""
    if len(set(sizes)) == 1:  # without a detour that could round to the other side of a half
        return share * (total / sizes[0])
    wanted, held = share * total, 0
    for number, size in enumerate(sizes):
        if held + size >= wanted:
            return number + (wanted - held) / size
        held += size
    return float(len(sizes))


def shuffled(count: int, seed: int, what: str) -> list[int]:
    """Return 0..count in an order that only `seed` and `what` decide."""
    return sorted(range(count), key=lambda at: hashlib.sha256(f"{what}/{seed}/{at}".encode()).digest())


def _split_slices(count: int, seed: int) -> Split:
    """Return a random half, the other half, and both together."""
    if count < 2:
        raise DataError(f"split=slice needs at least 2 images and the source has {count}. Add studies.")
    order = shuffled(count, seed, "slices")
    half = count // 2
    return Split(
        np.arange(count, dtype=np.int64),
        np.array(sorted(order[:half]), np.int64),
        np.array(sorted(order[half:]), np.int64),
    )


def check_disjoint(groups: Names, split: Split) -> None:
    """Raise LeakageError if a patient is in two roles."""
    sides = [set(groups[rows].tolist()) for rows in (split.training, split.reference, split.held_out)]
    shared = (sides[0] & sides[1]) | (sides[0] & sides[2]) | (sides[1] & sides[2])
    if shared:
        raise LeakageError(f"{len(shared)} patients are in two roles of split=patient. Give each image its patient.")
