"""The one string."""

from __future__ import annotations

import pytest

from pytest_medgan.embedding.spec import ExtractorSpec, parse
from pytest_medgan.errors import ExtractorError


def test_a_name_alone_has_the_defaults() -> None:
    assert parse("inception_v3") == ExtractorSpec(
        "inception_v3", weights="imagenet", precision="float32", engine="auto"
    )


def test_every_key_is_read() -> None:
    text = "inception_v3, weights=a/b.pth, precision=bfloat16, engine=folded, normalisation=imagenet, seed=3, batch=7"
    assert parse(text) == ExtractorSpec("inception_v3", "a/b.pth", "bfloat16", "folded", "imagenet", 3, 7)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no feature space"),
        ("inception_v3,layer=3", "layer"),
        ("inception_v3,weights", "weights"),
        ("inception_v3,weights=", "empty"),
        ("inception_v3,precision=float16", "bfloat16"),
        ("inception_v3,engine=fast", "onnxruntime"),
        ("inception_v3,seed=-1", "whole number"),
        ("inception_v3,seed=1,seed=2", "twice"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        parse(text)
