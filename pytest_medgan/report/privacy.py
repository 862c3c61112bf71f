"""Remove paths, DICOM tags, DICOM UIDs and control characters from text before it is written to a report.

Every string of a run passes here. Absolute paths, paths that leave the project, DICOM tags and unique identifiers are
removed. Of a path to a file of a project, such as a .yaml file, the file's name is kept, because `phantom.yaml:31`
leads a reader to the line. Any other path is removed as a whole: folders of studies are often named after patients.
"""

from __future__ import annotations

import re
from typing import Any

from pytest_medgan.ground.terminal import printable

_FILES = (".yaml", ".yml", ".py", ".safetensors", ".json", ".toml", ".ini", ".cfg")

_COMPONENT = r"[\w.+@%~,-]+"
_MIDDLE = r"[\w.+@%~, -]+"
_PATH = re.compile(
    r"(?:file://"
    r"|(?<![\w/\\<.])(?<!http:)(?<!https:)(?:[A-Za-z]:|~\w*|\.\.)?)"  # a drive, a home folder, `..`, or the root
    rf"(?:[/\\]{{1,2}}(?:{_MIDDLE}[/\\]+)+(?:{_COMPONENT})?"  # two or more components
    rf"|(?<=[~:.])[/\\]{_COMPONENT}"  # one component after a drive, ~ or ..
    rf"|(?<![^\s\"'(=\[])/[A-Za-z_]{_COMPONENT})"  # one component at the beginning of a word
)
_TAG = re.compile(r"\((?:(?:00[0-9A-Fa-f]{2}|300[46Aa]|7[Ff][Ee]0),\s?|[0-9A-Fa-f]{3}[13579BDFbdf],)[0-9A-Fa-f]{4}\)")
_UID = re.compile(r"(?<![\w.])[0-2](?:\.\d+){5,}(?![\w.])")


def scrub(text: str) -> str:
    """Return text without paths, DICOM tags, UIDs and control characters.

    Args:
        text: Any text.

    Returns:
        The text with paths replaced by "[path]" or the name of a project's file, tags by "[tag]", UIDs by "[uid]", and
        control characters except line breaks by their escapes.
    """
    return printable(_UID.sub("[uid]", _TAG.sub("[tag]", _PATH.sub(_replace, text))), keep="\n")


def scrub_plain(value: Any) -> Any:
    """Return plain data with `scrub` applied to every string, keys included.

    Args:
        value: Dictionaries, lists and scalars, as JSON has them.

    Returns:
        Data of the same form.
    """
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {scrub(key) if isinstance(key, str) else key: scrub_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrub_plain(item) for item in value]
    return value


def _replace(match: re.Match[str]) -> str:
    """Return the replacement of a path."""
    last = re.split(r"[/\\]", match.group())[-1]
    return last if last.lower().endswith(_FILES) else "[path]"
