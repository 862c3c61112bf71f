"""Figures 3, 4 and 5 of the source paper (Jang, Yoo and Hong 2022) as PNG files.

Figure 3 shows samples, figure 4 real and generated images in one t-SNE plane, figure 5 improved precision and recall
against k.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from pytest_medgan.catalogue import METRICS
from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import FAKE, REAL
from pytest_medgan.records import Evidence, UInt8

COLUMNS = 8  # images in a row of figure 3
BALL_METRICS = ("improved_precision", "improved_recall")
THUMBNAILS = 40  # of each kind in figure 4
ZOOM = 0.2  # of a thumbnail of 128 pixels in figure 4
DPI = 150
TICKS = (1, 3, 10, 30, 100)  # of k in figure 5

_STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def samples_png(pixels: UInt8) -> bytes:
    """Return figure 3: images [N,C,H,W], uint8, row by row."""
    stream = io.BytesIO()
    Image.fromarray(sheets.sheet(sheets.as_pictures(pixels), COLUMNS)).save(stream, "PNG")
    return stream.getvalue()


def plane_png(evidence: Evidence, title: str) -> bytes | None:
    """Return figure 4: real images red and generated ones blue, some as thumbnails framed in the same colour.

    Args:
        evidence: With coordinates, and thumbnails of both kinds where they may be shown.
        title: Above the figure.

    Returns:
        The PNG file; None where the evidence has no coordinates.
    """
    at, is_real, index = evidence.coordinates, evidence.coordinate_is_real, evidence.coordinate_index
    if at is None or is_real is None or index is None:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.0, 7.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_axis_off()
        for real, colour, label in ((True, REAL, "real"), (False, FAKE, "generated")):
            mine = np.flatnonzero(is_real == real)
            axes.scatter(at[mine, 0], at[mine, 1], s=5, color=colour.light, label=label)
            pictures = evidence.thumbnails_real if real else evidence.thumbnails_fake
            rows = evidence.thumbnail_real_index if real else evidence.thumbnail_fake_index
            if pictures is None or rows is None:
                continue
            place = {int(row): i for i, row in enumerate(rows)}
            framed = [point for point in mine if int(index[point]) in place]
            for point in framed[:: -(-len(framed) // THUMBNAILS) or 1]:
                tile = OffsetImage(pictures[place[int(index[point])]], zoom=ZOOM, cmap="gray", norm=_greys())
                frame = {"edgecolor": colour.light, "linewidth": 1.5}
                axes.add_artist(AnnotationBbox(tile, tuple(at[point]), bboxprops=frame, pad=0.0))
        axes.legend(loc="upper right", frameon=False)
        return _png(figure)


def sweep_png(models: Mapping[str, Evidence]) -> bytes | None:
    """Return figure 5: improved precision and recall of every model and of the Real row against k.

    Args:
        models: Name of a model -> its evidence, with a sweep over k.

    Returns:
        The PNG file; None where no evidence has a sweep.
    """
    swept = {name: (one.ks, one.sweep) for name, one in models.items() if one.ks is not None and one.sweep}
    if not swept:
        return None
    first_ks, first_sweep = next(iter(swept.values()))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.0, 3.4), layout="constrained")
        for place, metric in enumerate(BALL_METRICS, 1):
            axes = figure.add_subplot(1, 2, place)
            for name, (ks, sweep) in swept.items():
                if metric in sweep:
                    axes.plot(ks, sweep[metric], marker="o", markersize=3, label=name)
            if f"real:{metric}" in first_sweep:
                axes.plot(first_ks, first_sweep[f"real:{metric}"], color="black", linestyle="--", label="Real")
            axes.set(xscale="log", xlabel="k", ylim=(0.0, 1.02), title=METRICS[metric].label)
            axes.set_xticks(TICKS, map(str, TICKS))
            axes.grid(visible=True, linewidth=0.5, alpha=0.5)
        axes.legend(frameon=False)
        return _png(figure)


def _greys() -> Any:
    """Return the normalisation that leaves grey levels as they are."""
    return mpl.colors.Normalize(0, 255)


def _png(figure: Figure) -> bytes:
    """Return a figure as a PNG file without a date, so that equal figures are equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()
