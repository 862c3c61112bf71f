"""The report's figures: matplotlib, static, as SVG that follows the reader's light or dark preference."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import BAD, BEFORE, FAKE, GOOD, INK, MUTED, REAL, RULE, Colour, themed
from pytest_medgan.records import Evidence, Float64
from pytest_medgan.report.run import Measured, MetricFacts, ModelRecord, RowValue

WIDTH, HEIGHT = 4.2, 2.8  # inches; about the width of a phone, so that letters keep their size there

STYLE: Any = {  # matplotlib types the keys from 3.11 on and not before
    "axes.axisbelow": True,
    "axes.edgecolor": RULE.stand_in,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK.stand_in,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": RULE.stand_in,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.labelcolor": INK.stand_in,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "medgan",  # equal figures are equal bytes
    "text.color": INK.stand_in,
    "xtick.color": MUTED.stand_in,
    "ytick.color": MUTED.stand_in,
}


@dataclass(frozen=True)
class Picture:
    """A figure as the page needs it."""

    svg: str
    title: str
    alt: str  # what it shows, for someone who does not see it

    @property
    def source(self) -> str:
        """As a data URI."""
        return sheets.svg(self.svg)


@dataclass(frozen=True)
class Curve:
    """One line of a figure."""

    label: str
    colour: Colour
    x: Float64
    y: Float64
    dashes: str = "-"


def sweep_figure(facts: MetricFacts, curves: Sequence[Curve]) -> Picture:
    """One ball metric against k, the number of neighbours (the paper's figure 5), k on a logarithmic axis."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"{facts.label} {facts.arrow} against k")
        for curve in curves:
            axes.plot(
                curve.x, curve.y, curve.dashes, color=curve.colour.stand_in, label=curve.label, marker="o", markersize=3
            )
        axes.set_xscale("log")
        ks = sorted({int(k) for curve in curves for k in curve.x})
        named = _apart(ks)
        axes.set_xticks(named, [str(k) for k in named])
        axes.minorticks_off()
        axes.set_xlabel("k nearest neighbours")
        axes.set_ylim(-0.03, max(1.05, 1.05 * max(float(np.max(curve.y)) for curve in curves)))
        axes.legend(loc="best", fontsize=8)
        return picture(figure, f"{facts.label} against k", f"{facts.label} against k. {_sweep_words(curves)}")


def prd_figure(curves: Mapping[str, tuple[Float64, Colour]]) -> Picture:
    """Precision against recall (Sajjadi et al. 2018); curves [angles,2] with columns precision, recall."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Precision against recall (PRD)")
        words = []
        for label, (curve, colour) in curves.items():
            axes.plot(curve[:, 1], curve[:, 0], color=colour.stand_in, label=label)
            area = float(np.trapezoid(curve[::-1, 0], curve[::-1, 1]))
            words.append(f"{label}: area {abs(area):.2f}")
        axes.set(xlabel="Recall", ylabel="Precision", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(loc="lower left", fontsize=8)
        return picture(figure, "PRD curve", "Precision against recall over all trade-offs. " + "; ".join(words) + ".")


def histogram_figure(evidence: Evidence, label: str) -> Picture | None:
    """Grey levels of real and generated images, in HU where the window is known."""
    if evidence.histogram_real is None or evidence.histogram_fake is None:
        return None
    low, high = evidence.window or (0.0, 255.0)
    unit = "HU" if evidence.window else "grey level"
    edges = low + (high - low) * (np.arange(257) - 0.5) / 255.0
    shares = [h / max(int(h.sum()), 1) * 100 for h in (evidence.histogram_real, evidence.histogram_fake)]
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Grey levels")
        axes.stairs(shares[0], edges, color=REAL.stand_in, fill=True, alpha=0.25)
        axes.stairs(shares[0], edges, color=REAL.stand_in, label="real", linewidth=1)
        axes.stairs(shares[1], edges, color=FAKE.stand_in, label=label, linewidth=1.2)
        # the two ends hold whatever the window cut off, and would flatten all the rest
        inner = max(float(np.max(share[1:-1])) for share in shares)
        axes.set(xlabel=unit, ylabel="% of pixels", ylim=(0, 1.1 * inner or 1.0), xlim=(edges[0], edges[-1]))
        axes.legend(loc="best", fontsize=8)
        ends = "; ".join(
            f"{name}: {share[0]:.1f}% at the lower end, {share[-1]:.1f}% at the upper"
            for name, share in zip(("real", label), shares, strict=True)
        )
        alt = f"Grey levels of real and generated images in {unit}. Shares at the window's ends are {ends}."
        return picture(figure, "Grey levels", alt)


def change_figure(model: ModelRecord, changes: Mapping[str, float]) -> Picture | None:
    """How far each metric has moved from the baseline, in standard errors, worse to the right."""
    names = [name for name in model.metrics if name in changes]
    if not names:
        return None
    shown = np.array([_squash(changes[name]) for name in names])
    colours = [_outcome_colour(model, name, changes[name]).stand_in for name in names]
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Change from the baseline", 0.9 + 0.24 * len(names), left=1.5)
        places = np.arange(len(names))[::-1]
        axes.barh(places, shown, color=colours, height=0.62)
        axes.axvline(0, color=INK.stand_in, linewidth=0.8)
        axes.set_yticks(places, [f"{model.facts(n).label} {model.facts(n).arrow}" for n in names])
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK.stand_in)
        ticks = [
            t for t in (-100, -30, -10, -3, 0, 3, 10, 30, 100) if min(shown) - 0.6 <= _squash(t) <= max(shown) + 0.6
        ]
        axes.set_xticks([_squash(t) for t in ticks], [str(abs(t)) for t in ticks])
        axes.set_xlim(min(float(shown.min()), _squash(-3)) - 0.1, max(float(shown.max()), _squash(3)) + 0.1)
        axes.set_xlabel("better   ←   standard errors   →   worse")
        words = ", ".join(
            f"{model.facts(n).label} {abs(changes[n]):.1f} {'worse' if changes[n] > 0 else 'better'}" for n in names
        )
        return picture(figure, "Change from the baseline", f"In standard errors: {words}.")


def history_figure(model: ModelRecord, metric: str) -> Picture | None:
    """A metric over the accepted baselines and, last, in this run; None with fewer than two accepted states."""
    facts = model.facts(metric)
    points = [(point.label, point.metrics[metric]) for point in model.history if metric in point.metrics]
    if len(points) < 2:
        return None
    measured = model.last.metrics.get(metric) if model.last else None
    values = [value.value for _, value in points]
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"{facts.label} {facts.arrow} over accepted baselines", 2.2, bottom=0.55)
        places = np.arange(len(points))
        errors = [_error(value) for _, value in points]
        axes.errorbar(places, values, errors, color=BEFORE.stand_in, marker="o", markersize=4, capsize=2, linewidth=1)
        labels = [label for label, _ in points]
        if measured is not None and math.isfinite(measured.mean):
            axes.errorbar(
                [len(points)], [measured.mean], [_error(measured)], color=FAKE.stand_in, marker="D", capsize=2
            )
            labels.append("this run")
        step = max(1, math.ceil(len(labels) / 6))
        kept = [place for place in range(len(labels)) if (len(labels) - 1 - place) % step == 0]
        axes.set_xticks(kept, [_folded(labels[place]) for place in kept], rotation=20, ha="right", fontsize=7)
        words = ", ".join(f"{label} {facts.show(value.value)}" for label, value in points)
        now = f"; this run {facts.show(measured.mean)}" if measured is not None else ""
        return picture(figure, f"{facts.label} over time", f"{facts.label} at each accepted baseline: {words}{now}.")


def _axes(title: str, height: float = HEIGHT, left: float = 0.62, bottom: float = 0.5) -> tuple[Figure, Axes]:
    """Axes with margins in inches: a layout engine would draw everything twice to find them."""
    figure = Figure(figsize=(WIDTH, height))
    box = (left / WIDTH, bottom / height, 1 - (left + 0.12) / WIDTH, 1 - (bottom + 0.3) / height)
    axes = figure.add_axes(box)
    figure.text(0.08 / WIDTH, 1 - 0.08 / height, title, va="top", weight="bold", size=10)
    return figure, axes


def picture(figure: Figure, title: str, alt: str) -> Picture:
    """The figure as themed SVG, without date or maker."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Picture(themed(buffer.getvalue()), title, alt)


def _folded(label: str) -> str:
    """On two lines where it is long, such as a day and a commit."""
    return label.replace(" ", "\n", 1) if len(label) > 13 else label


def _error(value: RowValue | Measured) -> float:
    return value.se if math.isfinite(value.se) else 0.0


def _squash(errors: float) -> float:
    """A scale on which 3, 30 and 300 standard errors can be told apart: the inverse hyperbolic sine."""
    return math.asinh(errors / 2)


def _outcome_colour(model: ModelRecord, metric: str, change: float) -> Colour:
    verdict = model.verdict(metric)
    if verdict is not None and not verdict.green:
        return BAD
    return GOOD if change < 0 else MUTED


def _apart(ks: Sequence[int]) -> list[int]:
    """Those of the k, ascending, whose names have room beside one another on a logarithmic axis."""
    room = (ks[-1] / ks[0]) ** (1 / 12)
    kept = [ks[-1]]
    for k in reversed(ks[:-1]):
        if kept[-1] / k >= room:
            kept.append(k)
    return kept[::-1]


def _sweep_words(curves: Sequence[Curve]) -> str:
    return " ".join(
        f"{curve.label}: " + ", ".join(f"{y:.3f} at k={int(x)}" for x, y in zip(curve.x, curve.y, strict=True)) + "."
        for curve in curves
    )
