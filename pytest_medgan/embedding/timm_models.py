"""`timm:MODEL[,weights=imagenet|FILE][,size=PIXELS]`: any image model of timm, DINOv2 among them (extra `timm`).

MODEL is a name of timm's, or the folder of a model as the Hugging Face hub holds it (`config.json` beside
`model.safetensors` or `pytorch_model.bin`), written with a slash (`timm:./dinov2`), which needs no network.

Images are prepared as the model's own configuration says (size, mean and standard deviation; one channel repeated to
three, bilinear, antialiased where it shrinks); size= takes another size, to which timm resamples a transformer's
position embedding. Features are what the model hands to its classifier.
"""

from __future__ import annotations

import sys
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
CONFIG = "config.json"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # names of weights in a folder of the hub, in timm's order
UNUSED = ("mask_token",)  # of DINOv2's training; beside classifiers, what features do not pass through
BATCH = 32


def load_timm(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return a model of timm in float32.

    Raises:
        ExtractorError: timm or the weights are missing or do not fit, or `spec` sets what the model fixes.
    """
    free = ExtractorSpec(spec.name, weights=spec.weights, batch=spec.batch, sha256=spec.sha256, size=spec.size)
    if spec != free:
        raise ExtractorError(
            "A timm: model has its own preparation. It takes only weights=, size=, sha256= and batch=."
        )
    try:
        import timm
    except ImportError:
        raise ExtractorError(
            "A timm: model needs the package timm. Install it by pip install 'pytest-medgan[timm]'."
        ) from None
    name = spec.name.removeprefix(PREFIX)
    folder = _folder(name)
    if folder is None and not timm.is_model(name):
        raise ExtractorError(f"timm knows no model {name!r}. Choose one of timm.list_models(), or give a folder.")
    if spec.weights == "random":
        raise ExtractorError("A timm: model has no reproducible random weights. Give weights=imagenet or a file.")
    with torch.random.fork_rng(devices=[]):  # models draw initial values before they load theirs
        network = _make(timm, name, folder, spec).eval()
    mean, sd, size = _preparation(timm, network, spec.size)
    _check_size(network, size)
    file = _file_of_weights(folder, spec.weights)
    if file is not None:
        _fill(network, read_state(file), file)
    network = network.to(device)
    named = name if folder is None else "folder"  # a path would differ from machine to machine
    identity = f"{PREFIX}{named};{digest_state(network.state_dict())};{size};{mean};{sd};bilinear"

    @torch.inference_mode()
    def answer(pixels: UInt8) -> Tensor:
        x = _prepare(torch.from_numpy(pixels.copy()).to(device), mean, sd, size)
        features: Tensor = network(x)
        return features

    return space_of_function(f"timm {named}", identity, answer, spec.batch or BATCH)


def _folder(name: str) -> Path | None:
    """Return the folder of a hub's model that a name stands for; None where it is a name of timm's."""
    if name.startswith("hf-hub:"):
        raise ExtractorError(
            "A timm: model of the Hugging Face hub is read from a folder. Fetch it by `hf download ORGANISATION/MODEL "
            "--local-dir FOLDER` and give timm:FOLDER."
        )
    folder = Path(name.removeprefix("local-dir:"))
    if "/" not in name and not name.startswith("local-dir:"):
        return None
    if not (folder / CONFIG).is_file():
        raise ExtractorError(
            f"The folder of a timm: model holds no {CONFIG}. Give one as the Hugging Face hub holds it.",
            file=str(folder),
        )
    return folder


def _file_of_weights(folder: Path | None, weights: str) -> Path | None:
    """Return the file to read the values from; None where timm has filled the model already."""
    if weights != "imagenet":
        return Path(weights)
    if folder is None:
        return None
    return next((folder / one for one in HUB_FILES if (folder / one).is_file()), folder / HUB_FILES[0])


def _make(timm: Any, name: str, folder: Path | None, spec: ExtractorSpec) -> nn.Module:
    """Return the model without its classifier: with the weights that timm fetches, or as yet with none."""
    pretrained = folder is None and spec.weights == "imagenet"
    source = name if folder is None else f"local-dir:{folder}"
    try:
        if spec.size:
            try:  # a transformer is made for images of one size
                made: nn.Module = timm.create_model(source, pretrained=pretrained, num_classes=0, img_size=spec.size)
                return made
            except TypeError:  # a model of convolutions has no such argument and takes any size
                pass
        network: nn.Module = timm.create_model(source, pretrained=pretrained, num_classes=0)
    except Exception:  # timm fetches and makes models through several libraries, each with its own errors
        if pretrained:
            message = f"The weights of {name} cannot be fetched. Give weights=FILE, or the folder of a model."
        elif folder is None:
            message = f"{name} cannot be made for size={spec.size}. Give a multiple of its patches, or no size=."
        else:
            message = f"timm cannot make the model that {CONFIG} describes. Update timm, or fetch the folder again."
        raise ExtractorError(message) from None
    return network


def _fill(network: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    """Load values into a model; what only a classifier has is left out, and nothing else is.

    Files in another layout (DINOv2's own, another image size) pass through the conversion that timm has for the model.
    """
    reason = _load(network, state)
    if reason:
        convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        try:
            converted = None if convert is None else convert(dict(state), network)
        except Exception:  # timm's conversions expect a state that is nearly right, and fail in any way on another
            converted = None
        if converted is not None and not _load(network, converted):
            reason = ""
    if reason:
        raise ExtractorError(f"The weights do not fit the timm: model ({reason}). Give a state of it.", file=str(file))
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError(
            "The extractor's weights hold NaN or infinite values. Fetch or make the file again.", file=str(file)
        )


def _load(network: nn.Module, state: dict[str, Tensor]) -> str:
    """Load values; return why they do not fit, or an empty string."""
    settings = getattr(network, "pretrained_cfg", None) or {}
    classifiers = settings.get("classifier") or ()
    heads = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    unused = (*UNUSED, *(f"{head}." for head in heads))
    own = network.state_dict()
    kept = {key: value for key, value in state.items() if key in own or not key.startswith(unused)}
    try:
        network.load_state_dict(kept)
    except RuntimeError as error:
        return " ".join(str(error).split())[:160]
    return ""


def _preparation(timm: Any, network: nn.Module, size: int) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return mean, standard deviation (three channels) and pixels per side, by the model's configuration."""
    settings = timm.data.resolve_model_data_config(network)
    mean, sd = (tuple(float(v) for v in settings[key]) for key in ("mean", "std"))
    if len(mean) != 3:
        raise ExtractorError("The timm: model does not take three channels. Choose another.")
    return mean, sd, size or int(settings["input_size"][-1])


def _check_size(network: nn.Module, size: int) -> None:
    """Raise ExtractorError where the model takes no image of this size."""
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size))
    except Exception:  # models refuse a size by whatever their layers raise
        raise ExtractorError(
            f"The timm: model takes no images of {size} pixels. Give another size=, or none."
        ) from None


def _prepare(pixels: Tensor, mean: tuple[float, ...], sd: tuple[float, ...], size: int) -> Tensor:
    """Return uint8 [N,1,H,W] or [N,3,H,W] as float32 [N,3,size,size]."""
    grey = pixels.float() / 255.0
    shrinks = max(pixels.shape[-2:]) > size
    grey = functional.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinks)
    centre, spread = (torch.tensor(v, device=pixels.device)[None, :, None, None] for v in (mean, sd))
    return (grey - centre) / spread
