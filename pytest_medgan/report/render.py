"""A run folder's reports, drawn from the folder alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pytest_medgan.errors import SettingsError
from pytest_medgan.report.evidence import without_real
from pytest_medgan.report.markdown import markdown
from pytest_medgan.report.run import from_dict, read_run, to_dict

FORMATS = ("html", "md", "json")


def render(
    directory: Path,
    formats: Iterable[str] = FORMATS,
    *,
    include_real: bool = False,
    against: Path | None = None,
) -> tuple[Path, ...]:
    """Writes `report.html` and `report.md` into a run folder and returns what was asked for.

    "json" is the folder's own `scores.json`, which is there already. `include_real` shows pictures of real images where
    the folder holds any; `against` is another run folder, such as the accepted baseline's, whose generated images are
    shown beside this run's. Raises SettingsError for an unknown format or an unreadable folder.
    """
    wanted = tuple(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise SettingsError(f"no report format {unknown[0]!r}; the formats are {', '.join(FORMATS)}")
    run, evidence = read_run(directory)
    run = from_dict(to_dict(run))  # a folder written by other hands passes the same filter
    if not include_real:
        evidence = {name: without_real(found) for name, found in evidence.items()}
    written = []
    if "html" in wanted:
        from pytest_medgan.report.html import page  # jinja2 and matplotlib

        before = read_run(against)[1] if against is not None else {}
        written.append(_write(directory / "report.html", page(run, evidence, before=before)))
    if "md" in wanted:
        written.append(_write(directory / "report.md", markdown(run, evidence)))
    if "json" in wanted:
        written.append(directory / "scores.json")
    return tuple(written)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
