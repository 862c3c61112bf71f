"""The report of a run as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_medgan.ground.pages import render_page
from pytest_medgan.records import Evidence
from pytest_medgan.report.plane import Plane
from pytest_medgan.report.run import ReportRun
from pytest_medgan.report.table import MEANING, lost, verdict_line
from pytest_medgan.report.view import LOOK_AT, model_view


def page(run: ReportRun, evidence: Mapping[str, Evidence], *, before: Mapping[str, Evidence] | None = None) -> str:
    """The report. `before` is the evidence of the run that the baseline came from, by model name."""
    models = [
        model_view(model, evidence.get(model.name), (before or {}).get(model.name), f"m{place}")
        for place, model in enumerate(run.models)
    ]
    seen = [(str(o), MEANING[o]) for o in MEANING if any(v.outcome == o for m in run.models for v in m.verdicts)]
    shows_real = any(e.thumbnails_real is not None or e.thumbnails_train is not None for e in evidence.values())
    outcome = run.outcome
    return render_page(
        "pytest_medgan.report",
        "report",
        run=run,
        headline=verdict_line(run),
        lost=() if run.problems else lost(run),
        outcome=str(outcome) if outcome else "not judged",
        green=outcome is not None and outcome.green,
        models=models,
        facts=[(str(key), "none" if value is None else str(value)) for key, value in run.facts.items()],
        meanings=seen,
        look_at=LOOK_AT,
        shows_real=shows_real,
        planes={model.anchor: _points(model.plane) for model in models if model.plane is not None},
    )


def _points(plane: Plane) -> dict[str, object]:
    """What the script needs to show a point's picture."""
    return {
        "columns": plane.columns,
        "points": [[p.left, p.top, int(p.real), p.tile, p.note] for p in plane.points],
    }
