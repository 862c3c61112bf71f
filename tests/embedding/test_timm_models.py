"""A model of timm as a feature space."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

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
        ("timm:hf-hub:timm/vit", "timm:FOLDER"),
        ("timm:no/such/folder", r"holds no config\.json"),
        (f"timm:{MODEL},weights=random", "no reproducible random weights"),
        (f"timm:{MODEL},weights=missing.pth", "names no file"),
        (f"timm:{MODEL},precision=bfloat16", "sha256= and batch="),
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


def other_weights(timm: Any, name: str, **arguments: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(timm.create_model(name, **arguments).state_dict())


@pytest.fixture
def folder(timm: Any, tmp_path: Path) -> Path:
    """A model as the hub holds it, with a mean and a size of its own."""
    settings = {"input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "classifier": "head"}
    config = {"architecture": MODEL, "num_classes": 7, "model_args": {"img_size": 96}, "pretrained_cfg": settings}
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(config))
    save_file(other_weights(timm, MODEL, img_size=96, num_classes=7), made / "model.safetensors")
    return made


def test_folder_of_the_hub_equals_timms_own_loading(
    timm: Any, folder: Path, make_images: Callable[..., ImageSet]
) -> None:
    images = make_images(2, size=96)
    space = load_extractor(f"timm:{folder}")
    embedded = embed_images(space, images)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    mean, sd = (torch.tensor(v)[None, :, None, None] for v in ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]))
    with torch.inference_mode():
        expected = theirs((torch.from_numpy(images.pixels).float() / 255 - mean) / sd).numpy()
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-4, atol=1e-5)
    assert load_extractor(f"timm:local-dir:{folder}").identity == space.identity
    assert str(folder) not in space.identity + space.summary
    again = folder.rename(folder.with_name("elsewhere"))
    assert load_extractor(f"timm:{again}").identity == space.identity


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("no config", r"holds no config\.json"),
        ("no weights", "names no file"),
        ("unknown model", "cannot make the model"),
    ],
)
def test_unusable_folder_is_one_line(folder: Path, fault: str, word: str) -> None:
    if fault == "no config":
        (folder / "config.json").unlink()
    if fault == "no weights":
        (folder / "model.safetensors").unlink()
    if fault == "unknown model":
        (folder / "config.json").write_text('{"architecture": "no_such_model", "num_classes": 1}')
    with pytest.raises(ExtractorError, match=word) as caught:
        load_extractor(f"timm:{folder}")
    assert str(folder) not in str(caught.value)


def test_size_resamples_a_transformers_positions_as_timm_does(
    timm: Any, weights: Path, make_images: Callable[..., ImageSet]
) -> None:
    images = make_images(2, size=64)
    space = load_extractor(f"timm:{MODEL},weights={weights},size=64")
    model = timm.create_model(MODEL, num_classes=0).eval()
    state = torch.load(weights, weights_only=True)
    model.load_state_dict({key: value for key, value in state.items() if not key.startswith("head.")})
    model.set_input_size((64, 64))
    with torch.inference_mode():
        expected = model((torch.from_numpy(images.pixels).float() / 255).expand(-1, 3, -1, -1) * 2 - 1).numpy()
    np.testing.assert_allclose(embed_images(space, images).features, expected, rtol=1e-4, atol=1e-5)
    assert space.identity != load_extractor(f"timm:{MODEL},weights={weights}").identity


def test_model_of_convolutions_takes_any_size(timm: Any, tmp_path: Path, make_images: Callable[..., ImageSet]) -> None:
    torch.save(other_weights(timm, "test_resnet"), tmp_path / "resnet.pth")
    spec = f"timm:test_resnet,weights={tmp_path / 'resnet.pth'}"
    small, usual = load_extractor(f"{spec},size=64"), load_extractor(spec)
    assert small.identity != usual.identity
    features = [space.embed(make_images(2, size=64).pixels)[0] for space in (small, usual)]
    assert features[0].shape == features[1].shape
    assert not np.allclose(*features)


def test_size_that_a_model_cannot_take_is_an_error(weights: Path) -> None:
    with pytest.raises(ExtractorError, match="size="):
        load_extractor(f"timm:{MODEL},weights={weights},size=5")


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"])
def test_dinov2_is_read_from_timms_and_from_its_authors_layout(
    name: str, timm: Any, tmp_path: Path, make_images: Callable[..., ImageSet]
) -> None:
    """Its authors' files hold a mask token, call registers otherwise and are for 518 pixels."""
    state = other_weights(timm, name, num_classes=0)
    state |= {
        key: torch.ones_like(value) for key, value in state.items() if ".ls" in key
    }  # otherwise layers add little
    theirs = {key.replace("reg_token", "register_tokens"): value for key, value in state.items()}
    theirs["mask_token"] = torch.zeros(1, 384)
    if "reg_token" in state:  # they give the class token a position, which is part of it in timm's layout
        theirs["pos_embed"] = torch.cat([torch.full((1, 1, 384), 0.5), state["pos_embed"]], 1)
        state["cls_token"] = state["cls_token"] + 0.5
    torch.save(state, tmp_path / "timm.pth")
    torch.save(theirs, tmp_path / "dinov2.pth")
    first, second = (load_extractor(f"timm:{name},weights={tmp_path / f},size=56") for f in ("timm.pth", "dinov2.pth"))
    assert first.identity == second.identity
    features, _ = first.embed(make_images(2).pixels)
    assert features.shape == (2, 384)
    assert features.std(0).max() > 1e-4


def test_values_that_the_model_would_not_use_are_an_error(timm: Any, tmp_path: Path) -> None:
    """Registers in a file for a model without any: dropping them would give other features without a word."""
    state = {**other_weights(timm, MODEL), "register_tokens": torch.zeros(1, 4, 64)}
    torch.save(state, tmp_path / "registers.pth")
    with pytest.raises(ExtractorError, match="do not fit"):
        load_extractor(f"timm:{MODEL},weights={tmp_path / 'registers.pth'}")


def test_loading_changes_no_random_numbers(weights: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_extractor(f"timm:{MODEL},weights={weights}")
    assert torch.equal(torch.rand(2), expected)
