"""The source paper's table for any models, in one call (Jang, Yoo and Hong 2022, section 3 and Table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_medgan import catalogue
from pytest_medgan.embedding.side_by_side import Disagreement, ranking_disagreements
from pytest_medgan.errors import DataError
from pytest_medgan.evaluate.evaluation import ModelEvaluation
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.real import real_evaluation
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.records import DataSettings, Fingerprint, Scores

# Table 1, in the paper's order
METRICS = ("inception_score", "fid", "precision", "recall", "improved_precision", "improved_recall")
SAMPLES = 6080  # generated images a sample group, and real images in the reference: half of 190 patients x 64 slices
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Table:
    """The paper's table, measured."""

    rows: Mapping[str, Scores]  # "Real" first, then the models as they were given
    fingerprint: Fingerprint
    samples: int  # images a sample group; fewer than SAMPLES is a trial
    warnings: tuple[str, ...]

    @property
    def scaled_down(self) -> str:
        """One line where the counts are not the paper's; empty where they are."""
        if self.samples == SAMPLES:
            return ""
        return f"a trial: {self.samples} images a sample group where the protocol asks for {SAMPLES:,}"


def disagreements(first: Table, second: Table) -> tuple[Disagreement, ...]:
    """Where the tables of two feature spaces rank two rows differently, the Real row among them, metric by metric."""
    shared = catalogue.ordered(
        {name for table in (first, second) for scores in table.rows.values() for name in scores.metrics}
    )
    found: list[Disagreement] = []
    for name in shared:
        scores = [{row: s.metrics[name] for row, s in t.rows.items() if name in s.metrics} for t in (first, second)]
        values, errors = ([{row: getattr(m, what) for row, m in s.items()} for s in scores] for what in ("mean", "se"))
        better = catalogue.METRICS[name].higher_is_better
        found += ranking_disagreements(
            name, values[0], values[1], higher_is_better=better, errors=(errors[0], errors[1])
        )
    return tuple(found)


def jang2022(
    data: DataSettings,
    models: Mapping[str, str],
    bench: Workbench,
    *,
    extractor: str = "inception_v3,weights=imagenet",
    samples: int | None = SAMPLES,
    seeds: tuple[int, ...] = SEEDS,
    metrics: tuple[str, ...] = METRICS,
    beside: str | None = None,
) -> Table:
    """Scores every model and the held-out real images as the paper does: split="slice", one Real row, three seeds.

    `models` maps the name of a row to a generator's string. `samples=None` takes as many as there are reference
    images. `beside` is a feature space that the caller will ask for next: it is loaded before anything long, so that
    what is wrong with it is told at once. Raises DataError where there are fewer held-out images than samples, and what
    loading raises.
    """
    settings = Settings(replace(data, split="slice"), None, extractor, None, samples, seeds, metrics)
    for spec in models.values():  # a model that is not there is told before anything long; the others train on the data
        if spec not in ("dcgan", "pggan"):
            bench.generator(replace(settings, generator=spec))
    real = bench.real(settings)
    subject = Subject(real, bench.extractor(extractor, real), settings, bench)
    if beside is not None:
        bench.extractor(beside, real)
    evaluation = real_evaluation(subject)
    full = evaluation.counts[-1]
    if full > len(real.held_out):
        raise DataError(
            f"{full} images a row were asked for and {len(real.held_out)} real ones are held out; "
            "give more studies or scale down with --samples"
        )
    rows = {"Real": evaluation.at(full)}
    for name, spec in models.items():
        generator = bench.generator(replace(settings, generator=spec))
        rows[name] = ModelEvaluation(name, generator, subject).at(full)
    return Table(rows, make_fingerprint(subject), full, subject.warnings)
