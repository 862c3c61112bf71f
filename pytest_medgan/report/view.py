"""What the page shows of one model, ready for the template: text, figures and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_medgan.ground.theme import BEFORE, FAKE, MUTED, REAL, Colour
from pytest_medgan.records import Evidence, Float64, Row, Scalar, VerdictCause
from pytest_medgan.report.accepted import BASELINE_SWEEP, REAL_SWEEP
from pytest_medgan.report.causes import limits_of_knowledge
from pytest_medgan.report.comparisons import lost, standings
from pytest_medgan.report.figures import (
    Curve,
    Picture,
    change_figure,
    histogram_figure,
    history_figure,
    prd_figure,
    sweep_figure,
)
from pytest_medgan.report.images import Gallery, Shown, contact_sheets, galleries, small_sheets, why_no_baseline_samples
from pytest_medgan.report.overview import Overview, cost, is_first_run, overview, tone
from pytest_medgan.report.plane import Plane, plane
from pytest_medgan.report.record import ModelRecord
from pytest_medgan.report.scorecard import Criterion, scorecard
from pytest_medgan.report.table import (
    ComparisonText,
    TableColumn,
    TableRow,
    comparison_texts,
    table_columns,
    table_rows,
)

SWEPT = ("improved_precision", "improved_recall", "density", "coverage")
HISTORY_SHOWN = ("fid", "improved_precision", "improved_recall")  # in addition to metrics that got worse
TELLING = 3  # pictures on the first screen

# section -> the words of a link to it
LINKS = {
    "samples": "Compare the samples",
    "tsne": "See where the images lie",
    "curves": "See the grey levels",
    "copies": "See the suspected copies",
    "duplicates": "See the repeated images",
    "anomalies": "See the images that look wrong",
    "implausible": "See the images of implausible anatomy",
    "outside": "See the least realistic images",
    "table": "See the table",
}

# kind of cause -> small sheets and figures that show it, the clearest first
_TELLING_BY_CAUSE = {
    "copying": ("Suspected copies", "Baseline", "This run"),
    "duplicates": ("Repeated", "Baseline", "This run"),
    "anomalies": ("Looking wrong", "Baseline", "This run"),
    "implausible": ("Implausible", "Baseline", "This run"),
    "collapse": ("Baseline", "This run", "Repeated", "Real"),
    "diversity": ("Baseline", "This run", "Real"),
    "fidelity": ("Baseline", "This run", "Least realistic", "Real"),
    "intensity": ("Baseline", "This run", "Grey levels", "Real"),
}
_SEEN_CLOSELY = ("fidelity", "texture")  # causes whose images look alike until they are enlarged
_TELLING_OTHERWISE = ("Baseline", "This run", "Real", "Least realistic", "Change from the baseline", "Grey levels")


@dataclass(frozen=True)
class ModelView:
    """One model's section of the page."""

    name: str
    anchor: str
    outcome: str
    tone: str  # "good", "bad", "warn" or "neutral"
    overview: Overview
    telling: tuple[Shown, ...]  # pictures on the first screen
    notes: tuple[str, ...]  # what was not examined
    cost: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    has_published: bool
    is_stopped: bool  # metrics were left open when another had failed
    failed: tuple[ComparisonText, ...]  # comparisons that ended as the model did, where that is not green
    others: tuple[ComparisonText, ...]
    change: Shown | None
    sheets: tuple[Shown, ...]
    first_group: str  # the sample group that images are of
    why_no_baseline: str  # why no samples of the baseline are shown; empty where they are
    other_run_helps: bool  # whether the folder of the accepted run has them
    galleries: tuple[Gallery, ...]
    plane: Plane | None
    curves: tuple[Shown, ...]
    history: tuple[Shown, ...]  # of metrics that got worse and of those that readers look for first
    more_history: tuple[Shown, ...]
    scorecard: tuple[Criterion, ...]
    facts: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]


def model_view(model: ModelRecord, evidence: Evidence | None, anchor: str) -> ModelView:
    """Return everything that the page shows of one model.

    Args:
        model: One model of a run.
        evidence: Its evidence.
        anchor: Start of the identifiers of its sections, unique on the page.

    Returns:
        The view.
    """
    found = evidence or Evidence()
    outcome, texts, all_standings = model.outcome, comparison_texts(model), standings(model)
    curves, drawn_plane, sheets, kinds = _curves(model, found), plane(found), contact_sheets(found), galleries(found)
    change = change_figure(all_standings) if model.baseline is not None else None
    sections = {"table", *(gallery.anchor for gallery in kinds)}
    sections |= {n for n, present in (("samples", sheets), ("tsne", drawn_plane), ("curves", curves)) if present}
    seen = overview(model, found)
    linked = tuple(c if c.look_at in sections else replace(c, look_at="") for c in seen.causes)
    figures = {shown.title: shown for shown in (*curves, *((_shown(change),) if change else ()))}
    is_green = outcome is not None and outcome.green
    rows = table_rows(model)
    first = {*HISTORY_SHOWN, *(s.metric for s in lost(model))}
    settings = model.fingerprint
    return ModelView(
        name=model.name,
        anchor=anchor,
        outcome=str(outcome) if outcome else "not judged",
        tone=tone(outcome, first_run=is_first_run(model)),
        overview=replace(seen, causes=linked),
        telling=() if is_green else _telling(seen, figures, found),
        notes=() if is_green or outcome is None or is_first_run(model) else limits_of_knowledge(model),
        cost=cost(model),
        columns=table_columns(model, rows),
        rows=rows,
        has_published=model.published is not None,
        is_stopped=any(c.verdict.cause is VerdictCause.STOPPED for c in model.comparisons),
        failed=() if is_green else tuple(t for t in texts if t.outcome == str(outcome)),
        others=texts if is_green else tuple(t for t in texts if t.outcome != str(outcome)),
        change=_shown(change) if change else None,
        sheets=tuple(sheets.values()),
        first_group=f"the first sample group, seed {model.groups[0]}" if model.groups else "the first sample group",
        why_no_baseline="" if "Baseline" in sheets else why_no_baseline_samples(model),
        other_run_helps=model.baseline is not None and not model.is_the_accepted_model,
        galleries=kinds,
        plane=drawn_plane,
        curves=curves,
        history=_history(model, [n for n in model.metrics if n in first]),
        more_history=_history(model, [n for n in model.metrics if n not in first]),
        scorecard=scorecard(model),
        facts=_facts({**settings.inputs, **settings.environment}) if settings else (),
        provenance=_facts(_row_facts(model.baseline)) if model.baseline else (),
    )


def _row_facts(row: Row) -> dict[str, Scalar]:
    """Return a row's own facts, its note and those of its training run; of several runs their number."""
    facts = dict(row.provenance)
    if len(row.runs) == 1:
        facts |= {**row.runs[0].facts, **({"checkpoint": row.runs[0].checkpoint} if row.runs[0].checkpoint else {})}
    elif row.runs:
        facts["runs"] = len(row.runs)
    return facts | ({"note": row.note} if row.note else {})


def _telling(seen: Overview, figures: Mapping[str, Shown], found: Evidence) -> tuple[Shown, ...]:
    """Return the pictures that show the first cause best."""
    kind = seen.causes[0].kind if seen.causes else ""
    known = {**figures, **small_sheets(found, large=kind in _SEEN_CLOSELY)}
    order = dict.fromkeys((*_TELLING_BY_CAUSE.get(kind, ()), *_TELLING_OTHERWISE))
    return tuple([known[title] for title in order if title in known][:TELLING])


def _facts(facts: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return names and values as text."""
    return tuple((key, "none" if value is None else str(value)) for key, value in facts.items())


def _shown(picture: Picture) -> Shown:
    """Return a figure as an image of the page."""
    return Shown(picture.source, picture.alt, picture.title)


def _history(model: ModelRecord, metrics: Sequence[str]) -> tuple[Shown, ...]:
    """Return the history of metrics that have one."""
    return tuple(_shown(p) for name in metrics if (p := history_figure(model, name)) is not None)


def _curves(model: ModelRecord, found: Evidence) -> tuple[Shown, ...]:
    """Return the metrics over k, precision against recall, and the grey levels."""
    shown = []
    for name in SWEPT:
        curves = _sweeps(model, name, found)
        if any(len(curve.x) > 1 for curve in curves):
            shown.append(_shown(sweep_figure(model.metric(name), curves)))
    prd: dict[str, tuple[Float64, Colour]] = {}
    for label, curve, colour in (
        ("this run", found.prd_curve, FAKE),
        ("Real", found.prd_curve_real, REAL),
        ("baseline", found.prd_curve_baseline, BEFORE),
    ):
        if curve is not None:
            prd[label] = (curve, colour)
    if "this run" in prd:
        shown.append(_shown(prd_figure(prd)))
    histogram = histogram_figure(found, "this run")
    return (*shown, _shown(histogram)) if histogram else tuple(shown)


def _sweeps(model: ModelRecord, name: str, found: Evidence) -> list[Curve]:
    """Return a metric over k of this run, of real images, of the baseline and as published."""
    curves = []
    if found.ks is not None:
        ks = found.ks.astype(np.float64)
        for label, key, colour, dashes in (
            ("this run", name, FAKE, "-"),
            ("Real", f"{REAL_SWEEP}{name}", REAL, "--"),
            ("baseline", f"{BASELINE_SWEEP}{name}", BEFORE, "-."),
        ):
            if key in found.sweep:
                curves.append(Curve(label, colour, ks, found.sweep[key], dashes))
    if by_k := model.published_sweep.get(name):
        ks, means = np.array(sorted(by_k), float), np.array([float(np.mean(by_k[k])) for k in sorted(by_k)])
        curves.append(Curve("published", MUTED, ks, means, ":"))
    return curves
