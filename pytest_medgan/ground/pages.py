"""Self-contained HTML pages: one file that makes no request and runs only its own script.

The page's Content-Security-Policy names the digests of its one style sheet and its one script and allows images from
data URIs only. Text of a run that looks like markup or script therefore does nothing, even if escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

import jinja2
from markupsafe import Markup

from pytest_medgan.ground.theme import always_dark, properties, stylesheet


def render_page(package: str, name: str, **context: object) -> str:
    """Render the template `name`.html.j2 with `name`.css and `name`.js inlined.

    Args:
        package: Import path of the package whose folder `templates` holds the three files.
        name: File name of the template without its suffix.
        **context: Variables of the template. It also receives `style`, `script` and `policy`.

    Returns:
        The HTML text.
    """
    colours = f"{stylesheet()}{always_dark()}@media print{{:root{{{properties(False)}}}}}"
    style = f"{colours}\n{_asset(package, f'{name}.css')}"
    script = _asset(package, f"{name}.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = script_json
    # Both files belong to this package. Escaping would change the text that the policy's digests name.
    template = environment.get_template(f"{name}.html.j2")
    return template.render(style=Markup(style), script=Markup(script), policy=policy, **context)


def script_json(value: object) -> Markup:
    """Return a value as JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _asset(package: str, name: str) -> str:
    """Return the text of a template file with line feeds as line ends."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    """Return the SHA-256 digest in the base64 form that a Content-Security-Policy uses."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
