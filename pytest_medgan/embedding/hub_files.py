"""Published weights in torch.hub's folder: found there or fetched once, and never used with another hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import torch

from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError


def cached_file(url: str) -> Path:
    """Return where torch.hub keeps what an address names, whether or not it is there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def download(url: str, file: Path, expected: str, subject: str) -> None:
    """Fetch a file by torch.hub, which writes it whole and checks its hash.

    Args:
        url: Where it is published.
        file: Where to write it.
        expected: The first digits of its SHA-256, at least 8.
        subject: What the file is, as the first words of a message: "The ImageNet weights".

    Raises:
        ExtractorError: It cannot be fetched, or has another hash.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), expected, progress=False)
    except RuntimeError:  # torch.hub's own hash check
        raise ExtractorError(
            f"What was fetched as {file.name} does not have SHA-256 {expected[:8]}. Try again, or use the extractor "
            "compact.",
            file=str(file),
        ) from None
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "no connection"
        raise ExtractorError(
            f"{subject} cannot be fetched ({reason}). Put {file.name} from {url} into "
            "$TORCH_HOME/hub/checkpoints, or use the extractor compact, which needs no network.",
            file=str(file),
        ) from None


def require_sha256(file: Path, expected: str, subject: str, action: str) -> None:
    """Raise ExtractorError where a file has another SHA-256.

    Args:
        file: An existing file.
        expected: The first digits of its SHA-256, or all 64, in lower case.
        subject: What the file is, as the first words of the message.
        action: What the reader can do, the last sentence of the message; "{actual}" in it becomes the file's hash.
    """
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if not actual.startswith(expected):
        raise ExtractorError(
            f"{subject} have SHA-256 {actual[:8]} instead of {expected[:8]}. {action.format(actual=actual)}",
            file=str(file),
        )


def require_given_sha256(spec: ExtractorSpec) -> None:
    """Raise ExtractorError where weights= names no file, or one without the hash that sha256= asks for."""
    file = Path(spec.weights)
    if not file.is_file():
        raise ExtractorError("sha256= belongs to a file, and weights= names none. Give weights=FILE.", file=str(file))
    action = "Fetch the file again, or give sha256={actual} to use this file."
    require_sha256(file, spec.sha256, "The extractor's weights", action)
