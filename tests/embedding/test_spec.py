"""The extractor string."""

from __future__ import annotations

import pytest

from pytest_medgan.embedding.spec import ExtractorSpec, parse
from pytest_medgan.errors import SettingsError


def test_name_alone_has_the_defaults() -> None:
    assert parse("inception_v3") == ExtractorSpec(
        "inception_v3", weights="imagenet", precision="float32", engine="auto"
    )


def test_every_key_is_read() -> None:
    text = "inception_v3, weights=a/b.pth, precision=bfloat16, engine=folded, normalisation=imagenet, seed=3, batch=7"
    assert parse(text) == ExtractorSpec("inception_v3", "a/b.pth", "bfloat16", "folded", "imagenet", 3, 7)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no name"),
        ("inception_v3,layer=3", "layer"),
        ("inception_v3,weights=", "imagenet, random or a file"),
        ("inception_v3,precision=float16", "bfloat16"),
        ("inception_v3,engine=fast", "onnxruntime"),
        ("inception_v3,seed=-1", "whole number"),
        ("inception_v3,seed=1,seed=2", "twice"),
    ],
)
def test_unusable_string_names_the_key(text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        parse(text)
