"""Make the run folder and its reports from what a run found."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.session.candidates import accept_command
from pytest_medgan.session.history import accepted_history, published_for
from pytest_medgan.session.options import RunOptions
from pytest_medgan.session.samples import keep_samples, kept_samples

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation
    from pytest_medgan.records import UInt8
    from pytest_medgan.report import ModelRecord
    from pytest_medgan.session.findings import Model


def keep_evidence(evaluation: ModelEvaluation, options: RunOptions) -> str:
    """Write what pictures and explanations need of the first sample group, once per look; return the file.

    Pictures are made here, in the process that holds the images.
    """
    from pytest_medgan.evaluate import with_real_sweep
    from pytest_medgan.report import save_evidence
    from pytest_medgan.report.pictures import with_pictures

    subject = evaluation.subject
    bench, largest = subject.bench, max(evaluation.computed)

    def make() -> str:
        real, images = subject.real, evaluation.images(subject.settings.seeds[0], largest)
        evidence = with_pictures(
            with_real_sweep(evaluation.evidence(), subject, largest),
            real_features=bench.embedded(subject.extractor, real, "reference").features,
            fake_features=bench.embed(subject.extractor, images).features,
            real_pixels=real.reference.pixels,
            fake_pixels=images.pixels,
            train_pixels=real.training.pixels if evaluation.trained_on == real.training.recipe else None,
            include_real=options.report_real,
            window=real.reference.window,
            progress=bench.progress,
        )
        keep_samples(options.cache_dir, evaluation.identity, subject.settings.seeds[0], images)
        path = options.cache_dir / "evidence" / f"{evaluation.key}-{os.getpid()}.npz"
        save_evidence(path, evidence)
        return str(path)

    return bench.keep(("evidence", evaluation.key, largest), make)


def write_reports(models: Mapping[str, Model], problems: list[str], options: RunOptions) -> tuple[Path, ...]:
    """Write the run folder and the reports asked for.

    Args:
        models: Model key -> what was found.
        problems: What forbids a green run whatever the verdicts are, one line each.
        options: Where to write what.

    Returns:
        The reports written.

    Raises:
        MedganError: A file cannot be written, or a baseline cannot be read any more.
    """
    from pytest_medgan.report import ReportRun, load_evidence, markdown, merged, render, write_run

    records = merged([_model_record(model, options) for model in models.values()])
    evidence = {
        record.name: replace(
            load_evidence(Path(model.findings.evidence)), thumbnails_baseline=_accepted_samples(record, model, options)
        )
        for record, model in zip(records, models.values(), strict=False)
        if model.findings.evidence is not None
    }
    run = ReportRun(
        models=tuple(records),
        facts={"device": options.device},
        warnings=tuple(dict.fromkeys(w for model in models.values() for w in model.findings.data.warnings)),
        problems=tuple(problems),
        report_only=options.report_only,
    )
    for model in models.values():  # the run folder holds them from here on
        if model.findings.evidence is not None:
            Path(model.findings.evidence).unlink(missing_ok=True)
    write_run(options.report_dir, run, evidence, include_real=options.report_real)
    if "md" in options.reports and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        with open(summary, "a", encoding="utf-8") as page:
            page.write(markdown(run, evidence))
    return render(options.report_dir, options.reports, include_real=options.report_real)


def _accepted_samples(record: ModelRecord, model: Model, options: RunOptions) -> UInt8 | None:
    """Return the accepted model's first images, unless it is this very model or none are kept."""
    if record.baseline is None or record.unchanged:
        return None
    return kept_samples(options.cache_dir, record.baseline.provenance.get("checkpoint"), model.findings.seeds[0])


def _model_record(model: Model, options: RunOptions) -> ModelRecord:
    """Return one model as the report shows it, with everything that is read from files beside the run."""
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.report import model_record

    found = model.findings
    baseline = load(found.baseline) if found.baseline else None
    row = None if baseline is None or baseline.kind == "published" else baseline.row(model.row)
    published = published_for(found.data.collection, baseline, model.row, found.name)
    known = baseline is not None and row is not None and bool(row.limits)
    return model_record(
        found.name,
        found.looks.values(),
        full_count=found.counts[-1],
        verdicts=[{**judged.verdict.as_dict(), "nodeid": judged.nodeid} for judged in model.verdicts],
        real=list(found.real.values()),
        baseline=row if known else None,
        published=published[1] if published else None,
        published_sweeps=published[0].sweeps.get(published[1].name, {}) if published else {},
        fingerprint=found.fingerprint,
        history=accepted_history(baseline, row, max(found.looks, default=None)) if baseline and row and known else (),
        checkpoint=found.identity or "",
        accept=f"{accept_command(options.report_dir, found.name)} --row {shlex.quote(model.row)}",
    )
