"""The counts at which a model is looked at."""

from __future__ import annotations

from pytest_medgan.evaluate.settings import LEAST_SAMPLES
from pytest_medgan.evaluate.subject import Subject

PARTS = (8, 4, 2, 1)  # a look at an eighth, a quarter and a half of the full count before the full count itself


def looks(full: int) -> tuple[int, ...]:
    """Return the counts looked at, ascending, for a full count.

    Examples:
        >>> looks(240)
        (30, 60, 120, 240)
        >>> looks(40)
        (20, 40)
    """
    return tuple(sorted({full // part for part in PARTS if full // part >= LEAST_SAMPLES} | {full}))


def full_count(subject: Subject) -> int:
    """Return the full count per sample group: as asked, or as many as there are reference images, in whole eighths.

    Where fewer images are held out, but at least half as many, their number counts instead, so that the Real row exists
    at every look. A split by patient rarely makes both numbers equal.
    """
    if subject.settings.samples is not None:
        return subject.settings.samples
    reference, held_out = len(subject.real.reference), len(subject.real.held_out)
    count = held_out if reference / 2 <= held_out < reference else reference
    return max(count - count % 8, 1)
