"""A model's scores at growing counts: drawn, embedded and measured when first asked for, and kept."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.embedding.sharding import agreed
from pytest_medgan.errors import CheckpointError
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.settings import Settings, looks
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.subject import Subject, full_count
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.metrics import Battery, measure
from pytest_medgan.records import (
    Contribution,
    Evidence,
    Fingerprint,
    Generator,
    ImageSet,
    Limit,
    LimitValue,
    MetricScore,
    Paired,
    Row,
    Scores,
    UInt8,
)


class ModelEvaluation:
    """The Evaluation of one generator against one body of real images (the protocol is records.Evaluation)."""

    def __init__(
        self,
        name: str,
        generator: Generator,
        subject: Subject,
        *,
        accepted: Generator | None = None,
        by_image: bool = False,
    ) -> None:
        """`accepted` is the model that paired() puts beside this one; `by_image` keeps what every image adds."""
        self.name = name
        self.subject = subject
        self._accepted = None if accepted is None else ModelEvaluation(name, accepted, subject, by_image=True)
        self._by_image = by_image or accepted is not None
        self._generator = generator
        self._scores: dict[int, Scores] = {}
        self._drawn: dict[int, UInt8] = {}
        self._evidence: dict[int, Evidence] = {}
        self._contributions: dict[int, Mapping[str, tuple[Contribution, ...]]] = {}

    @property
    def counts(self) -> tuple[int, ...]:
        return looks(full_count(self.subject))

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return make_fingerprint(self.subject)

    @property
    def trained_on(self) -> str | None:
        """The recipe of the generator's training set, where its checkpoint names one."""
        return getattr(self._generator, "training_recipe", None)

    @property
    def identity(self) -> str | None:
        """The generator's digest; None where it has none."""
        return getattr(self._generator, "identity", None)

    @cached_property
    def key(self) -> str:
        """Names this evaluation among a session's, the same in every process where the generator has an identity."""
        subject = self.subject
        return digest_values(self.name, self._who, subject.real.digest, subject.extractor.identity, subject.settings)

    @property
    def _who(self) -> str:
        return self.identity or f"anonymous {self.subject.bench.ordinal(self._generator)}"

    @property
    def computed(self) -> Mapping[int, Scores]:
        """The looks computed so far, by count."""
        return MappingProxyType(dict(sorted(self._scores.items())))

    def at(self, n: int) -> Scores:
        """The scores of the first `n` images of every sample group. Raises ValueError where `n` is no look."""
        if n not in self.counts:
            raise ValueError(f"no look at {n} images; the looks are {', '.join(map(str, self.counts))}")
        if n not in self._scores:
            shared = self._shared
            scores = self._compute(n) if shared is None else shared.of(self.key, n, lambda: self._compute(n))
            self._scores[n] = replace(scores, fingerprint=self.fingerprint)
        return self._scores[n]

    @property
    def _shared(self) -> SharedScores | None:
        """Where other processes look for these scores. What pictures and pairs need besides is gathered by each."""
        alone = self.identity is None or self._by_image or self.subject.bench.evidence
        return None if alone else self.subject.shared

    def _compute(self, n: int) -> Scores:
        settings = self.subject.settings
        with_evidence = self.subject.bench.evidence  # the passes that both share are the longest part of either
        batteries = [
            self._measure(seed, n, evidence=with_evidence and not place, contributions=self._by_image)
            for place, seed in enumerate(settings.seeds)
        ]
        if with_evidence:
            self._evidence[n] = batteries[0].evidence
        names = set.intersection(*(set(battery.contributions) for battery in batteries))
        contributions = {name: tuple(b.contributions[name] for b in batteries) for name in names}
        own = [custom.metric for custom in self.subject.bench.custom]
        scores = gather(batteries, settings, len(self.subject.real.reference), n, own)
        plain, self._contributions[n] = agreed((to_plain(scores), contributions))
        return from_plain(Scores, plain)

    def evidence(self, n: int | None = None) -> Evidence:
        """What pictures need, from the first sample group at `n` images or at the largest count computed."""
        n = max(self._scores, default=self.counts[-1]) if n is None else n
        if n not in self._evidence:
            self._evidence[n] = self._measure(self.subject.settings.seeds[0], n, evidence=True).evidence
        return self._evidence[n]

    def paired(self, n: int) -> Paired | None:
        """The accepted model's images beside this one's, from the same seeds; None where it was not named."""
        other = self._accepted
        if other is None:
            return None
        self.at(n)
        values = {name: score.values for name, score in other.at(n).metrics.items()}
        return Paired(other.identity, self._contributions[n], other._contributions[n], values)

    def images(self, seed: int, n: int) -> ImageSet:
        """The first `n` images of the sequence that `seed` names."""
        recipe = digest_values("sampled", self._who, seed)
        window = self.subject.real.reference.window
        return ImageSet(self._draw(seed, n), np.full(n, str(seed)), recipe, window=window)

    def _draw(self, seed: int, n: int) -> UInt8:
        """Rows 0..n, drawing only what earlier looks have not drawn."""
        drawn = self._drawn.get(seed)
        shared = self._shared if getattr(self._generator, "shares_images", True) else None
        if shared is not None and (drawn is None or len(drawn) < n):
            there = shared.images(self.key, seed)
            if there is not None and (drawn is None or len(there) > len(drawn)):
                drawn = there
        have = 0 if drawn is None else len(drawn)
        if drawn is None or have < n:
            shape = self.subject.real.reference.pixels.shape[1:]
            sample_range = getattr(self._generator, "sample_range", None)
            if sample_range is None:
                full = self.counts[-1]
                drawn = checked(self._generator(full, seed), full, shape)
            else:
                fresh = checked(sample_range(have, n, seed), n - have, shape)
                drawn = fresh if drawn is None else np.concatenate([drawn, fresh])
            if shared is not None:
                shared.keep_images(self.key, seed, drawn)
        self._drawn[seed] = drawn
        return drawn[:n]

    def _measure(self, seed: int, n: int, *, evidence: bool = False, contributions: bool = False) -> Battery:
        """The battery of one sample group."""
        subject, images = self.subject, self.images(seed, n)
        embedded = subject.bench.embed(subject.extractor, images)
        metrics = subject.settings.metrics
        return measure(
            subject.bench.reference(subject.extractor, subject.real, metrics, self.trained_on),
            fake=embedded.features,
            probabilities=embedded.probabilities,
            pixels=images.pixels,
            metrics=metrics,
            custom=subject.bench.custom,
            evidence=evidence,
            contributions=contributions,
        )


def row_of(name: str, looks_: list[Scores], fingerprint: Fingerprint, origin: str) -> Row:
    """Measured scores as a Row of Limits."""
    names = dict.fromkeys(metric for scores in looks_ for metric in scores.metrics)
    limits = {}
    for metric in names:
        values = {
            scores.n_fake: LimitValue(m.mean, m.se, 0.0 if math.isnan(m.sd) else m.sd, m.se_total, len(m.values))
            for scores in looks_
            if (m := scores.metrics.get(metric)) is not None
        }
        limits[metric] = Limit(metric, MappingProxyType(values), origin, fingerprint=fingerprint, row=name)
    return Row(name, MappingProxyType(limits), origin, fingerprint=fingerprint)


def checked(pixels: UInt8, count: int, shape: tuple[int, ...]) -> UInt8:
    """What a generator returned, or a CheckpointError that says what is wrong with it."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise CheckpointError(
            f"the generator returned {array.dtype} instead of uint8; map its output to 0..255 and round (see README)"
        )
    if array.shape != (count, *shape):
        raise CheckpointError(
            f"the generator returned shape {list(array.shape)} where {[count, *shape]} was asked for; "
            "return exactly count images of the real images' size"
        )
    return array


def gather(
    batteries: list[Battery], settings: Settings, n_real: int, n_fake: int, own: Iterable[Metric] = ()
) -> Scores:
    """One look: the sample groups' estimates together. `own` are the project's own metrics beside the catalogue's."""
    known = {**METRICS, **{metric.name: metric for metric in own}}
    metrics: dict[str, MetricScore] = {}
    unmeasured: dict[str, str] = {}
    for name in dict.fromkeys((*settings.metrics, *(n for b in batteries for n in b.estimates))):
        estimates = [battery.estimates.get(name) for battery in batteries]
        present = [e for e in estimates if e is not None]
        if len(present) < len(batteries):
            reasons = [b.unmeasured[name] for b in batteries if name in b.unmeasured]
            unmeasured[name] = reasons[0] if reasons else "not computed"
            continue
        metrics[name] = combine(
            known[name],
            tuple(e.value for e in present),
            tuple(e.se for e in present),
            tuple(e.se_total for e in present),
        )
    groups = tuple(map(str, settings.seeds))
    return Scores(n_real, n_fake, groups, MappingProxyType(metrics), MappingProxyType(unmeasured))


def combine(
    metric: Metric, values: tuple[float, ...], errors: tuple[float, ...], totals: tuple[float, ...]
) -> MetricScore:
    """Mean over sample groups. Groups are independent given the reference, so `se` falls with their number;
    `se_total` holds the reference's own error, which the groups share, and only the rest falls."""
    k = len(values)
    se = math.sqrt(math.fsum(e * e for e in errors)) / k
    shared = max(statistics.fmean(t * t for t in totals) - statistics.fmean(e * e for e in errors), 0.0)
    return MetricScore(
        metric=metric,
        values=values,
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if k > 1 else math.nan,
        se=se,
        se_total=math.sqrt(shared + se * se),
    )
