"""weights=random: an untrained InceptionV3, the same on every machine and under every version of torch.

Random embeddings are a known choice for images far from ImageNet (Naeem et al. 2020, section 4.3). Convolution weights
are uniform in +-sqrt(6 / fan_in) (He et al. 2015, the uniform form). They are made from the raw 64-bit output of
numpy's PCG64, which numpy promises to keep (NEP 19), by integer shifts and one multiplication, so they depend on no
version of any library.

Two settings keep such a network useful, found on chest patches of many patients (benchmarks/embedding.md). Every filter
but those of the first layer is centred (its weights sum to zero), so that the common brightness of all maps does not
dominate. And batch norm's offset is 0.75, so that most units are in the linear part of their ReLU. Without them most of
the features' variance lies in a few directions, and fifty layers amplify rounding a thousandfold.

With untouched batch norms the signal vanishes or explodes over fifty layers. So each batch norm's mean and variance are
set from calibration images, layer by layer, in one pass: every convolution's output is standardised before the next
layer sees it. Statistics are accumulated in float64. The network is named by its seed and by the digest of the
calibration pixels, never by a float.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.embedding.inception import build, final_layer, maps, prepare, to_three_channels
from pytest_medgan.embedding.inception_network import FIRST
from pytest_medgan.records import Float32, ImageSet, Int64, Progress, UInt8, no_progress

CALIBRATION_IMAGES = 32
OFFSET = 0.75  # of every batch norm
RECIPE = f"random, centred, offset {OFFSET}, {CALIBRATION_IMAGES} calibration images"
FIRST_LAYER = f"{FIRST}.conv"
LOGIT_SD = 2.0  # of the difference between the two logits over the calibration images


def whole_numbers(bits: np.random.PCG64, count: int) -> Int64:
    """Return int64 [count], uniform in -2**23 .. 2**23 - 1: the top 24 bits of each raw number."""
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return (raw >> np.uint64(40)).astype(np.int64) - 2**23


def uniform(whole: Int64, bound: float) -> Float32:
    """Return whole numbers [out,fan_in] as float32 in [-bound, bound)."""
    return (whole.astype(np.float64) * (bound / 2**23)).astype(np.float32)


def centred(whole: Int64, bound: float) -> Float32:
    """Return the same less the mean of each row, taken in integers, so that no order of summation matters."""
    count = whole.shape[1]
    away = whole * count - whole.sum(axis=1, keepdims=True)
    result: Float32 = (away.astype(np.float64) * (bound / (2**23 * count))).astype(np.float32)
    return result


def draw(seed: int) -> nn.Module:
    """Return the network before calibration: weights in the order of torchvision's modules, from one stream."""
    network = build(2)
    bits = np.random.PCG64(seed)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                weight = module.weight
                whole = whole_numbers(bits, weight.numel()).reshape(len(weight), -1)
                values = (uniform if name == FIRST_LAYER else centred)(whole, math.sqrt(6.0 / whole.shape[1]))
                weight.copy_(torch.from_numpy(values).reshape(weight.shape))
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                module.bias.fill_(OFFSET)
    return network


def choose(images: ImageSet, seed: int) -> UInt8:
    """Return at most 32 calibration images, uint8 [K,1,H,W], chosen by the seed, in the order of the set."""
    order = np.argsort(np.random.PCG64(seed).random_raw(len(images)), kind="stable")
    chosen = np.sort(order[:CALIBRATION_IMAGES])
    return np.ascontiguousarray(images.pixels[chosen])


def digest(pixels: UInt8) -> str:
    """Return 16 hex digits that name pixels and their shape."""
    return hashlib.sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


class _Calibrate:
    """A hook on batch norms: sets the statistics of each from its input."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not isinstance(module, nn.BatchNorm2d) or module.running_mean is None or module.running_var is None:
            return
        variance, mean = _moments(inputs[0])
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        self.done += 1
        self.progress("calibrating the random extractor", self.done, self.total)


def statistics(network: nn.Module) -> Float32:
    """Return all that calibration sets, float32 [S], in the order of the modules; it is small."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    values = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
    last = final_layer(network)
    flat = torch.cat([value.detach().reshape(-1) for value in (*values, last.weight, last.bias)])
    result: Float32 = flat.numpy()
    return result


@torch.no_grad()
def restore(network: nn.Module, values: Float32) -> None:
    """Set what `statistics` returned for an equal network, in place."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    places = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
    last = final_layer(network)
    places += [last.weight, last.bias]
    parts = torch.split(torch.from_numpy(values), [place.numel() for place in places])
    for place, part in zip(places, parts, strict=True):
        place.copy_(part.reshape(place.shape))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return biased variance and mean per channel of [N,C,H,W], float64 [C]; within an image in float32."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    variance, mean = variance.double(), mean.double()
    return variance.mean(0) + mean.var(0, correction=0), mean.mean(0)


@torch.inference_mode()
def calibrate(network: nn.Module, pixels: UInt8, normalisation: str, progress: Progress = no_progress) -> None:
    """Set every batch norm's statistics and the last layer's scale from images, in place.

    The difference of the two logits is centred on the calibration images and given a standard deviation of 2, so that
    probabilities are neither all one half nor all 0 and 1. They have no other meaning.

    Args:
        network: As `draw` returns it.
        pixels: uint8 [K,C,H,W].
        normalisation: "symmetric" or "imagenet".
        progress: Told how many batch norms are set.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hook = _Calibrate(progress, len(norms))
    handles = [norm.register_forward_pre_hook(hook) for norm in norms]
    network.to(memory_format=torch.channels_last)  # twice as fast
    try:
        x = to_three_channels(prepare(torch.from_numpy(pixels)), normalisation)
        features = maps(network, x.contiguous(memory_format=torch.channels_last)).double()
    finally:
        for handle in handles:
            handle.remove()
    features = features.mean((2, 3))
    last = final_layer(network)
    logits = features @ last.weight.double().T
    spread = float((logits[:, 0] - logits[:, 1]).std(correction=0))
    scale = LOGIT_SD / spread if spread > 0 else 1.0
    last.weight.mul_(scale)
    last.bias.copy_(-scale * logits.mean(0))
