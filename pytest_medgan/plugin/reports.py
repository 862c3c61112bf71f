"""From what the tests found to a run folder and its reports; pictures are taken where the images are."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.plugin.beside import history, published_for
from pytest_medgan.plugin.candidates import accept_command
from pytest_medgan.plugin.options import RunOptions
from pytest_medgan.plugin.samples import keep_samples, kept_samples

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation
    from pytest_medgan.plugin.collector import Model
    from pytest_medgan.records import UInt8
    from pytest_medgan.report import ModelRecord


def keep_evidence(evaluation: ModelEvaluation, options: RunOptions) -> str:
    """Writes what pictures and explanations need of the first sample group, and says where; once a look."""
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
    """Writes the run folder and the reports asked for, and returns the reports. Raises OSError and MedganError."""
    from pytest_medgan.report import ReportRun, load_evidence, markdown, merged, render, write_run

    records = merged([_record(model, options) for model in models.values()])
    evidence = {
        record.name: replace(
            load_evidence(Path(model.plain["evidence"])), thumbnails_baseline=_accepted_samples(record, model, options)
        )
        for record, model in zip(records, models.values(), strict=False)
        if "evidence" in model.plain
    }
    warnings = tuple(dict.fromkeys(w for model in models.values() for w in model.plain["data"]["warnings"]))
    run = ReportRun(
        models=tuple(records),
        facts={"device": options.device},
        warnings=warnings,
        problems=tuple(problems),
        report_only=options.report_only,
    )
    for model in models.values():  # the run folder has them now
        if "evidence" in model.plain:
            Path(model.plain["evidence"]).unlink(missing_ok=True)
    write_run(options.report_dir, run, evidence, include_real=options.report_real)
    if "md" in options.reports and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        with open(summary, "a", encoding="utf-8") as page:
            page.write(markdown(run, evidence))
    return render(options.report_dir, options.reports, include_real=options.report_real)


def _accepted_samples(record: ModelRecord, model: Model, options: RunOptions) -> UInt8 | None:
    """The accepted model's first images, unless it is this very model or they are not at hand."""
    if record.baseline is None or record.unchanged:
        return None
    return kept_samples(options.cache_dir, record.baseline.provenance.get("checkpoint"), model.plain["seeds"][0])


def _record(model: Model, options: RunOptions) -> ModelRecord:
    from pytest_medgan.evaluate.plain import fingerprint_from_plain, scores_from_plain
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.report import model_record

    plain: dict[str, Any] = model.plain
    baseline = load(plain["baseline"]) if plain["baseline"] else None
    row = None if baseline is None or baseline.kind == "published" else baseline.row(model.row)
    count = max((int(n) for n in plain["looks"]), default=None)
    published = published_for(plain, baseline, model.row, plain["name"])
    return model_record(
        plain["name"],
        [scores_from_plain(look) for look in plain["looks"].values()],
        full_count=plain["counts"][-1],
        verdicts=model.verdicts,
        real=[scores_from_plain(look) for look in plain["real"].values()],
        baseline=row if row is not None and row.limits else None,
        published=published[1] if published else None,
        published_sweeps=published[0].sweeps.get(published[1].name, {}) if published else {},
        fingerprint=fingerprint_from_plain(plain["fingerprint"]),
        history=history(baseline, row, count) if baseline is not None and row is not None and row.limits else (),
        checkpoint=plain["identity"] or "",
        accept=f"{accept_command(options.report_dir, plain['name'])} --row {shlex.quote(model.row)}",
    )
