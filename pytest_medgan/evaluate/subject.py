"""What a model is measured against and with."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.records import Extractor, RealSets


@dataclass(frozen=True, eq=False)
class Subject:
    """One body of real images, one feature space, one set of counts, seeds and metrics."""

    real: RealSets
    extractor: Extractor
    settings: Settings
    bench: Workbench
    shared: SharedScores | None = None  # where several processes work for one session

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures must know of the images and the feature space; no path, no patient."""
        seen = set(getattr(self.extractor, "trained_on", ()))
        reference = set(self.real.reference.groups.tolist())
        shared = len(seen & reference)
        if not shared:
            return self.real.warnings
        flattered = (
            f"the extractor was fine-tuned on {shared} of the {len(reference)} reference patients, so its features "
            "know them; fine-tune on the training patients alone"
        )
        return (*self.real.warnings, flattered)


def full_count(subject: Subject) -> int:
    """The full count a sample group: as asked, or as many as there are reference images, in whole eighths.

    Where fewer are held out, but at least half as many, it is these that count, so that the Real row stands at every
    look; a split by patient rarely makes both alike.
    """
    if subject.settings.samples is not None:
        return subject.settings.samples
    reference, held_out = len(subject.real.reference), len(subject.real.held_out)
    count = held_out if reference / 2 <= held_out < reference else reference
    return max(count - count % 8, 1)
