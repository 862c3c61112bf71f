"""Write figures 3, 4 and 5 of the source paper for a measured table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_medgan.evaluate.protocol import Table
from pytest_medgan.ground.files import write_bytes
from pytest_medgan.records import UInt8

GRID = 64  # images of a sample sheet


def write_figures(table: Table, folder: Path, *, include_real: bool) -> tuple[Path, ...]:
    """Write the figures and return their files.

    Args:
        table: What was measured; its bench must have swept k (`Workbench.sweep`).
        folder: Where the files go: figure3-NAME.png, figure4-NAME.png, figure5.png.
        include_real: Whether real images may be shown; they are patient data.

    Raises:
        OutputError: A file cannot be written.
    """
    from pytest_medgan.evaluate.volumes import middle_slices
    from pytest_medgan.report.paper_figures import plane_png, samples_png, sweep_png
    from pytest_medgan.session.run_folder import evidence_of

    figures: dict[str, bytes | None] = {}
    evidence = {}
    for name, evaluation in table.evaluations.items():
        evidence[name] = evidence_of(evaluation, include_real=include_real)
        seed = evaluation.subject.settings.seeds[0]
        figures[f"figure3-{name}"] = samples_png(
            middle_slices(evaluation.images(seed, min(GRID, table.samples)).pixels)
        )
        figures[f"figure4-{name}"] = plane_png(evidence[name], f"{name} and real images, t-SNE of the features")
        if include_real:
            figures["figure3-Real"] = samples_png(middle_slices(_spread(evaluation.subject.real.reference.pixels)))
    figures["figure5"] = sweep_png(evidence)
    written = []
    for name, content in sorted(figures.items()):
        if content is not None:
            written.append(folder / f"{name}.png")
            write_bytes(written[-1], content)
    return tuple(written)


def _spread(pixels: UInt8) -> UInt8:
    """Return images at equal steps through a set, so that many patients are shown."""
    rows = np.linspace(0, len(pixels) - 1, min(GRID, len(pixels))).round().astype(np.int64)
    part: UInt8 = pixels[rows]
    return part
