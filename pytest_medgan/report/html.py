"""The report of a run as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_medgan.ground.pages import render_page
from pytest_medgan.records import Evidence
from pytest_medgan.report.markdown import PUBLISHED_NOTE, TABLE_NOTE
from pytest_medgan.report.overview import MEANING, headline, run_tone
from pytest_medgan.report.plane import Plane
from pytest_medgan.report.record import ReportRun
from pytest_medgan.report.view import LINKS, model_view


def page(run: ReportRun, evidence: Mapping[str, Evidence]) -> str:
    """Return the report as HTML.

    Args:
        run: The run.
        evidence: Its evidence, by name of the model.

    Returns:
        One self-contained page that makes no network request.
    """
    models = [model_view(model, evidence.get(model.name), f"m{place}") for place, model in enumerate(run.models)]
    outcome = run.outcome
    seen = {c.outcome for m in run.models for c in m.comparisons}
    return render_page(
        "pytest_medgan.report",
        "report",
        run=run,
        headline=headline(run),
        outcome=str(outcome) if outcome else "not judged",
        tone=run_tone(run),
        models=models,
        facts=[(str(key), "none" if value is None else str(value)) for key, value in run.facts.items()],
        meanings=[(str(o), MEANING[o]) for o in MEANING if o in seen],
        links=LINKS,
        table_note=TABLE_NOTE,
        published_note=PUBLISHED_NOTE,
        shows_real=any(e.thumbnails_real is not None or e.thumbnails_train is not None for e in evidence.values()),
        planes={model.anchor: _points(model.plane) for model in models if model.plane is not None},
    )


def _points(plane: Plane) -> dict[str, object]:
    """Return what the script needs to show the image of a point."""
    return {
        "columns": plane.columns,
        "points": [[p.left, p.top, int(p.real), p.tile, p.note] for p in plane.points],
    }
