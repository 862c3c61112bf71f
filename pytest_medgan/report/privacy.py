"""Keeps what belongs to a machine or a patient out of text that leaves it.

Every string of a run passes here before it is written: absolute paths, paths that climb out of the project, DICOM tags
and DICOM unique identifiers are taken out. A path to one of the project's own kinds of file keeps its last name, since
`phantom.yaml:31` is what sends a reader to the line; any other path goes altogether, because folders of studies are
named after patients more often than not.
"""

from __future__ import annotations

import re
from typing import Any

_FILES = (".yaml", ".yml", ".py", ".safetensors", ".json", ".toml", ".ini", ".cfg")

_COMPONENT = r"[\w.+@%~,-]+"
_MIDDLE = r"[\w.+@%~, -]+"
_PATH = re.compile(
    r"(?:file://"
    r"|(?<![\w/\\<.])(?<!http:)(?<!https:)(?:[A-Za-z]:|~\w*|\.\.)?)"  # a drive, a home folder, a way out, or the root
    rf"(?:[/\\]{{1,2}}(?:{_MIDDLE}[/\\]+)+(?:{_COMPONENT})?"  # two components and more
    rf"|(?<=[~:.])[/\\]{_COMPONENT}"  # one, behind a drive, ~ or ..
    rf"|(?<![^\s\"'(=\[])/[A-Za-z_]{_COMPONENT})"  # one, at the beginning of a word
)
_TAG = re.compile(r"\((?:(?:00[0-9A-Fa-f]{2}|300[46Aa]|7[Ff][Ee]0),\s?|[0-9A-Fa-f]{3}[13579BDFbdf],)[0-9A-Fa-f]{4}\)")
_UID = re.compile(r"(?<![\w.])[0-2](?:\.\d+){5,}(?![\w.])")


def scrub(text: str) -> str:
    """The text with paths replaced by "[path]" or the project file's own name, tags and UIDs by "[tag]", "[uid]"."""
    return _UID.sub("[uid]", _TAG.sub("[tag]", _PATH.sub(_replace, text)))


def scrub_plain(value: Any) -> Any:
    """`scrub` over every string, keys included, of plain data."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {scrub(key) if isinstance(key, str) else key: scrub_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrub_plain(item) for item in value]
    return value


def _replace(match: re.Match[str]) -> str:
    last = re.split(r"[/\\]", match.group())[-1]
    return last if last.lower().endswith(_FILES) else "[path]"
