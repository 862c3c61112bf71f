"""Hooks of mkdocs: they put tables made from the package's own catalogue, options and parsers into the pages.

A page asks for a table by a line `<!-- generated: NAME -->`. What a table says is never typed into a page.
"""

from __future__ import annotations

import re
from typing import Any

from tables import TABLES

MARK = re.compile(r"^<!-- generated: (?P<name>[a-z_]+)(?: (?P<argument>\S+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every mark of a page by its table."""
    return MARK.sub(lambda found: TABLES[found["name"]](*filter(None, [found["argument"]])), markdown)
