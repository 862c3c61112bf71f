"""torchvision's InceptionV3 with one preparation of its images, as Jang, Yoo, Hong 2022 describe it.

An image is uint8 [N,1,H,W], or in colour [N,3,H,W]; it is scaled to (-1, 1), resized bilinearly to 299x299
(align_corners=False; antialiased only where it shrinks, so that 128 to 299 is plain bilinear) and one channel is
repeated to three. torchvision's own transform_input stays off: normalisation happens once, here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.inception_network import FEATURES, FIRST, INPUT_SIZE, fold, fold_input, run
from pytest_medgan.embedding.operations import Network

# ImageNet's mean and standard deviation, RGB, for pixels in 0..1 (torchvision.transforms)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)

PREPARATION = "uint8/127.5-1; bilinear 299 align_corners=False antialias=shrinking; 1 channel to 3"


def channel_affine(normalisation: str) -> tuple[Tensor, Tensor]:
    """Return scale and shift, float64 [3]: each of the three channels is scale * grey + shift, grey in (-1, 1)."""
    if normalisation == "symmetric":
        return torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    mean, sd = (torch.tensor(v, dtype=torch.float64) for v in (IMAGENET_MEAN, IMAGENET_SD))
    return 0.5 / sd, (0.5 - mean) / sd


def prepare(pixels: Tensor) -> Tensor:
    """Return uint8 [N,C,H,W] as float32 [N,C,299,299] in (-1, 1)."""
    grey = pixels.to(torch.float32) / 127.5 - 1.0
    shrinks = max(pixels.shape[-2:]) > INPUT_SIZE
    size = (INPUT_SIZE, INPUT_SIZE)
    return functional.interpolate(grey, size=size, mode="bilinear", align_corners=False, antialias=shrinks)


def to_three_channels(grey: Tensor, normalisation: str) -> Tensor:
    """Return float32 [N,1,299,299] or [N,3,299,299] in (-1, 1) as float32 [N,3,299,299], normalised."""
    if normalisation == "symmetric":
        return grey.expand(-1, 3, -1, -1)
    scale, shift = (v.to(grey)[None, :, None, None] for v in channel_affine(normalisation))
    return grey * scale + shift


def build(classes: int, *, auxiliary: bool = False) -> nn.Module:
    """Return torchvision's InceptionV3 in evaluation mode, without values: load a state before use."""
    import torchvision  # takes a second, and other feature spaces do without it

    with torch.device("meta"):
        network: nn.Module = torchvision.models.inception_v3(
            weights=None, num_classes=classes, aux_logits=auxiliary, transform_input=False, init_weights=False
        )
    return network.to_empty(device="cpu").eval()


def maps(network: nn.Module, x: Tensor) -> Tensor:
    """Return the 2048 maps before the average pool, [N,2048,8,8], of x [N,3,299,299], by torchvision's modules."""
    for name, module in network.named_children():
        if name == "avgpool":
            break
        if name != "AuxLogits":
            x = module(x)
    return x


def inception_network(network: nn.Module, normalisation: str, channels: int = 1) -> Network:
    """Return a torchvision InceptionV3 for engines, its first convolution folded to images in (-1, 1).

    Args:
        network: With its weights.
        normalisation: "symmetric" or "imagenet".
        channels: Of an image: 1 or 3.
    """
    convolutions = fold(network)
    convolutions[FIRST] = fold_input(convolutions[FIRST], *channel_affine(normalisation), channels)

    def eager(device: str) -> Callable[[Tensor], Tensor]:
        """Return torchvision's own pass."""
        moved = network if device == "cpu" else copy.deepcopy(network).to(device)
        return lambda grey: maps(moved, to_three_channels(grey, normalisation)).mean((2, 3))

    # the filters of the first convolution may nearly cancel over smooth images
    exact = frozenset({FIRST})
    return Network("inception_v3", convolutions, run, prepare, INPUT_SIZE, FEATURES, exact, eager, channels)


def features_and_logits(network: nn.Module, pixels: Tensor, normalisation: str) -> tuple[Tensor, Tensor]:
    """Return features [N,2048] and logits [N,C] of uint8 [N,1,H,W] or [N,3,H,W], by torchvision's modules."""
    pooled = maps(network, to_three_channels(prepare(pixels), normalisation)).mean((2, 3))
    return pooled, final_layer(network)(pooled)


def final_layer(network: nn.Module) -> nn.Linear:
    """Return the classifier behind the average pool."""
    layer = network.get_submodule("fc")
    if not isinstance(layer, nn.Linear) or layer.in_features != FEATURES:
        raise TypeError("the network's last layer is not a Linear over 2048 features")
    return layer
