"""What a model is measured against and with."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.records import RealSets


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
        if not shared:
            return self.real.warnings
        flattered = (
            f"The extractor was fine-tuned on {shared} of the {len(reference)} reference patients, so its features "
            "know them. Fine-tune on the training patients alone."
        )
        return (*self.real.warnings, flattered)
