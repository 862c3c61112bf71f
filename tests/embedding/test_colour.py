"""Feature spaces on images in colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding import embed_images, load_extractor, resolve_extractor
from pytest_medgan.embedding.compact_weights import read_compact_weights
from pytest_medgan.embedding.efficientnet_lite import make_network, prepare
from pytest_medgan.embedding.engine import Engine, add_colour_engine
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import features_and_logits, inception_network
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.torch_network import TorchNetwork
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet

MakeImages = Callable[..., ImageSet]
Gap = Callable[[np.ndarray, np.ndarray], float]


def coloured(grey: ImageSet) -> ImageSet:
    """Return images whose channels differ in structure and level."""
    pixels = np.concatenate([grey.pixels, 255 - grey.pixels, grey.pixels[..., ::-1] // 2], axis=1)
    return replace(grey, pixels=pixels)


def threefold(grey: ImageSet) -> ImageSet:
    return replace(grey, pixels=np.repeat(grey.pixels, 3, axis=1))


@pytest.mark.parametrize("spec", ["compact,engine=folded", "compact,engine=onnxruntime", "compact"])
def test_three_equal_channels_have_the_features_of_grey_images(
    spec: str, make_images: MakeImages, relative_gap: Gap
) -> None:
    pytest.importorskip("onnxruntime")
    space, grey = load_extractor(spec), make_images(5)
    one, three = embed_images(space, grey), embed_images(space, threefold(grey))
    assert relative_gap(three.features, one.features) < 1e-4
    assert three.extractor == one.extractor
    assert space.maps is not None
    assert relative_gap(space.maps.embed(threefold(grey).pixels)[0], space.maps.embed(grey.pixels)[0]) < 1e-4


def test_colours_enter_the_network_of_compact_as_they_are(make_images: MakeImages, relative_gap: Gap) -> None:
    """The first convolution sees three channels: against torch's own convolution of the published weights."""
    state = read_compact_weights()
    pixels = torch.from_numpy(coloured(make_images(3)).pixels)
    network = make_network(state, 3)
    stem = network.convolutions["stem"]
    x = nn.functional.pad(prepare(pixels), (0, 1, 0, 1))
    y = nn.functional.conv2d(x, state["_conv_stem.weight"], stride=2)
    norm = [state[f"_bn0.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    expected = nn.functional.batch_norm(y, *norm, eps=1e-3).clamp(0, 6)
    assert stem.weight.shape[1] == network.channels == 3
    assert relative_gap(TorchNetwork(network).convolve("stem", prepare(pixels)).numpy(), expected.numpy()) < 1e-5


def test_engines_agree_on_colours(make_images: MakeImages, relative_gap: Gap) -> None:
    pytest.importorskip("onnxruntime")
    images = coloured(make_images(4))
    folded, runtime = (embed_images(load_extractor(f"compact,engine={e}"), images) for e in ("folded", "onnxruntime"))
    assert relative_gap(runtime.features, folded.features) < 1e-4
    grey = embed_images(load_extractor("compact,engine=folded"), make_images(4)).features
    assert relative_gap(folded.features, grey) > 0.1


@pytest.mark.parametrize("normalisation", ["symmetric", "imagenet"])
@pytest.mark.parametrize("engine", ["eager", "folded", "onnxruntime"])
def test_inception_of_colours_agrees_with_torchvision(
    normalisation: str, engine: str, network: nn.Module, make_images: MakeImages, relative_gap: Gap
) -> None:
    if engine == "onnxruntime":
        pytest.importorskip(engine)
    pixels = torch.from_numpy(coloured(make_images(2)).pixels)
    with torch.inference_mode():
        x = nn.functional.interpolate(pixels / 127.5 - 1, size=(299, 299), mode="bilinear", align_corners=False)
        if normalisation == "imagenet":
            mean, sd = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
            x = ((x + 1) / 2 - mean) / sd
        expected: list[torch.Tensor] = []
        hook = network.get_submodule("avgpool").register_forward_hook(lambda *told: expected.append(told[2]))
        network(x)
        hook.remove()
    spec = ExtractorSpec("inception_v3", engine=engine)
    made = make_engine(inception_network(network, normalisation, 3), spec, "cpu")
    found = torch.cat(list(made.stream(pixels, 2)))
    assert relative_gap(found.numpy(), expected[0].flatten(1).numpy()) < 1e-4
    with torch.inference_mode():
        ours, _ = features_and_logits(network, pixels, normalisation)
    assert relative_gap(ours.numpy(), expected[0].flatten(1).numpy()) < 1e-4


def test_engine_of_colours_is_made_when_the_first_come() -> None:
    made: list[str] = []

    def engine(name: str) -> Engine:
        made.append(name)
        return Engine(name, 4, 8, lambda pixels, size: iter([pixels.float().mean((2, 3))]))

    both = add_colour_engine(engine("grey"), lambda: engine("colour"))
    list(both.stream(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 4))
    assert (both.name, made) == ("grey", ["grey"])
    for _ in range(2):
        (found,) = both.stream(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), 4)
    assert found.shape == (2, 3)
    assert made == ["grey", "colour"]


def test_random_weights_are_calibrated_on_colours(make_images: MakeImages) -> None:
    images = coloured(make_images(3))
    spec = "inception_v3,weights=random,engine=folded"
    first, again = (embed_images(load_extractor(spec, calibration=images), images).features for _ in range(2))
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert np.ptp(first, axis=0).max() > 0


class GreyOnly:
    """A space whose images have one channel."""

    identity, numeric_class = "grey only", "float32"

    def embed(self, pixels: np.ndarray, progress: object = None) -> tuple[np.ndarray, None]:
        return pixels.reshape(len(pixels), -1)[:, :4].astype(np.float32), None


def test_space_of_one_channel_says_so_before_anything_is_embedded(make_images: MakeImages) -> None:
    space = replace(resolve_extractor(GreyOnly()), channels=frozenset({1}), summary="grey only")
    with pytest.raises(ExtractorError, match="The images are in colour, and grey only does not take such images"):
        embed_images(space, coloured(make_images(2)))
    assert embed_images(space, make_images(2)).features.shape == (2, 4)
