"""`radimagenet:NETWORK,weights=FILE`: networks trained on RadImageNet's 1.35 million CT, MR and ultrasound images.

NETWORK is `inception_v3` or `resnet50`. FILE is a state_dict of the authors' PyTorch release, whose names begin with
`backbone.` and the position of a layer among torchvision's (`backbone.4.0.conv1.weight` is `layer1.0.conv1.weight`; the
InceptionV3 has no auxiliary classifier, so `backbone.15` is `Mixed_7a`), or one with torchvision's own names.

Images are scaled to (-1, 1) as in the authors' example (`pytorch_example.ipynb` of BMEII-AI/RadImageNet), resized
bilinearly to the network's own size (224 or 299; align_corners=False, antialiased where that shrinks), and one channel
is repeated to three. Features are the 2048 averages of the last maps. The release holds no classifier, so there are no
probabilities.

References:
    Mei et al. 2022, RadImageNet: an open radiologic deep learning research dataset for effective transfer learning,
    Radiology: Artificial Intelligence 4(5), doi 10.1148/ryai.210315.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.embedding.inception import build
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state, read_state
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import UInt8

PREFIX = "radimagenet:"
SIZES = {"inception_v3": 299, "resnet50": 224}  # pixels per side
UNUSED = ("AuxLogits.", "fc.")  # features do not pass through classifiers
BATCH = 32


def load_radimagenet(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return a network of RadImageNet in float32.

    Raises:
        ExtractorError: The weights are missing or do not fit, or `spec` sets what the network fixes.
    """
    name = spec.name.removeprefix(PREFIX)
    if name not in SIZES:
        raise ExtractorError(f"RadImageNet's network {name!r} is unknown here. Give one of {', '.join(SIZES)}.")
    if spec != ExtractorSpec(spec.name, weights=spec.weights, batch=spec.batch, sha256=spec.sha256):
        raise ExtractorError(
            "A radimagenet: network has its own preparation and numeric class. It takes only weights=, sha256= and "
            "batch=."
        )
    if spec.weights in ("imagenet", "random"):
        raise ExtractorError(
            "A radimagenet: network needs its weights, which its authors give on request. Give weights=FILE."
        )
    network = _network(name, Path(spec.weights)).to(device)
    size = SIZES[name]
    identity = f"{spec.name};{digest_state(network.state_dict())};uint8/127.5-1;bilinear {size};1 channel to 3;pool2048"

    @torch.inference_mode()
    def answer(pixels: UInt8) -> Tensor:
        maps: Tensor = network(_prepare(torch.from_numpy(pixels.copy()).to(device), size))
        return maps.mean((2, 3))

    return space_of_function(spec.name, identity, answer, spec.batch or BATCH)


def _prepare(pixels: Tensor, size: int) -> Tensor:
    """Return uint8 [N,1,H,W] or [N,3,H,W] as float32 [N,3,size,size] in (-1, 1)."""
    grey = pixels.float() / 127.5 - 1.0
    shrinks = max(pixels.shape[-2:]) > size
    grey = functional.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinks)
    return grey.expand(-1, 3, -1, -1)


def _network(name: str, file: Path) -> nn.Module:
    """Return the layers up to the last maps, with the values of a file."""
    layers = _layers(name)
    names = list(layers)
    state = {_own_name(key, names): value for key, value in read_state(file).items()}
    network = nn.Sequential(layers)
    try:
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith(UNUSED)})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(
            f"The weights do not fit RadImageNet's {name} ({reason}). Give its state_dict.", file=str(file)
        ) from None
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError(
            "The extractor's weights hold NaN or infinite values. Fetch or make the file again.", file=str(file)
        )
    return network.eval()


def _layers(name: str) -> OrderedDict[str, nn.Module]:
    """Return torchvision's layers in order, without the average pool and what follows, and without values."""
    if name == "inception_v3":
        network = build(1)
    else:
        import torchvision  # takes a second, and other feature spaces do without it

        with torch.device("meta"):
            network = torchvision.models.resnet50(weights=None)
        network = network.to_empty(device="cpu")
    layers = list(network.named_children())
    end = [layer for layer, _ in layers].index("avgpool")
    return OrderedDict(layers[:end])


def _own_name(key: str, names: list[str]) -> str:
    """Return torchvision's name of a tensor that the release names by the position of its layer."""
    position, _, rest = key.removeprefix("backbone.").partition(".")
    if position.isdigit() and int(position) < len(names):
        return f"{names[int(position)]}.{rest}"
    return key.removeprefix("backbone.")
