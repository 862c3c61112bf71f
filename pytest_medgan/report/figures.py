"""Figures of a report: matplotlib, as SVG that follows the reader's preference for light or dark."""

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

from pytest_medgan.catalogue import Metric
from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import BAD, BEFORE, FAKE, GOOD, INK, MUTED, REAL, RULE, Colour, themed
from pytest_medgan.records import Evidence, Float64, Outcome, Score
from pytest_medgan.report.comparisons import Standing
from pytest_medgan.report.numbers import errors_text, scale_of
from pytest_medgan.report.record import ModelRecord

WIDTH, HEIGHT = 4.2, 2.8  # inches; about the width of a phone, so that the text is not shrunk there

CHANNELS = ("red", "green", "blue")
LEAST_BAR = 0.05  # standard errors; a shorter bar cannot be seen
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
    """A figure for the page."""

    svg: str
    title: str
    alt: str  # text alternative

    @property
    def source(self) -> str:
        """The SVG as a data URI."""
        return sheets.svg(self.svg)


@dataclass(frozen=True)
class Curve:
    """One line of a figure."""

    label: str
    colour: Colour
    x: Float64
    y: Float64
    dashes: str = "-"


def sweep_figure(metric: Metric, curves: Sequence[Curve]) -> Picture:
    """Draw a metric against k, the number of nearest neighbours (Jang et al. 2022, figure 5).

    Args:
        metric: The metric.
        curves: At least one curve over k.

    Returns:
        The figure, with a logarithmic axis for k.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"{metric.label} {metric.arrow} against k")
        for curve in curves:
            axes.plot(
                curve.x, curve.y, curve.dashes, color=curve.colour.stand_in, label=curve.label, marker="o", markersize=3
            )
        axes.set_xscale("log")
        ks = sorted({int(k) for curve in curves for k in curve.x})
        named = _ticks_apart(ks)
        axes.set_xticks(named, [str(k) for k in named])
        axes.minorticks_off()
        axes.set_xlabel("k nearest neighbours")
        axes.set_ylim(-0.03, max(1.05, 1.05 * max(float(np.max(curve.y)) for curve in curves)))
        axes.legend(loc="best", fontsize=8)
        return picture(figure, f"{metric.label} against k", f"{metric.label} against k. {_sweep_words(curves)}")


def prd_figure(curves: Mapping[str, tuple[Float64, Colour]]) -> Picture:
    """Draw precision against recall (Sajjadi et al. 2018).

    Args:
        curves: By label, a curve [angles,2] with columns precision and recall, and its colour.

    Returns:
        The figure; its text alternative gives the area under each curve.
    """
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
    """Draw the grey levels of real and generated images; of images in colour each channel in axes of its own.

    Args:
        evidence: Holds the histograms and, where known, the window.
        label: Name of the generated images.

    Returns:
        The figure, in HU where the window is known; None without histograms.
    """
    if evidence.histogram_real is None or evidence.histogram_fake is None:
        return None
    low, high = evidence.window or (0.0, 255.0)
    unit = "HU" if evidence.window else "grey level"
    edges = low + (high - low) * (np.arange(257) - 0.5) / 255.0
    counts = [np.atleast_2d(h) for h in (evidence.histogram_real, evidence.histogram_fake)]
    title, channels = ("Colour levels", CHANNELS) if len(counts[0]) == len(CHANNELS) else ("Grey levels", ("",))
    unit = "levels of 0 to 255" if channels == CHANNELS else unit
    ends = []
    with mpl.rc_context(STYLE):
        figure, rows = _stacked_axes(title, len(channels))
        for axes, channel, *both in zip(rows, channels, *counts, strict=True):
            shares = [h / max(int(h.sum()), 1) * 100 for h in both]
            axes.stairs(shares[0], edges, color=REAL.stand_in, fill=True, alpha=0.25)
            axes.stairs(shares[0], edges, color=REAL.stand_in, label="real", linewidth=1)
            axes.stairs(shares[1], edges, color=FAKE.stand_in, label=label, linewidth=1.2)
            # The first and the last bin count all values outside the window, and would make the other bins look flat.
            inner = max(float(np.max(share[1:-1])) for share in shares)
            axes.set(ylabel=channel or "% of pixels", ylim=(0, 1.1 * inner or 1.0), xlim=(edges[0], edges[-1]))
            ends += [
                f"{channel} {name}".strip() + f": {share[0]:.1f}% at the lower end, {share[-1]:.1f}% at the upper"
                for name, share in zip(("real", label), shares, strict=True)
            ]
        rows[-1].set_xlabel(unit if channels == ("",) else "level; heights are % of pixels")
        rows[0].legend(loc="best", fontsize=8)
        alt = f"{title} of real and generated images in {unit}. Shares at the window's ends are {'; '.join(ends)}."
        return picture(figure, title, alt)


def change_figure(standings: Sequence[Standing]) -> Picture | None:
    """Draw how far each metric has moved from the baseline.

    Args:
        standings: Metrics of a model; those without a known change are left out.

    Returns:
        Bars in standard errors, worse to the right; None where no change is known, or nothing has changed.
    """
    known = [(s, s.errors) for s in standings if s.errors is not None]
    if not any(abs(errors) >= LEAST_BAR for _, errors in known):
        return None
    shown = np.array([_squash(errors) for _, errors in known])
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Change from the baseline", 0.9 + 0.24 * len(known), left=1.5)
        places = np.arange(len(known))[::-1]
        axes.barh(places, shown, color=[_bar_colour(s, errors).stand_in for s, errors in known], height=0.62)
        axes.axvline(0, color=INK.stand_in, linewidth=0.8)
        axes.set_yticks(places, [f"{s.label} {'↑' if s.higher_is_better else '↓'}" for s, _ in known])
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK.stand_in)
        low, high = min(float(shown.min()), _squash(-3)), max(float(shown.max()), _squash(3))
        ticks = [t for t in (-100, -30, -10, -3, 0, 3, 10, 30, 100) if low - 0.1 <= _squash(t) <= high + 0.1]
        axes.set_xticks([_squash(t) for t in ticks], [str(abs(t)) for t in ticks])
        axes.set_xlim(low - 0.1, high + 0.1)
        axes.set_xlabel("better   ←   standard errors   →   worse")
        words = ", ".join(f"{s.label} {errors_text(e)} {'worse' if e > 0 else 'better'}" for s, e in known)
        return picture(figure, "Change from the baseline", f"Change in standard errors: {words}.")


def history_figure(model: ModelRecord, name: str) -> Picture | None:
    """Draw a metric over the accepted baselines and, last, in this run.

    Args:
        model: One model of a run, with its history.
        name: The metric.

    Returns:
        The figure; None with fewer than two accepted states.
    """
    metric = model.metric(name)
    points = [(point.label, point.metrics[name]) for point in model.history if name in point.metrics]
    if len(points) < 2:
        return None
    measured = model.last.metrics.get(name) if model.last else None
    scale = scale_of(metric, [value.se for _, value in points], model.window)
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"{metric.label} {metric.arrow} over accepted baselines", 2.2, bottom=0.55)
        places, values = np.arange(len(points)), [value.mean * scale.factor for _, value in points]
        errors = [_error(value) * scale.factor for _, value in points]
        axes.errorbar(places, values, errors, color=BEFORE.stand_in, marker="o", markersize=4, capsize=2, linewidth=1)
        labels = [label for label, _ in points]
        if measured is not None and math.isfinite(measured.mean):
            now, error = measured.mean * scale.factor, _error(measured) * scale.factor
            axes.errorbar([len(points)], [now], [error], color=FAKE.stand_in, marker="D", capsize=2)
            labels.append("this run")
        if scale.unit:
            axes.set_ylabel(scale.unit)
        step = max(1, math.ceil(len(labels) / 6))
        kept = [place for place in range(len(labels)) if (len(labels) - 1 - place) % step == 0]
        axes.set_xticks(kept, [_folded(labels[place]) for place in kept], rotation=20, ha="right", fontsize=7)
        words = ", ".join(f"{label} {scale.with_unit(value.mean)}" for label, value in points)
        now_words = "" if measured is None else f"; this run {scale.with_unit(measured.mean)}"
        alt = f"{metric.label} at each accepted baseline: {words}{now_words}."
        return picture(figure, f"{metric.label} over time", alt)


def picture(figure: Figure, title: str, alt: str) -> Picture:
    """Return a figure as themed SVG, without the date and the program that made it.

    Args:
        figure: Drawn with stand-in colours.
        title: Its title.
        alt: Its text alternative.

    Returns:
        The picture.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return Picture(themed(buffer.getvalue()), title, alt)


def _axes(title: str, height: float = HEIGHT, left: float = 0.62, bottom: float = 0.5) -> tuple[Figure, Axes]:
    """Return axes with margins in inches; a layout engine would draw everything twice to find them."""
    figure = Figure(figsize=(WIDTH, height))
    box = (left / WIDTH, bottom / height, 1 - (left + 0.12) / WIDTH, 1 - (bottom + 0.3) / height)
    axes = figure.add_axes(box)
    figure.text(0.08 / WIDTH, 1 - 0.08 / height, title, va="top", weight="bold", size=10)
    return figure, axes


def _stacked_axes(title: str, count: int) -> tuple[Figure, list[Axes]]:
    """Return axes one above the other; only the lowest names its values."""
    figure, whole = _axes(title, HEIGHT + 0.6 * (count - 1))
    if count == 1:
        return figure, [whole]
    box, each = whole.get_position(), whole.get_position().height / count
    whole.remove()
    rows = [figure.add_axes((box.x0, box.y1 - (row + 1) * each, box.width, 0.85 * each)) for row in range(count)]
    for axes in rows[:-1]:
        axes.tick_params(labelbottom=False)
    return figure, rows


def _folded(label: str) -> str:
    """Return a long label, such as a day and a commit, on two lines."""
    return label.replace(" ", "\n", 1) if len(label) > 13 else label


def _error(value: Score) -> float:
    """Return the standard error, 0 where it is unknown."""
    return value.se if math.isfinite(value.se) else 0.0


def _squash(errors: float) -> float:
    """Return a scale on which 3, 30 and 300 standard errors can be told apart: the inverse hyperbolic sine."""
    return math.asinh(errors / 2)


def _bar_colour(standing: Standing, errors: float) -> Colour:
    """Return the colour of a change: that of the outcome where it is not green, else good where it is better."""
    comparison = standing.comparison
    if comparison is not None and not comparison.outcome.green:
        return BAD if comparison.outcome == Outcome.FAIL else BEFORE
    return GOOD if errors < 0 else MUTED


def _ticks_apart(ks: Sequence[int]) -> list[int]:
    """Return those of the ascending k whose labels do not overlap on a logarithmic axis."""
    room = (ks[-1] / ks[0]) ** (1 / 12)
    kept = [ks[-1]]
    for k in reversed(ks[:-1]):
        if kept[-1] / k >= room:
            kept.append(k)
    return kept[::-1]


def _sweep_words(curves: Sequence[Curve]) -> str:
    """Return the values of curves in words."""
    return " ".join(
        f"{curve.label}: " + ", ".join(f"{y:.3f} at k={int(x)}" for x, y in zip(curve.x, curve.y, strict=True)) + "."
        for curve in curves
    )
