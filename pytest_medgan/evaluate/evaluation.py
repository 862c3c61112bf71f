"""A model's scores at growing counts: drawn, embedded and measured when first asked for, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from pytest_medgan.catalogue import METRICS
from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.embedding.sharding import agreed
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.combining import gather_scores, limit_freedom, set_volume_causes
from pytest_medgan.evaluate.drawing import DrawnImages, named_errors
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.looks import full_count, looks
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.evaluate.suspicion import find_suspects
from pytest_medgan.evaluate.volumes import check_volumes, count_volumes, slice_volumes
from pytest_medgan.gan.contract import resolve_generator
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.metrics import Battery, measure
from pytest_medgan.records import (
    CONDITION,
    Change,
    Contribution,
    Evidence,
    Fingerprint,
    Generator,
    ImageSet,
    ImageSource,
    Paired,
    Scalar,
    Scores,
    TrainingRun,
)


class ModelEvaluation:
    """The scores of one generator against one set of real images (see `records.Evaluation`)."""

    def __init__(
        self,
        name: str,
        generator: Generator | ImageSource,
        subject: Subject,
        *,
        accepted: Generator | ImageSource | None = None,
        generated: bool = True,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            name: What tables call the model.
            generator: The model.
            subject: The real images, the feature space and the settings.
            accepted: The accepted model, which `paired` draws from the same latents.
            generated: Whether real images among its own are suspicious; false for the Real row.

        Raises:
            CheckpointError: A generator is not one.
        """
        self.name = name
        self.subject = subject
        with named_errors(name):
            drawn = resolve_generator(generator)
            self._source = slice_volumes(drawn, subject.real.settings, subject.real.reference.pixels.shape[-1])
        # names a generator without an identity
        self._ordinal_of = generator.draw if isinstance(generator, ImageSource) else generator
        self._generated = generated
        self._by_volume = generated and self._source.groups is not None
        self._by_image = accepted is not None  # keep what every image adds to a metric
        self._whole = self._source.draw_range is None
        self._accepted: ModelEvaluation | None = None
        if accepted is not None:
            self._accepted = ModelEvaluation(f"{name}, the accepted model", accepted, subject)
            self._pair_with(self._accepted)
        self._scores: dict[int, Scores] = {}
        self._evidence: dict[int, Evidence] = {}
        self._contributions: dict[int, Mapping[str, tuple[Contribution, ...]]] = {}

    def __repr__(self) -> str:
        return f"<scores of {self.name} at {', '.join(map(str, self.counts))} images>"

    def beside(self, extractor: FeatureSpace, name: str, baseline: str | None) -> ModelEvaluation:
        """Return the same images of the same model in another feature space, with the metrics that depend on one.

        Args:
            extractor: The other feature space.
            name: What tables call the model there.
            baseline: The baseline file of that feature space.

        Raises:
            SettingsError: No metric that is measured depends on the feature space alone.
        """
        before = self.subject.settings
        metrics = tuple(name for name in before.metrics if "pixels" not in METRICS[name].needs)
        if not metrics:
            raise SettingsError("--medgan-beside needs a metric that depends on the feature space, such as fid.")
        settings = replace(before, metrics=metrics, baseline=baseline, beside=None, paired_with=None)
        subject = replace(self.subject, extractor=extractor, settings=settings)
        other = ModelEvaluation(name, self._source, subject)
        other._whole = self._whole
        other._drawn_images = self._drawn_images  # nothing is drawn twice
        return other

    def _pair_with(self, accepted: ModelEvaluation) -> None:
        """Make a look of both models take the same positions of their sequences."""
        accepted._by_image = True
        self._whole = accepted._whole = self._whole or accepted._whole

    @property
    def counts(self) -> tuple[int, ...]:
        """The looks it can give: images per sample group, ascending."""
        return looks(full_count(self.subject))

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What must agree before the scores may be compared with others."""
        found = make_fingerprint(self.subject, by_volume=self._by_volume)
        if self._source.condition is None:
            return found
        inputs = {**found.inputs, CONDITION: self._source.condition}
        return replace(found, inputs=MappingProxyType(dict(sorted(inputs.items()))))

    @property
    def trained_on(self) -> str | None:
        """The recipe of the generator's training set; None where unknown."""
        return self._source.training_recipe

    @property
    def identity(self) -> str | None:
        """The generator's digest; None where it has none."""
        return self._source.identity

    @property
    def training_runs(self) -> tuple[TrainingRun, ...]:
        """The training run that gave the model, as a baseline row keeps it."""
        facts: dict[str, Scalar] = {"seeds": ",".join(map(str, self.subject.settings.seeds))}
        if self._source.training_seed is not None:
            facts["training_seed"] = self._source.training_seed
        return (TrainingRun(self.identity, self._source.run_recipe, MappingProxyType(facts)),)

    @property
    def change(self) -> Change | None:
        """What was changed since the baseline; None where nobody said."""
        change = self.subject.settings.change
        return None if change is None else Change(change)

    @cached_property
    def key(self) -> str:
        """Names this evaluation among a session's, equally in every process where the generator has an identity."""
        subject = self.subject
        return digest_values(
            self.name, self._model_key, subject.real.digest, subject.extractor.identity, subject.settings
        )

    @cached_property
    def _model_key(self) -> str:
        """Names the generator: by its identity, else by the order in which the session met it."""
        return self.identity or f"anonymous {self.subject.bench.ordinal(self._ordinal_of)}"

    @property
    def computed(self) -> Mapping[int, Scores]:
        """The looks computed so far, by count."""
        return MappingProxyType(dict(sorted(self._scores.items())))

    def at(self, n: int) -> Scores:
        """Return the scores of `n` images of every sample group.

        Raises:
            ValueError: There is no look at `n` images.
            MedganError: The images cannot be drawn, embedded or measured.
        """
        if n not in self.counts:
            raise ValueError(f"There is no look at {n} images; the looks are {', '.join(map(str, self.counts))}.")
        if n not in self._scores:
            shared = self._shared
            scores = self._compute(n) if shared is None else shared.of(self.key, n, lambda: self._compute(n))
            self._scores[n] = replace(scores, fingerprint=self.fingerprint)
        return self._scores[n]

    def check_images(self, n: int) -> None:
        """Draw the first images of a look of `n` and check them, those of the accepted model too; embed nothing.

        One process at a time draws: another one finds the images that this one has left.

        Raises:
            CheckpointError: A model draws images of another type, size or number; the error names it.
        """
        with self._alone():
            self._check_images(n)

    def _check_images(self, n: int) -> None:
        """Do what `check_images` does, in a process that holds the lock."""
        for evaluation in (self, self._accepted):
            if evaluation is not None:
                evaluation._drawn_images.check(self.subject.settings.seeds[0], n)

    def _alone(self) -> AbstractContextManager[None]:
        """Hold the lock of this evaluation where other processes share its images."""
        return nullcontext() if self._shared is None else self._shared.locked(self.key)

    @property
    def _shared(self) -> SharedScores | None:
        """Where other processes look for these scores; None where each must compute, for pictures or pairs."""
        alone = self.identity is None or self._by_image or self.subject.bench.evidence
        return None if alone else self.subject.shared

    def _compute(self, n: int) -> Scores:
        """Measure every sample group at one look."""
        self._check_images(n)
        settings = self.subject.settings
        volumes = self._count_volumes(n) if self._by_volume else 0
        with_evidence = self.subject.bench.evidence  # scores and evidence share the passes that take longest
        batteries = [
            self._measure(seed, n, evidence=with_evidence and not place, contributions=self._by_image)
            for place, seed in enumerate(settings.seeds)
        ]
        if with_evidence:
            self._evidence[n] = batteries[0].evidence
        names = set.intersection(*(set(battery.contributions) for battery in batteries))
        contributions = {name: tuple(b.contributions[name] for b in batteries) for name in names}
        custom = [one.metric for one in self.subject.bench.custom]
        scores = gather_scores(batteries, settings, len(self.subject.real.reference), n, custom)
        if self._generated:
            groups = [self.images(seed, n).pixels for seed in settings.seeds]
            drawn = [self._drawn_images.sequence(seed, n) for seed in settings.seeds]
            suspects = find_suspects(groups, self.subject.real, self.subject.bench, drawn=drawn)
            scores = replace(scores, suspects=suspects, volumes=volumes)
        plain, self._contributions[n] = agreed((to_plain(scores), contributions))
        return from_plain(Scores, plain, "scores")

    def _count_volumes(self, n: int) -> int:
        """Return how many volumes the images of a look are slices of; SettingsError where they are too few."""
        seeds, full = self.subject.settings.seeds, self.counts[-1]
        check_volumes([self._drawn_images.groups(seed, full) for seed in seeds])
        return count_volumes([self._drawn_images.groups(seed, n) for seed in seeds])

    def evidence(self, n: int | None = None) -> Evidence:
        """Return what pictures need, of the first sample group at `n` images or at the largest count computed."""
        n = max(self._scores, default=self.counts[-1]) if n is None else n
        if n not in self._evidence:
            self._evidence[n] = self._measure(self.subject.settings.seeds[0], n, evidence=True).evidence
        return self._evidence[n]

    def paired(self, n: int) -> Paired | None:
        """Return the accepted model's images beside this one's, from the same latents; None where none was named."""
        other = self._accepted
        if other is None:
            return None
        self.at(n)
        values = {name: score.values for name, score in other.at(n).metrics.items()}
        return Paired(other.identity, self._contributions[n], other._contributions[n], values)

    def images(self, seed: int, n: int) -> ImageSet:
        """Return the `n` images of a look at the sample group that `seed` names."""
        recipe = digest_values("sampled", self._model_key, seed, *(("whole", self.counts[-1]) if self._whole else ()))
        return ImageSet(
            self._drawn_images.take(seed, n), np.full(n, str(seed)), recipe, window=self.subject.real.reference.window
        )

    @cached_property
    def _drawn_images(self) -> DrawnImages:
        """The images drawn so far."""
        return DrawnImages(
            self._source,
            full=self.counts[-1],
            shape=self.subject.real.reference.pixels.shape[1:],
            key=self.key,
            name=self.name,
            shared=self._shared,
            whole=self._whole,
        )

    def _measure(self, seed: int, n: int, *, evidence: bool = False, contributions: bool = False) -> Battery:
        """Measure one sample group at one look."""
        subject, images = self.subject, self.images(seed, n)
        embedded = subject.bench.embed(subject.extractor, images)
        metrics = subject.settings.metrics
        reference = subject.bench.reference(subject.extractor, subject.real, metrics, self.trained_on)
        space = subject.extractor.maps
        maps = None if reference.heads is None or space is None else subject.bench.embed(space, images).features
        groups = self._drawn_images.groups(seed, n)
        battery = measure(
            reference,
            fake=embedded.features,
            probabilities=embedded.probabilities,
            pixels=images.pixels if images.pixels.ndim == 4 else None,
            maps=maps,
            fake_groups=groups,
            metrics=metrics,
            custom=subject.bench.custom,
            evidence=evidence,
            contributions=contributions,
        )
        if images.pixels.ndim == 5:
            battery = set_volume_causes(battery)
        return limit_freedom(battery, groups) if groups is not None and self._by_volume else battery
