"""Every code block of the documentation and of README.md runs."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT, blocks_of, run_block

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page as a test's name shows it."""
    return page.relative_to(ROOT).as_posix()


SLOW = [page for page in PAGES if any(block.slow for block in blocks_of(page))]


def run_all(page: Path, folder: Path, *, slow: bool) -> None:
    """Run the blocks of a page; without `slow` those before the first slow one."""
    folder.mkdir()
    blocks = blocks_of(page)
    for block in blocks if slow else takewhile(lambda one: not one.slow, blocks):
        run_block(block, folder)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_fast_blocks_run(page: Path, tmp_path: Path) -> None:
    run_all(page, tmp_path / "page", slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name_of)
def test_all_blocks_run(page: Path, tmp_path: Path) -> None:
    run_all(page, tmp_path / "page", slow=True)


def test_block_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n\n```bash\nfalse\n```\n\n```perl\ndie\n```\n", encoding="utf-8")
    for block, error in zip(blocks_of(page), (AssertionError, AssertionError, ValueError), strict=True):
        with pytest.raises(error):
            run_block(block, tmp_path)


def test_exit_status_that_is_expected_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('```bash exit="3"\nexit 3\n```\n\n```text title="a/b.txt"\nwords\n```\n', encoding="utf-8")
    for block in blocks_of(page):
        run_block(block, tmp_path)
    assert (tmp_path / "a/b.txt").read_text(encoding="utf-8") == "words\n"


def test_word_that_means_nothing_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash norun\ntrue\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match="norun"):
        blocks_of(page)
