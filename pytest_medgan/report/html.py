"""One self-contained HTML page: no request leaves it, nothing in it runs but its own script.

The page's policy (Content-Security-Policy) names the digest of the one style sheet and the one script that it carries
and allows images from data URIs only, so text from a run that looked like markup or script could do nothing even if
escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files

import jinja2
from markupsafe import Markup

from pytest_medgan.records import Evidence
from pytest_medgan.report.plane import Plane
from pytest_medgan.report.run import ReportRun
from pytest_medgan.report.table import MEANING, lost, verdict_line
from pytest_medgan.report.theme import properties, stylesheet
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
    return render_template(
        "report.html.j2",
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


def render_template(template: str, assets: str, **context: object) -> str:
    """A template with its style sheet and script inlined and named in the page's policy."""
    style = f"{stylesheet()}@media print{{:root{{{properties(False)}}}}}\n{_asset(f'{assets}.css')}"
    script = _asset(f"{assets}.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_medgan.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = as_data
    # both are files of this package, read as they are: escaping would change what the policy's digests name
    page_style, page_script = Markup(style), Markup(script)
    return environment.get_template(template).render(style=page_style, script=page_script, policy=policy, **context)


def as_data(value: object) -> Markup:
    """JSON inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _points(plane: Plane) -> dict[str, object]:
    """What the script needs to show a point's picture."""
    return {
        "columns": plane.columns,
        "points": [[p.left, p.top, int(p.real), p.tile, p.note] for p in plane.points],
    }


def _asset(name: str) -> str:
    return (files("pytest_medgan.report") / "templates" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
