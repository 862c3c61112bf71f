"""Make text from files and options safe to print on a terminal, by escaping control characters."""

from __future__ import annotations

import unicodedata

# control and format characters (bidirectional overrides too), line separators, what is unassigned
_ACTING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text whose control and format characters are shown as escapes.

    Args:
        text: Anything that a file, a folder or an option named.
        keep: Characters that stay as they are, such as a line feed.

    Examples:
        >>> printable("model\x1b]0;title\x07")
        'model\\x1b]0;title\\x07'
    """
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in _ACTING
        else character.encode("unicode_escape").decode()
        for character in text
    )
