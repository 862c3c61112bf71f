"""The source paper's table for any models, in one call (Jang, Yoo and Hong 2022, section 3 and Table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_medgan import catalogue
from pytest_medgan.embedding.side_by_side import Disagreement, ranking_disagreements
from pytest_medgan.errors import DataError
from pytest_medgan.evaluate.drawing import named_errors
from pytest_medgan.evaluate.evaluation import ModelEvaluation
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.real import real_evaluation
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.records import DataSettings, Fingerprint, Scores

# Table 1, in the paper's order
METRICS = ("inception_score", "fid", "precision", "recall", "improved_precision", "improved_recall")
SAMPLES = 6080  # generated images per sample group, and real images in the reference: half of 190 patients x 64 slices
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Table:
    """The paper's table, measured."""

    rows: Mapping[str, Scores]  # "Real" first, then the models as they were given
    fingerprint: Fingerprint
    samples: int  # images per sample group; other numbers than SAMPLES make a trial
    warnings: tuple[str, ...]
    evaluations: Mapping[str, ModelEvaluation]  # the models' evaluations, for reports

    @property
    def scaled_down(self) -> str:
        """One line where the counts are not the paper's; empty where they are."""
        if self.samples == SAMPLES:
            return ""
        return f"a trial: {self.samples} images per sample group where the protocol asks for {SAMPLES:,}"


def disagreements(first: Table, second: Table) -> tuple[Disagreement, ...]:
    """Return where two feature spaces rank two rows differently, metric by metric, the Real row included."""
    shared = catalogue.ordered(
        {name for table in (first, second) for scores in table.rows.values() for name in scores.metrics}
    )
    found: list[Disagreement] = []
    for name in shared:
        scores = [{row: s.metrics[name] for row, s in t.rows.items() if name in s.metrics} for t in (first, second)]
        found += ranking_disagreements(
            name,
            {row: score.mean for row, score in scores[0].items()},
            {row: score.mean for row, score in scores[1].items()},
            higher_is_better=catalogue.METRICS[name].higher_is_better,
            errors=(
                {row: score.se for row, score in scores[0].items()},
                {row: score.se for row, score in scores[1].items()},
            ),
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
    split: str = "slice",
) -> Table:
    """Score models and held-out real images as the paper does: split="slice", one Real row, three latent seeds.

    Args:
        data: The real images; their split is not looked at.
        models: Name of a column -> a generator's string.
        bench: The session's store.
        extractor: The feature space.
        samples: Images per sample group; None takes as many as there are reference images.
        seeds: One sample group each.
        metrics: The metrics to measure.
        beside: A feature space that the caller will ask for next. It is loaded before anything long, so that an error
            in it shows at once.
        split: "slice" as in the paper, where slices of one patient are in all sets, or "patient".

    Returns:
        The table.

    Raises:
        DataError: Fewer images are held out than samples were asked for.
        MedganError: A model, the images or a feature space cannot be loaded.
    """
    settings = Settings(replace(data, split=split), None, extractor, None, samples, seeds, metrics)
    for name, spec in models.items():  # load what exists before anything long; built-in names are trained later
        if spec not in ARCHITECTURES:
            with named_errors(name):
                bench.generator(replace(settings, generator=spec))
    real = bench.real(settings)
    subject = Subject(real, bench.extractor(extractor, real), settings, bench)
    if beside is not None:
        bench.extractor(beside, real)
    held_out = real_evaluation(subject)
    full = held_out.counts[-1]
    if full > len(real.held_out):
        raise DataError(
            f"{full} images per column were asked for and {len(real.held_out)} real ones are held out. "
            "Give more studies or scale down with --samples."
        )
    evaluations: dict[str, ModelEvaluation] = {}
    for name in sorted(models, key=lambda name: models[name] in ARCHITECTURES):  # all are checked before one is trained
        evaluations[name] = ModelEvaluation(name, bench.generator(replace(settings, generator=models[name])), subject)
        evaluations[name].check_images(full)
    evaluations = {name: evaluations[name] for name in models}
    rows = {"Real": held_out.at(full), **{name: evaluation.at(full) for name, evaluation in evaluations.items()}}
    return Table(rows, make_fingerprint(subject), full, subject.warnings, evaluations)
