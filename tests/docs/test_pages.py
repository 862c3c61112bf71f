"""The pages of the documentation: complete, generated where they must be, and without a broken link."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_medgan.catalogue import METRICS
from pytest_medgan.cli import COMMANDS
from pytest_medgan.plugin.options import FLAGS, SETTINGS
from tests.docs.blocks import DOCS, ROOT, blocks_of

PAGES = sorted(DOCS.rglob("*.md"))
SECTIONS = ("## Definition", "## What it sees", "## What it cannot see", "## References")


@pytest.fixture(scope="session")
def tables() -> dict[str, object]:
    """The tables that pages ask for."""
    sys.path.insert(0, str(DOCS))
    try:
        from tables import TABLES
    finally:
        sys.path.remove(str(DOCS))
    return dict(TABLES)


@pytest.mark.parametrize("name", METRICS)
def test_metric_has_a_page_with_every_section(name: str) -> None:
    page = DOCS / "metrics" / f"{name}.md"
    assert page.is_file(), f"docs/metrics/{name}.md is missing: say what {name} is, sees and cannot see"
    text = page.read_text(encoding="utf-8")
    assert f"<!-- generated: metric {name} -->" in text
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for title in SECTIONS:
        found = [part for part in sections if part.startswith(title)]
        assert len(found) == 1, f"{page.name} has no section {title!r}"
        assert len(found[0].split()) > 10, f"the section {title!r} of {page.name} says nothing"


def test_page_of_a_metric_that_does_not_exist_is_no_page() -> None:
    pages = {page.stem for page in (DOCS / "metrics").glob("*.md")} - {"index"}
    assert pages == set(METRICS)


def test_generated_options_name_every_option(tables) -> None:
    text = tables["options"]()
    for name, _, words in SETTINGS:
        assert f"`--medgan-{name}=" in text
        assert words.replace("|", "\\|") in text
    for name, words in FLAGS:
        assert f"`--medgan-{name}`" in text
        assert words in text


def test_generated_commands_name_every_command_and_argument(tables) -> None:
    text = tables["commands"]()
    for name in COMMANDS:
        assert f"## medgan {name}\n" in text
    assert "### medgan baseline accept" in text
    assert "`--reason REASON`" in text
    assert "required" in text


def test_every_generated_table_is_known(tables) -> None:
    for page in PAGES:
        for name in re.findall(r"<!-- generated: (\w+)", page.read_text(encoding="utf-8")):
            assert name in tables, f"{page.name} asks for a table {name!r} that docs/tables.py does not make"


def test_navigation_lists_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"(\S+\.md)$", text.partition("\nnav:")[2], flags=re.MULTILINE))
    assert listed == {page.relative_to(DOCS).as_posix() for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(DOCS).as_posix() for page in PAGES])
def test_link_to_another_page_leads_somewhere(page: Path) -> None:
    """A fast stand-in for the strict build, which also checks headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file = target.partition("#")[0]
        if file and not target.startswith(("http:", "https:")):
            assert (page.parent / file).is_file(), f"{page.name} links to {target}"


def test_yaml_of_the_site_names_only_hooks_that_exist() -> None:
    class Loader(yaml.SafeLoader):
        """A loader that passes over mkdocs's own tags."""

    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    assert all((ROOT / hook).is_file() for hook in site["hooks"])
    assert blocks_of(DOCS / "index.md")


@pytest.mark.slow
def test_site_is_built_without_a_warning(tmp_path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--medgan-data" in (tmp_path / "site/reference/options/index.html").read_text(encoding="utf-8")
    assert "assert_no_regression" in (tmp_path / "site/reference/assertions/index.html").read_text(encoding="utf-8")
    broken = [page for page in (tmp_path / "site").rglob("*.html") if re.search(r"```\w", page.read_text("utf-8"))]
    assert not broken, "a block is shown as text"
