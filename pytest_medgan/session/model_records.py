"""Make the models of a report's record from the findings of a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_medgan.gate.message import OVERRIDE_DRIFT, is_loss
from pytest_medgan.records import Entry, Row, Score, Scores
from pytest_medgan.report import Comparison, ModelRecord
from pytest_medgan.report.privacy import scrub
from pytest_medgan.session.candidates import accept_command, candidate_path, portable_name
from pytest_medgan.session.findings import have_equal_numbers
from pytest_medgan.session.history import accepted_history, published_for

if TYPE_CHECKING:
    from pytest_medgan.session.findings import Model
    from pytest_medgan.session.options import RunOptions


@dataclass(frozen=True)
class ReportedModel:
    """One model of a report and the file of its evidence."""

    record: ModelRecord  # its name is numbered where an earlier model of the report has the same
    seed: int  # latent seed of the first sample group
    name: str  # as the user gave it
    checkpoints: tuple[str, ...]  # digest of the generator, or of each training run; "" for one without a digest
    evidence: Path | None = None


def reported_models(models: Iterable[Model], options: RunOptions) -> tuple[ReportedModel, ...]:
    """Return what the report shows of each model.

    Findings of one model under equal settings are joined: each test of a generator without an identity has findings of
    its own. Models of one name with different checkpoints, settings or numbers stay apart and are numbered.

    Args:
        models: The findings, one per evaluation.
        options: Where the candidates are.

    Returns:
        Models with different names, in order of first appearance.
    """
    kept: list[ReportedModel] = []
    for model in models:
        new = _reported(model, options)
        place = next((i for i, known in enumerate(kept) if _is_same_model(known, new)), None)
        if place is None:
            kept.append(new)
        else:
            kept[place] = _joined(kept[place], new)
    return tuple(_numbered(_with_own_candidates(kept, options)))


def real_row_of(looks: Iterable[Scores]) -> Row | None:
    """Return scores of held-out images as the Real row of a report.

    Args:
        looks: Scores at different counts.

    Returns:
        The row, without margins; None without looks.
    """
    values: dict[str, dict[int, Score]] = {}
    for scores in looks:
        for name, score in scores.metrics.items():
            values.setdefault(name, {})[scores.n_fake] = score
    entries = {name: Entry(MappingProxyType(by_count)) for name, by_count in values.items()}
    return Row("Real", MappingProxyType(entries), "this run") if entries else None


def _reported(model: Model, options: RunOptions) -> ReportedModel:
    """Return one model as the report shows it, with everything that is read from files beside the run."""
    from pytest_medgan.gate.baseline import load

    found = model.findings
    baseline = load(found.baseline) if found.baseline else None
    row = None if baseline is None or baseline.kind == "published" else baseline.row(model.row)
    known = row if row is not None and row.limits else None
    published = published_for(found.data.collection, baseline, model.row, found.name)
    record = ModelRecord(
        name=found.name,
        row=model.row,
        looks=tuple(found.looks[n] for n in sorted(found.looks)),
        full_count=found.counts[-1],
        comparisons=tuple(Comparison(judged.verdict, judged.nodeid) for judged in model.verdicts),
        real=real_row_of(found.real.values()),
        baseline=None if known is None else _bare(known),
        published=None if published is None else _bare(published[1]),
        published_sweep={} if published is None else published[0].sweeps.get(published[1].name, {}),
        history=accepted_history(baseline, known, max(found.looks, default=None)) if baseline and known else (),
        fingerprint=found.fingerprint,
        window=found.data.window,
        checkpoint=found.identity or "",
        accept=_accept_command(model, options),
    )
    return ReportedModel(
        record,
        seed=found.seeds[0],
        name=found.name,
        checkpoints=(found.identity,) if found.identity else tuple(run.checkpoint or "" for run in found.runs),
        evidence=None if found.evidence is None else Path(found.evidence),
    )


def _is_same_model(one: ReportedModel, other: ReportedModel) -> bool:
    """Return whether two findings are of one model under equal settings."""
    if one.name != other.name or one.record.fingerprint != other.record.fingerprint:
        return False
    if one.checkpoints != other.checkpoints:
        return False
    is_known = bool(one.checkpoints) and all(one.checkpoints)
    return is_known or _have_equal_numbers(one.record, other.record)


def _have_equal_numbers(one: ModelRecord, other: ModelRecord) -> bool:
    """Return whether every metric that both have at one look has the same value."""
    ours, theirs = ({look.n_fake: look for look in record.looks} for record in (one, other))
    return not ours.keys() & theirs.keys() or have_equal_numbers(ours, theirs)


def _with_own_candidates(models: Iterable[ReportedModel], options: RunOptions) -> Iterator[ReportedModel]:
    """Yield the models; of several with one candidate file, the first that was measured keeps the accept command."""
    taken: set[Path] = set()
    for model in models:
        path, is_measured = candidate_path(options.report_dir, model.name), bool(model.record.looks)
        yield model if is_measured and path not in taken else replace(model, record=replace(model.record, accept=""))
        taken |= {path} if is_measured else set()


def _numbered(models: Iterable[ReportedModel]) -> Iterator[ReportedModel]:
    """Yield the models under different names, also once paths are removed; no number makes a name that is another's."""
    models = tuple(models)
    chosen, taken = {scrub(model.name) for model in models}, set[str]()
    for model in models:
        name, number = model.name, 1
        while scrub(name) in (taken if number == 1 else taken | chosen):
            number += 1
            name = f"{model.name} ({number})"
        taken.add(scrub(name))
        yield replace(model, record=replace(model.record, name=name))


def _accept_command(model: Model, options: RunOptions) -> str:
    """Return the command that accepts the candidate; empty where it could not be followed from the working directory.

    A report holds no path outside the working directory, so a candidate or a baseline there cannot be named.
    """
    found = model.findings
    path = candidate_path(options.report_dir, found.name)
    if not path.exists() or _is_outside(path):
        return ""
    command = f"{accept_command(options.report_dir, found.name, found.baseline)} --row {shlex.quote(model.row)}"
    if is_loss(judged.verdict for judged in model.verdicts):
        command += f" {OVERRIDE_DRIFT}"
    if portable_name(found.baseline):
        return command
    if found.baseline is None or _is_outside(Path(found.baseline)):
        return ""
    return f"{command} --into {shlex.quote(os.path.relpath(found.baseline))}"


def _is_outside(path: Path) -> bool:
    """Return whether a path leads out of the working directory."""
    return os.path.relpath(path).startswith("..")


def _bare(row: Row) -> Row:
    """Return a row without its fingerprint and its Real row, which the report has of the run itself."""
    return replace(row, fingerprint=None, real=None)


def _joined(one: ReportedModel, other: ReportedModel) -> ReportedModel:
    """Return two findings of one model as one."""
    first, second = one.record, other.record
    looks = {look.n_fake: look for look in first.looks}
    for look in second.looks:
        known = looks.get(look.n_fake)
        looks[look.n_fake] = look if known is None else replace(known, metrics={**known.metrics, **look.metrics})
    record = replace(
        first,
        looks=tuple(looks[n] for n in sorted(looks)),
        full_count=max(first.full_count, second.full_count),
        comparisons=(*first.comparisons, *(c for c in second.comparisons if c not in first.comparisons)),
        real=first.real or second.real,
        baseline=first.baseline or second.baseline,
        published=first.published or second.published,
        published_sweep=first.published_sweep or second.published_sweep,
        history=first.history or second.history,
        checkpoint=first.checkpoint or second.checkpoint,
        accept=first.accept or second.accept,
    )
    return replace(one, record=record, evidence=one.evidence or other.evidence)
