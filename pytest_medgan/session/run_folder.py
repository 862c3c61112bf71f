"""Make the run folder and its reports from what a run found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.session.options import RunOptions
from pytest_medgan.session.samples import keep_samples, kept_samples

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation
    from pytest_medgan.records import Evidence
    from pytest_medgan.session.findings import Model
    from pytest_medgan.session.model_records import ReportedModel


def keep_evidence(evaluation: ModelEvaluation | RunsEvaluation, options: RunOptions) -> str:
    """Write what pictures and explanations need of the first sample group, once per look; return the file.

    Pictures are made here, in the process that holds the images.
    """
    from pytest_medgan.report import save_evidence

    subject = evaluation.subject

    def make() -> str:
        evidence = evidence_of(evaluation, include_real=options.report_real)
        keep_samples(options.cache_dir, evaluation.identity, subject.settings.seeds[0], evidence)
        path = options.cache_dir / "evidence" / f"{evaluation.key}-{os.getpid()}.npz"
        save_evidence(path, evidence)
        return str(path)

    return subject.bench.keep(("evidence file", evaluation.key, max(evaluation.computed)), make)


def evidence_of(evaluation: ModelEvaluation | RunsEvaluation, *, include_real: bool) -> Evidence:
    """Return the evidence of the first sample group at the largest look computed, with pictures, made once."""
    from pytest_medgan.evaluate import with_real_sweep
    from pytest_medgan.evaluate.pictures import with_pictures

    subject = evaluation.subject
    bench, real, largest = subject.bench, subject.real, max(evaluation.computed)

    def make() -> Evidence:
        images = evaluation.images(subject.settings.seeds[0], largest)
        return with_pictures(
            with_real_sweep(evaluation.evidence(), subject, largest),
            real=real.reference,
            fake=images,
            real_features=bench.embedded(subject.extractor, real, "reference").features,
            fake_features=bench.embed(subject.extractor, images).features,
            train=real.training if evaluation.trained_on == real.training.recipe else None,
            include_real=include_real,
            folder=bench.folder / "planes",
            progress=bench.progress,
        )

    return bench.keep(("evidence", evaluation.key, largest, include_real), make)


def write_reports(models: Mapping[str, Model], problems: list[str], options: RunOptions) -> tuple[Path, ...]:
    """Write the run folder and the reports asked for.

    Args:
        models: Model key -> what was found.
        problems: What forbids a green run whatever the verdicts are, one line each. A line is added where the summary
            page of a CI job cannot be written.
        options: Where to write what.

    Returns:
        The reports written.

    Raises:
        MedganError: A file cannot be written, or a baseline cannot be read any more.
    """
    from pytest_medgan.report import ReportRun, render, write_run
    from pytest_medgan.report.folder import MARKDOWN_FILE
    from pytest_medgan.session.beside import lines, second_of
    from pytest_medgan.session.model_records import reported_models

    every = list(models.values())
    first = [model for model in every if model.findings.beside is None]
    pairs = [(model, second) for model in first if (second := second_of(every, model)) is not None]
    beside = [f"{model.name}: {line}" for model, second in pairs for line in lines(model, second)]
    reported = reported_models(first, options)
    evidence = {model.record.name: _evidence(model, options) for model in reported if model.evidence is not None}
    run = ReportRun(
        models=tuple(model.record for model in reported),
        facts={"device": options.device},
        warnings=tuple(dict.fromkeys([*beside, *(w for model in every for w in model.findings.data.warnings)])),
        problems=tuple(problems),
        report_only=options.report_only,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_run(options.report_dir, run, evidence, include_real=options.report_real)
    for model in models.values():  # the run folder holds them from here on
        if model.findings.evidence is not None:
            Path(model.findings.evidence).unlink(missing_ok=True)
    written = render(options.report_dir, options.reports, include_real=options.report_real)
    if "md" in options.reports and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        text = (options.report_dir / MARKDOWN_FILE).read_text(encoding="utf-8")  # filtered, as the folder is
        try:
            with open(summary, "a", encoding="utf-8") as page:
                page.write(text)
        except OSError as error:  # the report itself is written
            reason = error.strerror or "no reason given"
            problems.append(f"The summary page of the CI job (GITHUB_STEP_SUMMARY) could not be written: {reason}.")
    return written


def _evidence(model: ReportedModel, options: RunOptions) -> Evidence:
    """Return a model's evidence, with the accepted model's samples and curves unless it is this same model."""
    from pytest_medgan.records import Evidence
    from pytest_medgan.report import load_evidence
    from pytest_medgan.report.accepted import with_accepted

    record = model.record
    evidence = Evidence() if model.evidence is None else load_evidence(model.evidence)
    if record.baseline is None or record.is_the_accepted_model:
        return evidence
    checkpoints = [run.checkpoint for run in record.baseline.runs]
    return with_accepted(evidence, kept_samples(options.cache_dir, next(iter(checkpoints), None), model.seed))
