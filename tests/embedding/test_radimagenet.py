"""RadImageNet's networks from files in the layout of its PyTorch release, with random values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import inception_v3, resnet50

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet

State = dict[str, Tensor]
SIZES = {"resnet50": 224, "inception_v3": 299}
# the release: an attribute `backbone`, which is an nn.Sequential of torchvision's children up to the average pool
LAYERS = {"resnet50": 9, "inception_v3": 19}


class Backbone(nn.Module):
    """The network as the authors' example wraps it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        if name == "resnet50":
            network = resnet50(weights=None)
        else:
            network = inception_v3(weights=None, aux_logits=False, init_weights=False)
        self.backbone = nn.Sequential(*list(network.children())[: LAYERS[name]])
        for module in self.modules():  # values such that what is computed does not vanish with depth
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.backbone(x).flatten(1)
        return features


@pytest.fixture(scope="module")
def backbones() -> dict[str, Backbone]:
    return {name: Backbone(name).eval() for name in SIZES}


@pytest.fixture
def files(backbones: dict[str, Backbone], tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / f"{name}.pt" for name in SIZES}
    for name, backbone in backbones.items():
        torch.save(backbone.state_dict(), made[name])
    return made


@pytest.mark.parametrize("name", SIZES)
def test_features_equal_those_of_the_authors_wrapping(
    name: str, backbones: dict[str, Backbone], files: dict[str, Path], make_images: Callable[..., ImageSet]
) -> None:
    images = make_images(3, size=64)
    space = load_extractor(f"radimagenet:{name},weights={files[name]},batch=2")
    embedded = embed_images(space, images)
    grey = (torch.from_numpy(images.pixels).float() - 127.5) * 2 / 255
    grey = nn.functional.interpolate(grey, size=(SIZES[name], SIZES[name]), mode="bilinear")
    with torch.inference_mode():
        expected = backbones[name](grey.repeat(1, 3, 1, 1)).numpy()
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-4, atol=1e-5 * float(abs(expected).max()))
    assert embedded.features.shape == (3, 2048)
    assert embedded.features.std(0).max() > 0.01 * abs(expected).mean()  # the images differ in it
    assert embedded.probabilities is None
    assert np.array_equal(embed_images(space, images).features, embedded.features)


def test_layout_of_the_release_has_the_published_names(backbones: dict[str, Backbone]) -> None:
    """Names that users of the release report, which hold without the auxiliary classifier."""
    assert "backbone.4.0.downsample.0.weight" in backbones["resnet50"].state_dict()
    assert "backbone.15.branch7x7x3_1.conv.weight" in backbones["inception_v3"].state_dict()


def test_torchvisions_names_give_the_same_identity(files: dict[str, Path], tmp_path: Path) -> None:
    network = resnet50(weights=None)
    names = [name for name, _ in network.named_children()]
    state: State = torch.load(files["resnet50"], weights_only=True)
    renamed = {}
    for key, value in state.items():
        _, position, rest = key.split(".", 2)
        renamed[f"{names[int(position)]}.{rest}"] = value
    torch.save({**renamed, "fc.weight": torch.ones(165, 2048), "fc.bias": torch.ones(165)}, tmp_path / "other.pt")
    first, second = (
        load_extractor(f"radimagenet:resnet50,weights={file}") for file in (files["resnet50"], tmp_path / "other.pt")
    )
    assert first.identity == second.identity


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("another network", "do not fit RadImageNet's inception_v3"),
        ("a layer too few", "do not fit RadImageNet's resnet50"),
        ("a layer too many", "do not fit RadImageNet's resnet50"),
        ("NaN", "NaN or infinite"),
        ("missing", "names no file"),
    ],
)
def test_file_that_does_not_fit_is_one_line(fault: str, word: str, files: dict[str, Path]) -> None:
    file = files["resnet50"]
    state: State = torch.load(file, weights_only=True)
    name = "inception_v3" if fault == "another network" else "resnet50"
    if fault == "a layer too few":
        state = {key: value for key, value in state.items() if not key.startswith("backbone.7.2")}
    if fault == "a layer too many":
        state["backbone.12.weight"] = torch.ones(1)
    if fault == "NaN":
        state["backbone.1.bias"] = torch.full((64,), torch.nan)
    torch.save(state, file)
    if fault == "missing":
        file.unlink()
    with pytest.raises(ExtractorError, match=word) as caught:
        load_extractor(f"radimagenet:{name},weights={file}")
    assert "\n" not in str(caught.value)
    assert str(file) not in str(caught.value)
    assert caught.value.file == str(file)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("radimagenet:resnet50", "Give weights=FILE"),
        ("radimagenet:densenet121,weights=a.pt", "one of inception_v3, resnet50"),
        ("radimagenet:resnet50,weights=a.pt,engine=folded", "weights=, sha256= and batch="),
    ],
)
def test_unusable_string_is_one_line(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


def test_pinned_hash_is_held(files: dict[str, Path]) -> None:
    with pytest.raises(ExtractorError, match="instead of 00000000"):
        load_extractor(f"radimagenet:resnet50,weights={files['resnet50']},sha256=00000000")
