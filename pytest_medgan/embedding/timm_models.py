"""`timm:MODEL[,weights=imagenet|PATH]`: any image model of timm as a feature space, DINOv2 among them (extra `timm`).

Images are prepared as the model's own configuration says (size, mean and standard deviation; one channel repeated to
three, bilinear, antialiased where it shrinks), features are what the model hands to its classifier.
"""

from __future__ import annotations

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

PREFIX = "timm:"
BATCH = 32


def load_timm(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return a model of timm in float32.

    Raises:
        ExtractorError: timm or the weights are missing, or `spec` sets what the model fixes.
    """
    if spec.precision != "float32" or spec.engine != "auto" or spec.normalisation != "symmetric" or spec.seed:
        raise ExtractorError("A timm: model has its own preparation. Give it weights= and batch= alone.")
    try:
        import timm
    except ImportError:
        raise ExtractorError(
            "A timm: model needs the package timm. Install it by pip install 'pytest-medgan[timm]'."
        ) from None
    name = spec.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise ExtractorError(f"timm knows no model {name!r}. Choose one of timm.list_models().")
    if spec.weights == "random":
        raise ExtractorError("A timm: model has no reproducible random weights. Give weights=imagenet or a file.")
    network = _network(timm, name, spec.weights).eval().to(device)
    mean, sd, size = _preparation(timm, network)
    identity = f"{PREFIX}{name};{digest_state(network.state_dict())};{size};{mean};{sd};bilinear"

    @torch.inference_mode()
    def answer(pixels: UInt8) -> Tensor:
        x = _prepare(torch.from_numpy(pixels.copy()).to(device), mean, sd, size)
        features: Tensor = network(x)
        return features

    return space_of_function(f"timm {name}", identity, answer, spec.batch or BATCH)


def _network(timm: Any, name: str, weights: str) -> nn.Module:
    """Return the model without its classifier, with its values."""
    if weights == "imagenet":
        try:
            network: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
        except Exception:  # timm fetches through several libraries, each with its own errors
            raise ExtractorError(
                f"The weights of {name} cannot be fetched. Give weights=PATH, a file of them."
            ) from None
        return network
    network = timm.create_model(name, pretrained=False, num_classes=0)
    state = read_state(Path(weights))
    kept = {key: value for key, value in state.items() if key in network.state_dict()}
    try:
        network.load_state_dict(kept)  # strict: everything but the classifier must be there
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(f"The weights do not fit {name} ({reason}). Give a state of it.", file=weights) from None
    return network


def _preparation(timm: Any, network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return mean, standard deviation (three channels) and pixels per side, by the model's configuration."""
    settings = timm.data.resolve_model_data_config(network)
    mean, sd = (tuple(float(v) for v in settings[key]) for key in ("mean", "std"))
    if len(mean) != 3:
        raise ExtractorError("The timm: model does not take three channels. Choose another.")
    return mean, sd, int(settings["input_size"][-1])


def _prepare(pixels: Tensor, mean: tuple[float, ...], sd: tuple[float, ...], size: int) -> Tensor:
    """Return uint8 [N,1,H,W] as float32 [N,3,size,size]."""
    grey = pixels.float() / 255.0
    shrinks = max(pixels.shape[-2:]) > size
    grey = functional.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinks)
    centre, spread = (torch.tensor(v, device=pixels.device)[None, :, None, None] for v in (mean, sd))
    return (grey - centre) / spread
