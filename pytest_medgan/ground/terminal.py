"""Make text from files and options safe to print on a terminal, by escaping control characters."""

from __future__ import annotations

import unicodedata

# Unicode categories of control and format characters (bidirectional overrides too), surrogates, private and
# unassigned characters, and line and paragraph separators
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text whose control and format characters are shown as escapes.

    Args:
        text: Text from a file, a folder name or an option.
        keep: Characters that are not escaped, such as a line feed.

    Examples:
        >>> printable("model\x1b]0;title\x07")
        'model\\x1b]0;title\\x07'
    """
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in _UNSAFE_CATEGORIES
        else character.encode("unicode_escape").decode()
        for character in text
    )
