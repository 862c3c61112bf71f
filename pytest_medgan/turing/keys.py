"""Keys of reader studies: which images of a page are real, kept in a file apart from the page.

The page and every answer file carry the commitment of the key, a digest from which the key cannot be computed. Scoring
accepts only the key that has this commitment, so a key can neither be read from the page nor replaced later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.files import write_text
from pytest_medgan.ground.plain import from_plain

KEY_SCHEMA = "medgan-turing-key"
KEY_SCHEMA_VERSION = 1
KEY_SUFFIX = ".key.json"

_KINDS = ("real", "generated")


@dataclass(frozen=True)
class PageKey:
    """Which images of a page are real."""

    page: str  # identity of the page, 16 hex digits
    nonce: str  # 64 random hex digits, without which the commitment of a short key could be guessed
    images: tuple[str, ...]  # "real" or "generated", by place on the page
    schema: str = KEY_SCHEMA
    schema_version: int = KEY_SCHEMA_VERSION

    @property
    def is_real(self) -> tuple[bool, ...]:
        """Whether each image is real, by place on the page."""
        return tuple(kind == "real" for kind in self.images)

    @property
    def commitment(self) -> str:
        """SHA-256 over the page, the nonce and the kinds, in hex digits."""
        return hashlib.sha256("\n".join((self.page, self.nonce, *self.images)).encode()).hexdigest()


Keys = Mapping[str, PageKey]  # by the identity of the page


def write_key(path: Path, key: PageKey) -> None:
    """Write the key file of a page.

    Args:
        path: The file to create or replace.
        key: The key, as `make_page` returns it.

    Raises:
        OutputError: The file cannot be written.
    """
    fields = {"schema": key.schema, "schema_version": key.schema_version, "page": key.page, "nonce": key.nonce}
    write_text(path, json.dumps({**fields, "images": key.images}, indent=1) + "\n")


def read_key(path: Path) -> PageKey:
    """Read the key file of a page.

    Args:
        path: A file that `write_key` wrote.

    Returns:
        The key.

    Raises:
        DataError: The file cannot be read or is not a key file of this version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    found = data if isinstance(data, dict) else {}
    if (found.get("schema"), found.get("schema_version")) != (KEY_SCHEMA, KEY_SCHEMA_VERSION):
        raise _key_file_error(path)
    try:
        key = from_plain(PageKey, found, "key")
    except SettingsError:
        raise _key_file_error(path) from None
    if not set(key.images) <= set(_KINDS):
        raise _key_file_error(path)
    return key


def read_keys(paths: Iterable[Path]) -> Keys:
    """Read key files.

    Args:
        paths: Files that `write_key` wrote, one per page.

    Returns:
        The keys by the identity of their page.

    Raises:
        DataError: A file is not a key file, or two files hold different keys of one page.
    """
    keys: dict[str, PageKey] = {}
    for path in paths:
        key = read_key(path)
        if keys.setdefault(key.page, key) != key:
            raise DataError(
                "Two key files hold different keys of one page. Name the file that belongs to the page.", file=path.name
            )
    return MappingProxyType(keys)


def keys_in_folders_of(paths: Iterable[Path]) -> Keys:
    """Read every key file that lies in the folder of one of the given files.

    Args:
        paths: Answer files.

    Returns:
        The keys by the identity of their page; empty where no key file is found.

    Raises:
        DataError: As `read_keys`.
    """
    folders = sorted({path.parent for path in paths})
    return read_keys(file for folder in folders for file in sorted(folder.glob(f"*{KEY_SUFFIX}")))


def _key_file_error(path: Path) -> DataError:
    """Return the error for a file that is not a key file."""
    return DataError("The key file cannot be read. Name the file that was written with the page.", file=path.name)
