"""torchvision's InceptionV3 with one preparation of our own, features and probabilities in one pass.

Protocol: Jang, Yoo, Hong 2022. An image is uint8 [N,1,H,W]; it is scaled to (-1, 1), resized bilinearly to 299x299
(align_corners=False; antialiased only where it shrinks, so that 128 to 299 is plain bilinear) and its one channel is
repeated to three. torchvision's own transform_input stays off: normalisation happens once, here.
"""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.topology import FEATURES, INPUT_SIZE

# ImageNet's mean and standard deviation, RGB, for pixels in 0..1 (torchvision.transforms)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)

PREPARATION = "uint8/127.5-1; bilinear 299 align_corners=False antialias=shrinking; 1 channel to 3"


def channel_affine(normalisation: str) -> tuple[Tensor, Tensor]:
    """scale, shift float64 [3]: what each of the three channels makes of a grey value in (-1, 1)."""
    if normalisation == "symmetric":
        return torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    mean, sd = (torch.tensor(v, dtype=torch.float64) for v in (IMAGENET_MEAN, IMAGENET_SD))
    return 0.5 / sd, (0.5 - mean) / sd


def prepare(pixels: Tensor) -> Tensor:
    """uint8 [N,1,H,W] => float32 [N,1,299,299] in (-1, 1)."""
    grey = pixels.to(torch.float32) / 127.5 - 1.0
    shrinks = max(pixels.shape[-2:]) > INPUT_SIZE
    size = (INPUT_SIZE, INPUT_SIZE)
    return functional.interpolate(grey, size=size, mode="bilinear", align_corners=False, antialias=shrinks)


def to_three_channels(grey: Tensor, normalisation: str) -> Tensor:
    """float32 [N,1,299,299] in (-1, 1) => float32 [N,3,299,299], normalised."""
    if normalisation == "symmetric":
        return grey.expand(-1, 3, -1, -1)
    scale, shift = (v.to(grey)[None, :, None, None] for v in channel_affine(normalisation))
    return grey * scale + shift


def build(classes: int, *, auxiliary: bool = False) -> nn.Module:
    """torchvision's InceptionV3 in evaluation mode, with memory but without values: load a state before use."""
    with torch.device("meta"):
        network: nn.Module = torchvision.models.inception_v3(
            weights=None, num_classes=classes, aux_logits=auxiliary, transform_input=False, init_weights=False
        )
    return network.to_empty(device="cpu").eval()


def maps(network: nn.Module, x: Tensor) -> Tensor:
    """float32 [N,3,299,299] => the 2048 maps before the average pool, [N,2048,8,8], in torchvision's own modules."""
    for name, module in network.named_children():
        if name == "avgpool":
            break
        if name != "AuxLogits":
            x = module(x)
    return x


def features_and_logits(network: nn.Module, pixels: Tensor, normalisation: str) -> tuple[Tensor, Tensor]:
    """uint8 [N,1,H,W] => float32 [N,2048], float32 [N,C]; the plain eager pass every engine is compared with."""
    pooled = maps(network, to_three_channels(prepare(pixels), normalisation)).mean((2, 3))
    return pooled, final_layer(network)(pooled)


def final_layer(network: nn.Module) -> nn.Linear:
    """The classifier behind the average pool."""
    layer = network.get_submodule("fc")
    if not isinstance(layer, nn.Linear) or layer.in_features != FEATURES:
        raise TypeError("the network's last layer is not a Linear over 2048 features")
    return layer
