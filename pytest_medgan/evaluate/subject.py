"""What a model is measured against and with."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.evaluate.settings import LEAST_SAMPLES, Settings
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.records import RealSets

LEAST_REFERENCE, LEAST_PATIENTS = 50, 4  # of the reference; with fewer its values are not worth comparing


@dataclass(frozen=True, eq=False)
class Subject:
    """One set of real images, one feature space, one choice of counts, seeds and metrics."""

    real: RealSets
    extractor: FeatureSpace
    settings: Settings
    bench: Workbench
    shared: SharedScores | None = None  # where several processes work for one session

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures must know of the images and the feature space; no path, no patient."""
        seen = self.extractor.trained_on
        reference = set(self.real.reference.groups.tolist())
        shared = len(seen & reference)
        warnings = (*self.real.warnings, *self._small_sets())
        if not shared:
            return warnings
        flattered = (
            f"The extractor was fine-tuned on {shared} of the {len(reference)} reference patients, so its features "
            "know them. Fine-tune on the training patients alone."
        )
        return (*warnings, flattered)

    def _small_sets(self) -> list[str]:
        """Return a warning for each role that has too few images, or whole volumes."""
        reference, patients, held_out = (
            len(self.real.reference),
            len(set(self.real.reference.groups.tolist())),
            len(self.real.held_out),
        )
        whole = self.real.settings.planes == "volume"  # one of each study
        unit = "volumes" if whole else "images"
        more = "Add studies." if whole else "Add studies, or take more slices of each (slices=all)."
        found = []
        if reference < LEAST_REFERENCE or patients < LEAST_PATIENTS:
            found.append(
                f"The reference has {reference} {unit} of {patients} patients, and at least {LEAST_REFERENCE} of "
                f"{LEAST_PATIENTS} are needed: with fewer, FID is far too high and single patients decide recall. "
                f"{more}"
            )
        if held_out < LEAST_SAMPLES:
            found.append(
                f"{held_out} {unit} are held out, too few for a Real row, which would show the values of real {unit}. "
                f"{more}"
            )
        return found
