"""`xrv:densenet121,weights=FILE`: torchxrayvision's network for chest radiographs (extra `xrv`).

FILE is a state_dict of its DenseNet. What torchxrayvision publishes is a pickled network, which runs code when it is
opened and is therefore refused; docs/concepts/feature-spaces.md has the line that saves its state_dict. Images are
scaled to (-1024, 1024) as torchxrayvision does, resized bilinearly to 224x224 (align_corners=False, antialiased where
that shrinks) and stay one channel. Features are the 1024 averages of the rectified last maps. Its classes are findings
that do not exclude one another, so there are no probabilities that sum to 1.

References:
    Cohen et al. 2022, TorchXRayVision: a library of chest X-ray datasets and models, MIDL.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state, read_state
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import UInt8

NAME = "xrv:densenet121"
SIZE = 224  # pixels per side
UNUSED = ("classifier.", "op_threshs")  # features do not pass through the classifier and its thresholds
BATCH = 32


def load_xrv(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return torchxrayvision's DenseNet in float32.

    Raises:
        ExtractorError: The package or the weights are missing, the weights do not fit, or `spec` sets what the network
            fixes.
    """
    if spec.name != NAME:
        raise ExtractorError(f"torchxrayvision's network {spec.name!r} is unknown here. Give {NAME}.")
    if spec != ExtractorSpec(NAME, weights=spec.weights, batch=spec.batch, sha256=spec.sha256):
        raise ExtractorError(
            f"{NAME} has its own preparation and numeric class. It takes only weights=, sha256= and batch=."
        )
    if spec.weights in ("imagenet", "random"):
        raise ExtractorError(f"{NAME} needs its weights as a state_dict. Give weights=FILE.")
    network = _network(_network_class(), Path(spec.weights))
    identity = f"{NAME};{digest_state(network.state_dict())};-1024..1024;bilinear {SIZE};relu;pool1024"
    network = network.to(device)

    @torch.inference_mode()
    def answer(pixels: UInt8) -> Tensor:
        maps: Tensor = network(_prepare(torch.from_numpy(pixels.copy()).to(device)))
        return functional.relu(maps).mean((2, 3))

    space = space_of_function(NAME, identity, answer, spec.batch or BATCH)
    return replace(space, channels=frozenset({1}))


def _network_class() -> Any:
    """Return torchxrayvision's DenseNet."""
    try:
        with warnings.catch_warnings():  # torchxrayvision silences the whole process's warnings when it is imported
            from torchxrayvision.models import DenseNet
    except ImportError:
        raise ExtractorError(
            f"{NAME} needs the package torchxrayvision. Install it by pip install 'pytest-medgan[xrv]'."
        ) from None
    return DenseNet


def _network(network_class: Any, file: Path) -> nn.Module:
    """Return the layers up to the last maps, with the values of a file."""
    state = {name: value for name, value in read_state(file).items() if not name.startswith(UNUSED)}
    with torch.random.fork_rng(devices=[]):  # it draws initial values
        features: nn.Module = network_class().features
    network = nn.Sequential()
    network.add_module("features", features)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(f"The weights do not fit {NAME} ({reason}). Give a state of it.", file=str(file)) from None
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError(
            "The extractor's weights hold NaN or infinite values. Fetch or make the file again.", file=str(file)
        )
    return network.eval()


def _prepare(pixels: Tensor) -> Tensor:
    """Return uint8 [N,1,H,W] as float32 [N,1,224,224] in (-1024, 1024)."""
    grey = (pixels.float() / 127.5 - 1.0) * 1024.0
    shrinks = max(pixels.shape[-2:]) > SIZE
    return functional.interpolate(grey, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=shrinks)
