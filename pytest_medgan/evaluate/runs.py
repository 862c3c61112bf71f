"""Several training runs of one recipe as one candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.evaluation import ModelEvaluation
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import (
    Change,
    Evidence,
    Fingerprint,
    ImageSet,
    Paired,
    Scores,
    Suspect,
    TrainingRun,
    mean_of_runs,
)


class RunsEvaluation:
    """The mean scores of several training runs (see `records.Evaluation`); pictures are those of the first run."""

    def __init__(self, name: str, runs: Sequence[ModelEvaluation]) -> None:
        """Prepare; nothing is computed yet.

        Args:
            name: The name of the recipe in tables.
            runs: One evaluation per training run, all on the same subject.

        Raises:
            SettingsError: There are fewer than two, one checkpoint is given twice, or several recipes trained them.
        """
        known = [run.identity for run in runs if run.identity is not None]
        if len(runs) < 2 or len(set(known)) < len(known):
            raise SettingsError(
                "--medgan-runs does not name two different training runs. Give two or more checkpoints, each once."
            )
        recipes = sorted({one.recipe for run in runs for one in run.training_runs if one.recipe})
        if len(recipes) > 1:
            shown = ", ".join(recipe[:12] for recipe in recipes)
            raise SettingsError(
                f"--medgan-runs names models of {len(recipes)} recipes ({shown}). A mean over several "
                "recipes describes none of them. Give the runs of one recipe, and measure each recipe by itself."
            )
        self.name = name
        self.runs = tuple(runs)
        self._first = self.runs[0]
        self._scores: dict[int, Scores] = {}

    def __repr__(self) -> str:
        return f"<mean scores of {len(self.runs)} runs of {self.name} at {', '.join(map(str, self.counts))} images>"

    def beside(self, extractor: FeatureSpace, name: str, baseline: str | None) -> RunsEvaluation:
        """Return the same images of the same runs in another feature space (see `ModelEvaluation.beside`)."""
        return RunsEvaluation(name, [run.beside(extractor, name, baseline) for run in self.runs])

    @property
    def subject(self) -> Subject:
        """What the runs are measured against and with."""
        return self._first.subject

    @property
    def counts(self) -> tuple[int, ...]:
        """The looks it can give: images per sample group and run, ascending."""
        return self._first.counts

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What must agree before the scores may be compared with others.

        Raises:
            SettingsError: The runs were told to draw different things, so that it would hold for one of them alone.
        """
        found = self._first.fingerprint
        for number, run in enumerate(self.runs[1:], start=2):
            differences = run.fingerprint.differences(found)
            if differences:
                raise SettingsError(
                    f"Run {number} of --medgan-runs draws under other conditions than the first "
                    f"({'; '.join(differences)}). Give runs of one condition, and measure other conditions separately."
                )
        return found

    @property
    def identity(self) -> str | None:
        """None, since it is not one model."""
        return None

    @property
    def trained_on(self) -> str | None:
        """The recipe of the training set where all runs share it."""
        recipes = {run.trained_on for run in self.runs}
        return recipes.pop() if len(recipes) == 1 else None

    @property
    def training_runs(self) -> tuple[TrainingRun, ...]:
        """The training runs, as a baseline row keeps them."""
        return tuple(one for run in self.runs for one in run.training_runs)

    @property
    def change(self) -> Change | None:
        """The change that the settings name; a recipe where they name none."""
        return self._first.change or Change.RECIPE

    @cached_property
    def key(self) -> str:
        """Identifies this evaluation within a session."""
        return digest_values("runs", self.name, *(run.key for run in self.runs))

    @property
    def computed(self) -> Mapping[int, Scores]:
        """The looks computed so far, by count."""
        return MappingProxyType(dict(sorted(self._scores.items())))

    def at(self, n: int) -> Scores:
        """Return the mean scores of the runs at a look of `n` images of every sample group of each run."""
        if n not in self._scores:
            for run in self.runs:
                run.check_images(n)
            fingerprint = self.fingerprint  # found out before any run is measured: whether all draw alike
            self._scores[n] = replace(self._joined([run.at(n) for run in self.runs]), fingerprint=fingerprint)
        return self._scores[n]

    def paired(self, n: int) -> Paired | None:
        """Return None: several runs have no common latents with one model."""
        return None

    def evidence(self, n: int | None = None) -> Evidence:
        """Return what pictures need, of the first run."""
        return self._first.evidence(n)

    def images(self, seed: int, n: int) -> ImageSet:
        """Return the images of a look of the first run."""
        return self._first.images(seed, n)

    def _joined(self, looks: Sequence[Scores]) -> Scores:
        """Return one look of all runs; a metric that one run could not measure is not measured."""
        first = looks[0]
        names = [name for name in first.metrics if all(name in look for look in looks)]
        unmeasured = {name: why for look in looks for name, why in look.unmeasured.items()}
        suspects: dict[str, Suspect] = {}
        for one in (suspect for look in looks for suspect in look.suspects):
            known = suspects.get(one.suspicion)
            suspects[one.suspicion] = one if known is None or known.share < one.share else known
        return replace(
            first,
            metrics=MappingProxyType({name: mean_of_runs([look[name] for look in looks]) for name in names}),
            unmeasured=MappingProxyType(unmeasured),
            suspects=tuple(suspects.values()),
            runs=tuple(run.identity or "" for run in self.runs),
        )
