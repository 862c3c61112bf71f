"""What an extractor may offer, and what it may return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.embedding.contract import BATCH
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Extractor, Float32, Progress, UInt8, no_progress


class Bare:
    """An extractor with the three members that are required."""

    identity: Any = "bare"
    numeric_class: Any = "bfloat16"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        return pixels.mean((2, 3)).astype(np.float32), None


def test_extractor_of_three_members_gets_the_defaults() -> None:
    space = resolve_extractor(Bare())
    assert (space.identity, space.numeric_class, space.summary, space.engine) == ("bare", "bfloat16", "bare", "")
    assert (space.unit, space.block, space.ball_dimensions, space.trained_on) == (BATCH, BATCH, None, frozenset())
    assert space.modules == (Bare.__module__,)


def test_every_offered_member_is_resolved() -> None:
    bare = Bare()
    offered = {"summary": "in words", "engine": "fast", "batch": 3, "block": 9, "ball_dimensions": 5}
    for name, value in {**offered, "trained_on": ["P1", "P2"]}.items():
        setattr(bare, name, value)
    space = resolve_extractor(bare)
    assert (space.summary, space.engine, space.unit, space.block) == ("in words", "fast", 3, 9)
    assert (space.ball_dimensions, space.trained_on) == (5, {"P1", "P2"})
    pixels = np.arange(512, dtype=np.uint8).reshape(2, 1, 16, 16)
    assert np.array_equal(space.embed(pixels)[0], bare.embed(pixels)[0])


def test_resolved_extractor_is_an_extractor_and_stays_itself() -> None:
    space = resolve_extractor(Bare())
    assert isinstance(space, Extractor)
    assert resolve_extractor(space) is space


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("embed", None, "without embed"),
        ("identity", 3, "without embed, identity"),
        ("numeric_class", "float16", "numeric_class"),
        ("batch", 0, "batch is 0"),
        ("block", "many", "block is 'many'"),
        ("ball_dimensions", True, "ball_dimensions is True"),
    ],
)
def test_member_of_another_type_is_an_error(name: str, value: Any, word: str) -> None:
    bare = Bare()
    setattr(bare, name, value)
    with pytest.raises(ExtractorError, match=word):
        resolve_extractor(bare)
