"""Hooks of mkdocs: they put tables made from the package's own catalogue, options and parsers into the pages.

A page asks for a table by a line `<!-- generated: NAME -->`. What a table says is never typed into a page. The words
behind a block's language that only the tests read (`slow`, `exit="1"`) are left out: Markdown would take the block for
text.
"""

from __future__ import annotations

import re
from typing import Any

from tables import TABLES

MARK = re.compile(r"^<!-- generated: (?P<name>[a-z_]+)(?: (?P<argument>\S+))? -->$", re.MULTILINE)
FOR_TESTS = re.compile(r"""^(?P<fence>```\w+)(?P<words>[^\n]*)$""", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every mark of a page by its table, and leave out what only tests read."""
    plain = FOR_TESTS.sub(_without_words_for_tests, markdown)
    return MARK.sub(lambda found: TABLES[found["name"]](*filter(None, [found["argument"]])), plain)


def _without_words_for_tests(fence: re.Match[str]) -> str:
    """Return the first line of a block with its language and title alone."""
    title = re.search(r'title="[^"]*"', fence["words"])
    return f"{fence['fence']} {title[0]}" if title else fence["fence"]
