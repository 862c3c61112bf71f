"""What the page shows of a model, ready for the template: text, figures and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import BEFORE, FAKE, MUTED, REAL
from pytest_medgan.records import Evidence, Float64, Int64, UInt8
from pytest_medgan.report.explain import Finding, caveats, explain, is_lost
from pytest_medgan.report.figures import (
    Curve,
    Picture,
    change_figure,
    histogram_figure,
    history_figure,
    prd_figure,
    sweep_figure,
)
from pytest_medgan.report.offenders import duplicate_groups, furthest_outside, suspected_copies
from pytest_medgan.report.pictures import GRID
from pytest_medgan.report.plane import Plane, plane
from pytest_medgan.report.run import ModelRecord, RowRecord
from pytest_medgan.report.table import Judgement, Line, accept_command, change, cost, judgements, lines, unmoved

SWEPT = ("improved_precision", "improved_recall", "density", "coverage")
FIRST = ("fid", "improved_precision", "improved_recall")  # whose history is shown in any case
COLUMNS = 8  # of a sample grid


@dataclass(frozen=True)
class Shown:
    """A picture with its words."""

    source: str  # data URI
    alt: str
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    """One offender: a few pictures side by side and what they are."""

    pictures: tuple[Shown, ...]
    caption: str


@dataclass(frozen=True)
class Gallery:
    """A kind of worst offenders."""

    anchor: str
    title: str
    text: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class ModelView:
    """One model's section."""

    name: str
    anchor: str
    outcome: str
    cost: str
    lines: tuple[Line, ...]
    lost: tuple[Judgement, ...]  # what made the model's outcome, where that is not green
    others: tuple[Judgement, ...]
    baseline: str  # the column's heading
    published: str  # empty without such a row
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
    accept: str  # the command that accepts the change; empty where there is nothing to accept
    change: Shown | None
    grids: tuple[Shown, ...]
    first_group: str  # which sample group the pictures are of
    missing_grid: str  # why no samples of the baseline stand beside this run's; empty where they do
    unknown_baseline: bool  # another model's, whose samples another run may have
    galleries: tuple[Gallery, ...]
    plane: Plane | None
    curves: tuple[Shown, ...]
    history: tuple[Shown, ...]  # of metrics that were lost, and of those a reader looks for first
    more_history: tuple[Shown, ...]
    facts: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]


def model_view(model: ModelRecord, evidence: Evidence | None, before: Evidence | None, anchor: str) -> ModelView:
    """Everything the page shows of one model. `before` is the evidence of the run that the baseline came from."""
    found = evidence or Evidence()
    changes = {name: worse for name in model.metrics if (worse := change(model, name)) is not None}
    moved = model.baseline is not None and any(not unmoved(worse) for worse in changes.values())
    drawn = change_figure(model, changes) if moved else None
    telling = {*FIRST, *(name for name in model.metrics if is_lost(model, name))}
    outcome, judged = model.outcome, judgements(model)
    galleries, drawn_plane, curves = _galleries(found), plane(found), _curves(model, found, before)
    grids = _grids(found, before)
    places = {gallery.anchor for gallery in galleries} | {"table"}
    places |= {name for name, there in (("samples", grids), ("tsne", drawn_plane), ("curves", curves)) if there}
    return ModelView(
        name=model.name,
        anchor=anchor,
        outcome=str(outcome) if outcome else "not judged",
        cost=cost(model),
        lines=lines(model),
        lost=tuple(found for found in judged if found.bad and found.outcome == outcome),
        others=tuple(found for found in judged if not found.bad or found.outcome != outcome),
        baseline=_baseline_heading(model.baseline),
        published=model.published.name if model.published else "",
        findings=tuple(f if f.look_at in places else replace(f, look_at="") for f in explain(model, found)),
        caveats=caveats(model) if outcome is not None and not outcome.green else (),
        accept=accept_command(model),
        change=_shown(drawn) if drawn else None,
        grids=grids,
        first_group=f"the first sample group, seed {model.groups[0]}" if model.groups else "the first sample group",
        missing_grid="" if any(grid.title == "Baseline" for grid in grids) else _why_no_grid(model),
        unknown_baseline=model.baseline is not None and not model.unchanged,
        galleries=galleries,
        plane=drawn_plane,
        curves=curves,
        history=_history(model, [n for n in model.metrics if n in telling]),
        more_history=_history(model, [n for n in model.metrics if n not in telling]),
        facts=tuple((key, _text(value)) for key, value in (*model.fingerprint.items(), *model.environment.items())),
        provenance=tuple((k, _text(v)) for k, v in model.baseline.provenance.items()) if model.baseline else (),
    )


def _baseline_heading(row: RowRecord | None) -> str:
    if row is None:
        return "Baseline"
    return f"Baseline {row.name}" + (" (missing)" if row.kind == "missing" else "")


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _shown(picture: Picture, caption: str = "") -> Shown:
    return Shown(picture.source, picture.alt, picture.title, caption)


def _history(model: ModelRecord, metrics: Sequence[str]) -> tuple[Shown, ...]:
    return tuple(_shown(p) for name in metrics if (p := history_figure(model, name)) is not None)


def _grids(found: Evidence, before: Evidence | None) -> tuple[Shown, ...]:
    """Baseline, this run and real, side by side, the first images of each in order."""
    accepted, places = found.thumbnails_baseline, None if before is None else before.thumbnail_fake_index
    if before is not None and before.thumbnails_fake is not None:
        accepted = before.thumbnails_fake
    elif accepted is not None:
        places = np.arange(len(accepted))
    sides = (
        ("Baseline", accepted, places),
        ("This run", found.thumbnails_fake, found.thumbnail_fake_index),
        ("Real", found.thumbnails_real, found.thumbnail_real_index),
    )
    shown = []
    for title, pictures, index in sides:
        if pictures is None or index is None:
            continue
        first = pictures[index < GRID]
        if len(first):
            kind = "real" if title == "Real" else "generated"
            alt = f"{title}: the first {len(first)} {kind} images in {COLUMNS} columns"
            shown.append(Shown(sheets.jpeg(sheets.sheet(first, COLUMNS, 2)), alt, title))
    return tuple(shown)


def _why_no_grid(model: ModelRecord) -> str:
    if model.unchanged:
        return "The baseline was measured from this very model, so its samples are these."
    if model.baseline is None:
        return "There is no baseline yet whose samples could stand beside these."
    return (
        "No samples of the baseline are at hand: its file keeps figures alone, and the cache of this run does not know "
        "its model."
    )


def _galleries(found: Evidence) -> tuple[Gallery, ...]:
    fake = _Album(found.thumbnails_fake, found.thumbnail_fake_index, "generated image")
    real = _Album(found.thumbnails_real, found.thumbnail_real_index, "nearest real image")
    train = _Album(found.thumbnails_train, found.thumbnail_train_index, "training image")
    outside = []
    for i in furthest_outside(found):
        nearest = None if found.nearest_real is None else int(found.nearest_real[i])
        realism = "" if found.realism is None else f", realism {found.realism[i]:.2f}"
        outside.append(_tile(f"No. {i}{realism}", fake.get(i), real.get(nearest)))
    copies = [
        _tile(f"No. {c.fake} beside training image {c.train}", fake.get(c.fake), train.get(c.train))
        for c in suspected_copies(found)
    ]
    twins = [
        _tile(f"{t.size} alike: No. {', '.join(map(str, t.members))}", *(fake.get(m) for m in t.members))
        for t in duplicate_groups(found)
    ]
    copied = 0 if found.copies is None else len(found.copies)
    stray = 0 if found.fake_in_real is None else int((~found.fake_in_real).sum())
    total = 0 if found.fake_in_real is None else len(found.fake_in_real)
    beside = _OUTSIDE + (" Beside each stands the nearest real image." if found.thumbnails_real is not None else "")
    kinds = (
        ("copies", f"Suspected copies of training images ({copied})", _COPIES, copies),
        ("duplicates", "Generated images that repeat one another", _TWINS, twins),
        ("outside", f"Furthest outside the real manifold ({stray} of {total} lie outside)", beside, outside),
    )
    return tuple(Gallery(kind, title, text, tuple(t)) for kind, title, text, t in kinds if t)


# where a finding sends its reader, in the words of the link
LOOK_AT = {
    "samples": "Compare the samples",
    "tsne": "See where they lie",
    "curves": "See the grey levels",
    "copies": "See the suspected copies",
    "duplicates": "See the repeated images",
    "outside": "See the worst images",
    "table": "See the table",
}

_COPIES = "Pixel by pixel nearly equal to an image the model was trained on; the numbers name rows of the two sets."
_TWINS = "Different latents that end in near-identical images, the largest group first."
_OUTSIDE = (
    "No real image is as near to these as its own neighbours are (improved precision, k=3); "
    "realism under 1 lies outside, and the least realistic come first."
)


class _Album:
    """Pictures by row number."""

    def __init__(self, pictures: UInt8 | None, index: Int64 | None, what: str) -> None:
        self._pictures = pictures
        self._places = {} if index is None else {int(row): place for place, row in enumerate(index)}
        self._what = what

    def get(self, row: int | None) -> Shown | None:
        if row is None or self._pictures is None or row not in self._places:
            return None
        return Shown(sheets.jpeg(self._pictures[self._places[row]]), f"{self._what} {row}")


def _tile(caption: str, *pictures: Shown | None) -> Tile:
    return Tile(tuple(p for p in pictures if p is not None), caption)


def _curves(model: ModelRecord, found: Evidence, before: Evidence | None) -> tuple[Shown, ...]:
    shown = []
    for metric in SWEPT:
        curves = _sweeps(model, metric, found, before)
        if any(len(curve.x) > 1 for curve in curves):
            shown.append(_shown(sweep_figure(model.facts(metric), curves)))
    prd = {"this run": (found.prd_curve, FAKE)} if found.prd_curve is not None else {}
    if prd and before is not None and before.prd_curve is not None:
        prd["baseline"] = (before.prd_curve, BEFORE)
    if prd:
        shown.append(_shown(prd_figure(prd)))
    histogram = histogram_figure(found, "this run")
    return (*shown, _shown(histogram)) if histogram else tuple(shown)


def _sweeps(model: ModelRecord, metric: str, found: Evidence, before: Evidence | None) -> Sequence[Curve]:
    """This run, the Real row, the baseline and the published row, as far as they hold the metric's sweep."""
    curves = []
    if found.ks is not None:
        ks = found.ks.astype(np.float64)
        for label, key, colour, dashes in (("this run", metric, FAKE, "-"), ("Real", f"real:{metric}", REAL, "--")):
            if key in found.sweep:
                curves.append(Curve(label, colour, ks, found.sweep[key], dashes))
    if before is not None and before.ks is not None and metric in before.sweep:
        curves.append(Curve("baseline", BEFORE, before.ks.astype(np.float64), before.sweep[metric], "-."))
    elif row := _row_sweep(model.baseline, metric):
        curves.append(Curve("baseline", BEFORE, *row, "-."))
    if row := _row_sweep(model.published, metric):
        curves.append(Curve("published", MUTED, *row, ":"))
    return curves


def _row_sweep(row: RowRecord | None, metric: str) -> tuple[Float64, Float64] | None:
    """The k and the mean over the sample groups."""
    by_k = row.sweeps.get(metric) if row else None
    if not by_k:
        return None
    return np.array(sorted(by_k), float), np.array([float(np.mean(by_k[k])) for k in sorted(by_k)])
