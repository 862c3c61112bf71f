from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_medgan.turing import SCHEMA, SCHEMA_VERSION, PageKey, write_key
from tests.browser import browser, visit  # noqa: F401

KEY = PageKey("0123456789abcdef", "f" * 64, tuple("real" if i % 2 == 0 else "generated" for i in range(40)))
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write the answer file of a reader; `calls` holds for each image whether it was called real, None unanswered.

    The key file of the page lies in the folder of the answers.
    """
    write_key(tmp_path / "page.key.json", KEY)

    def saved(reader: str, calls: Sequence[bool | None], **changes: object) -> Path:
        answers = [
            {"image": i, "answer": "real" if call else "generated", "confidence": 3, "seconds": 2.0 + i}
            for i, call in enumerate(calls)
            if call is not None
        ]
        data = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "page": KEY.page,
            "count": len(KEY.images),
            "commitment": KEY.commitment,
            "reader": reader,
            "answers": answers,
            "started": "2026-11-23T06:00:00Z",
        } | changes
        path = tmp_path / f"{reader}.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return saved
