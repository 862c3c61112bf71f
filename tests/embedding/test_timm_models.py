"""A model of timm as a feature space."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet

MODEL = "test_vit"  # timm's own smallest transformer, made for tests


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm")


@pytest.fixture
def weights(timm: Any, tmp_path: Path) -> Path:
    """Values for the model, classifier included, as a training script stores them."""
    torch.manual_seed(0)
    torch.save(timm.create_model(MODEL).state_dict(), tmp_path / "vit.pth")
    return tmp_path / "vit.pth"


def test_features_equal_those_of_timms_own_model(
    timm: Any, weights: Path, make_images: Callable[..., ImageSet]
) -> None:
    images = make_images(3)
    extractor = load_extractor(f"timm:{MODEL},weights={weights}")
    embedded = embed_images(extractor, images)
    model = timm.create_model(MODEL).eval()
    model.load_state_dict(torch.load(weights, weights_only=True))
    settings = timm.data.resolve_model_data_config(model)
    mean, sd = (torch.tensor(settings[k])[None, :, None, None] for k in ("mean", "std"))
    size = settings["input_size"][1:]
    grey = torch.from_numpy(images.pixels).float() / 255
    x = torch.nn.functional.interpolate(grey, size=size, mode="bilinear", align_corners=False)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features((x - mean) / sd), pre_logits=True).numpy()
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.identity.startswith(f"timm:{MODEL};")


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("timm:no_such_model,weights=a.pth", "knows no model"),
        (f"timm:{MODEL},weights=random", "no reproducible random weights"),
        (f"timm:{MODEL},weights=missing.pth", "names no file"),
        (f"timm:{MODEL},precision=bfloat16", "weights= and batch="),
    ],
)
def test_unusable_timm_model_is_an_error(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


@pytest.mark.usefixtures("timm")
def test_weights_of_another_model_are_an_error(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ExtractorError, match="do not fit"):
        load_extractor(f"timm:{MODEL},weights={tmp_path / 'other.pth'}")


def test_missing_timm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ExtractorError, match=r"pytest-medgan\[timm\]"):
        load_extractor("timm:vit_small_patch14_dinov2.lvd142m")
