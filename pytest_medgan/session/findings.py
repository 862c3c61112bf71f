"""What the tests of a run found, as records that cross between processes as plain data.

One process and many (pytest-xdist) use the same channel, so both behave alike. The records hold no path of the studies
and no patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_medgan.records import Fingerprint, Scores, TrainingRun, Verdict
from pytest_medgan.session.history import collection_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation

# two measurements of one generator differ by less than this, relative and absolute, whatever the order of its sums
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6


@dataclass(frozen=True)
class DataFacts:
    """What a table says of the real images."""

    source: str  # "phantom" or "studies"
    collection: str  # the public collection they are from; empty where unknown
    split: str
    crop: str
    window: tuple[float, ...] | None  # HU of grey 0 and 255; None where unknown, as for pictures
    training: int  # images
    reference: int
    held_out: int
    counts: Mapping[str, int]  # files read, files skipped by kind, studies, ...
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ModelFindings:
    """One model: what was computed so far and what it was computed from."""

    key: str  # names the evaluation, the same in every process
    name: str
    identity: str | None  # the generator's digest; None where it has none
    fingerprint: Fingerprint
    counts: tuple[int, ...]  # every look it can give
    looks: Mapping[int, Scores]  # the looks computed
    real: Mapping[int, Scores]  # the Real row at these looks
    data: DataFacts
    extractor: str  # the feature space's identity
    numeric_class: str
    engine: str  # how the features were computed; empty where the extractor does not say
    features: str  # how many features were computed and how many were read
    trouble: str | None  # why nothing is kept for the next run; None while all is well
    seeds: tuple[int, ...]
    baseline: str | None  # the baseline file, as the user named it
    evidence: str | None = None  # the file with what pictures need; None where no report was asked for
    runs: tuple[TrainingRun, ...] = ()  # the training runs that were measured
    beside: str | None = None  # the key of the model that these are the findings of in a second feature space

    @property
    def is_identified(self) -> bool:
        """Whether its key names the same model in every process; otherwise only within the process that made it."""
        return self.identity is not None or (bool(self.runs) and all(run.checkpoint for run in self.runs))

    def joined(self, other: ModelFindings) -> ModelFindings:
        """Return the findings of two tests on the same model together."""
        fuller = max(self, other, key=lambda one: len(one.looks))
        return replace(
            fuller,
            looks={**self.looks, **other.looks},
            real={**self.real, **other.real},
            trouble=self.trouble or other.trouble,
        )


@dataclass(frozen=True)
class JudgedVerdict:
    """A verdict, the model it concerns and the test that asked for it."""

    model: str  # ModelFindings.key
    verdict: Verdict
    nodeid: str = ""


@dataclass(frozen=True)
class TestFindings:
    """What one test leaves for the process that writes."""

    models: tuple[ModelFindings, ...] = ()
    verdicts: tuple[JudgedVerdict, ...] = ()
    gpu: bool = False  # the test is marked medgan_gpu
    terminal: tuple[str, ...] = ()  # lines that may name files of the data: for the terminal only

    __test__ = False  # pytest must not collect it

    def __bool__(self) -> bool:
        return bool(self.models or self.verdicts or self.gpu or self.terminal)


@dataclass
class Model:
    """One model as far as the tests of this run looked at it."""

    findings: ModelFindings
    verdicts: list[JudgedVerdict] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name that tables show."""
        return self.findings.name

    @property
    def row(self) -> str:
        """The baseline row it was compared with, else its own name. The Real row is computed, never accepted."""
        rows = (judged.verdict.row for judged in self.verdicts)
        return next((row for row in rows if row not in (None, "Real")), self.name)


@dataclass
class Findings:
    """Everything that the summary, the candidates and the reports are made of."""

    models: dict[str, Model] = field(default_factory=dict)
    gpu_tests_run: int = 0
    terminal_lines: list[str] = field(default_factory=list)  # may name files of the data: for the terminal only
    _own_keys: dict[tuple[str, str], str] = field(default_factory=dict)  # (key in a process, process) -> key here

    def told_apart(self, found: TestFindings, process: str) -> TestFindings:
        """Return findings under keys that no model of another process has; `unite` joins those that are of one model.

        A generator without an identity is named by its place in its own process, where another one may have the same.

        Args:
            found: The findings of a test.
            process: Names the process that ran it.
        """
        for model in found.models:
            if not model.is_identified and (model.key, process) not in self._own_keys:
                taken = any(key == model.key for key, _ in self._own_keys)
                self._own_keys[model.key, process] = f"{model.key}-{process}" if taken else model.key
        keys = {key: own for (key, of), own in self._own_keys.items() if of == process and key != own}
        if not keys:
            return found
        return replace(
            found,
            models=tuple(
                replace(one, key=keys.get(one.key, one.key), beside=keys.get(one.beside or "", one.beside))
                for one in found.models
            ),
            verdicts=tuple(replace(one, model=keys.get(one.model, one.model)) for one in found.verdicts),
        )

    def unite(self) -> dict[str, str]:
        """Join the models of several processes that are one, after the last test; return the keys that they now have.

        Two models without an identity are one where they measured the same numbers. One that measured nothing is joined
        with the only model of its name in its process that did, or with others that measured nothing.
        """
        united: dict[str, str] = {}
        while (pair := self._next_pair()) is not None:
            kept, joined = pair
            self._join(kept, joined)
            united = {old: kept if new == joined else new for old, new in {**united, joined: joined}.items()}
        return united

    def _next_pair(self) -> tuple[str, str] | None:
        """Return the keys of two models of different processes that are one, the earlier first; None where none are."""
        groups: dict[tuple[str, str | None], list[Model]] = {}
        origins = {own: key for (key, _), own in self._own_keys.items()}
        for own, model in self.models.items():
            if own in origins:
                groups.setdefault((origins[own], model.findings.beside), []).append(model)
        pairs = [(pair, group) for group in groups.values() for pair in combinations(group, 2)]
        for (one, other), _ in pairs:
            if have_equal_numbers(one.findings.looks, other.findings.looks):
                return one.findings.key, other.findings.key
        for (one, other), group in pairs:
            measured = [model for model in group if model.findings.looks]
            undecided = not (one.findings.looks and other.findings.looks)
            if undecided and len(measured) < 2 and not one.findings.fingerprint.differences(other.findings.fingerprint):
                return one.findings.key, other.findings.key
        return None

    def _join(self, kept: str, joined: str) -> None:
        """Join two models under the key of the first, and let the models of a second feature space follow."""
        first, second = self.models[kept], self.models.pop(joined)
        first.findings = replace(first.findings.joined(second.findings), key=kept)
        first.verdicts += [replace(judged, model=kept) for judged in second.verdicts]
        for model in self.models.values():
            if model.findings.beside == joined:
                model.findings = replace(model.findings, beside=kept)

    def add(self, found: TestFindings, nodeid: str, *, ran: bool = True) -> None:
        """Add one test's findings; `ran` is false where the test skipped itself."""
        self.terminal_lines += [line for line in found.terminal if line not in self.terminal_lines]
        self.gpu_tests_run += found.gpu and ran
        for model in found.models:
            known = self.models.get(model.key)
            if known is None:
                self.models[model.key] = Model(model)
            else:
                known.findings = known.findings.joined(model)
        for judged in found.verdicts:
            if judged.model in self.models:
                self.models[judged.model].verdicts.append(replace(judged, nodeid=nodeid))

    def arrange(self, order: Sequence[str]) -> None:
        """Put models and verdicts into the order of the tests, in which several processes do not finish them."""
        places = {nodeid: place for place, nodeid in enumerate(order)}

        def place_of(judged: JudgedVerdict) -> int:
            return places.get(judged.nodeid, len(places))

        for model in self.models.values():
            model.verdicts.sort(key=place_of)
        self.models = dict(
            sorted(self.models.items(), key=lambda item: min(map(place_of, item[1].verdicts), default=len(places)))
        )


def have_equal_numbers(ours: Mapping[int, Scores], theirs: Mapping[int, Scores]) -> bool:
    """Return whether two models measured the same: a finite value that both have is equal, and none differs."""
    pairs = [
        (ours[n].metrics[name].mean, theirs[n].metrics[name].mean)
        for n in ours.keys() & theirs.keys()
        for name in ours[n].metrics
        if name in theirs[n]
    ]
    is_measured = any(math.isfinite(one) and math.isfinite(other) for one, other in pairs)
    return is_measured and all(_is_equal(one, other) for one, other in pairs)


def _is_equal(one: float, other: float) -> bool:
    """Return whether two values differ by no more than rounding does."""
    both_unknown = math.isnan(one) and math.isnan(other)
    return both_unknown or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def findings_of(
    evaluation: ModelEvaluation | RunsEvaluation, *, evidence: str | None = None, beside: str | None = None
) -> ModelFindings:
    """Return what an evaluation computed so far.

    Args:
        evaluation: The evaluation of one model.
        evidence: The file that `keep_evidence` wrote for it.
        beside: The key of the model, where the evaluation is that of a second feature space.
    """
    from pytest_medgan.evaluate import real_scores

    subject, computed = evaluation.subject, evaluation.computed
    real, settings = subject.real, subject.real.settings
    return ModelFindings(
        key=evaluation.key,
        name=evaluation.name,
        identity=evaluation.identity,
        fingerprint=evaluation.fingerprint,
        counts=evaluation.counts,
        looks=computed,
        real=MappingProxyType(real_scores(subject, computed)),
        data=DataFacts(
            source="phantom" if settings.source.split(":")[0] == "phantom" else "studies",
            collection=collection_of(settings.source),
            split=settings.split,
            crop=settings.crop,
            window=real.reference.window,
            training=len(real.training),
            reference=len(real.reference),
            held_out=len(real.held_out),
            counts=real.counts,
            warnings=subject.warnings,
        ),
        extractor=subject.extractor.identity,
        numeric_class=subject.extractor.numeric_class,
        engine=subject.extractor.engine,
        features=str(subject.bench.cache().counts),
        trouble=subject.bench.trouble,
        seeds=subject.settings.seeds,
        baseline=subject.settings.baseline,
        evidence=evidence,
        runs=evaluation.training_runs,
        beside=beside,
    )
