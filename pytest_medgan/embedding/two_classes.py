"""InceptionV3 with new classifiers of two classes in place of its own two."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pytest_medgan.embedding.inception import build
from pytest_medgan.embedding.random_weights import uniform, whole_numbers
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state, read_state
from pytest_medgan.embedding.weights import imagenet_state, load_weights, patients_of
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet, Progress, no_progress

HEADS = ("fc", "AuxLogits.fc")


def head_names(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the new output layers' parameters."""
    return tuple(f"{head}.{kind}" for head in HEADS for kind in ("weight", "bias"))


def starting_network(
    weights: str, images: ImageSet, seed: int, normalisation: str, progress: Progress = no_progress
) -> tuple[nn.Module, str]:
    """Return the network to fine-tune, auxiliary classifier included, and a name of where it starts.

    Args:
        weights: "imagenet", "random" (calibrated on `images`), or a file of an InceptionV3 with or without its
            auxiliary classifier.
        images: What random weights are calibrated on.
        seed: Draws the new heads, and an auxiliary convolution where the file has none.
        normalisation: "symmetric" or "imagenet".
        progress: Told how far the calibration is.

    Raises:
        ExtractorError: The weights cannot be loaded.
    """
    network = build(2, auxiliary=True)
    with torch.no_grad():
        _reset(network, np.random.PCG64([seed, 1]))
    if weights == "random":
        spec = ExtractorSpec("inception_v3", weights=weights, seed=seed, normalisation=normalisation)
        loaded = load_weights(spec, images, progress)
        state, name = loaded.network.state_dict(), loaded.identity
    else:
        state = imagenet_state() if weights == "imagenet" else read_state(Path(weights))
        name = f"{'imagenet' if weights == 'imagenet' else 'file'}:{digest_state(state)}"
    kept = {key: value.contiguous() for key, value in state.items() if not key.startswith(HEADS)}
    try:
        missing, unexpected = network.load_state_dict(kept, strict=False)
    except RuntimeError:
        missing, unexpected = [], ["shapes"]
    if unexpected or [key for key in missing if not key.startswith((*HEADS, "AuxLogits"))]:
        raise ExtractorError(
            "The weights do not fit torchvision's InceptionV3. Give imagenet, random or a file of one."
        )
    return network, name


def patients_before(weights: str) -> frozenset[str]:
    """Return the pseudonyms of the patients that the start was fine-tuned on; none for "imagenet" and "random"."""
    if weights in ("imagenet", "random"):
        return frozenset()
    return patients_of(Path(weights))


def _reset(network: nn.Module, bits: np.random.PCG64) -> None:
    """Draw values for what a loaded state may not hold: the heads and the auxiliary classifier."""
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear) and name.startswith((*HEADS, "AuxLogits")):
            width = module.weight[0].numel()
            bound = 1.0 / math.sqrt(width) if isinstance(module, nn.Linear) else math.sqrt(6.0 / width)
            whole = whole_numbers(bits, module.weight.numel()).reshape(-1, width)
            module.weight.copy_(torch.from_numpy(uniform(whole, bound)).reshape(module.weight.shape))
            if module.bias is not None:
                module.bias.zero_()
