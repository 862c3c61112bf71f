"""Where an InceptionV3's weights come from: torchvision's ImageNet weights, a file, or nobody (random)."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import numpy as np
import safetensors
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from pytest_medgan.embedding import random_weights
from pytest_medgan.embedding.arithmetic import give_back
from pytest_medgan.embedding.batches import Answer
from pytest_medgan.embedding.cache import Cache
from pytest_medgan.embedding.inception import build
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet, Progress, no_progress

FORMAT = "pytest-medgan inception_v3 1"  # the `format` key in the metadata of our safetensors files


@dataclass(frozen=True, eq=False)
class Weights:
    """A network with its values, and what it is called."""

    network: nn.Module
    identity: str  # digest of the values, or the recipe where nobody trained them
    summary: str  # a few words for a header line
    patients: frozenset[str] = field(default_factory=frozenset)  # pseudonyms it was fine-tuned on
    normalisation: str | None = None  # what it was fine-tuned with; None where it is not said


def load_weights(
    spec: ExtractorSpec, calibration: ImageSet | None, progress: Progress = no_progress, cache: Cache | None = None
) -> Weights:
    """The network that `spec` names, on the CPU, in evaluation mode.

    `cache` holds how random weights were calibrated. Raises ExtractorError where the file is missing, of the wrong
    kind, or does not have the promised hash.
    """
    if spec.weights == "random":
        return _random(spec, calibration, progress, cache)
    if spec.weights == "imagenet":
        state = imagenet_state()
        return Weights(_fill(state, None), f"imagenet:{state_digest(state)}", "ImageNet weights")
    return from_file(Path(spec.weights))


def _random(spec: ExtractorSpec, calibration: ImageSet | None, progress: Progress, cache: Cache | None) -> Weights:
    if calibration is None or len(calibration) == 0:
        raise ExtractorError(
            "weights=random sets its batch norm from real images and was given none; pass calibration="
        )
    pixels = random_weights.choose(calibration, spec.seed)
    network = random_weights.draw(spec.seed)
    identity = f"{random_weights.RECIPE} {random_weights.digest(pixels)}, seed {spec.seed}"

    def calibrate(_: list[int], done: int) -> Answer:
        random_weights.calibrate(network, pixels, spec.normalisation, progress)
        give_back()
        return random_weights.statistics(network)[None], None

    if cache is None:
        calibrate([0], 0)
    else:
        space = cache.space(f"calibration of {identity}, {spec.normalisation}", "float32", counted=False)
        random_weights.restore(network, space.gather(["statistics"], calibrate, 1)[0][0])
    return Weights(network, identity, f"random weights, calibrated on {len(pixels)} reference images")


# ---------------------------------------------------------------------------------------------------------- ImageNet


def imagenet_file() -> Path:
    """Where torchvision's ImageNet weights lie, or would lie."""
    url: str = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def imagenet_state() -> dict[str, Tensor]:
    """torchvision's Inception_V3_Weights.IMAGENET1K_V1, its hash checked also when it was there already.

    Raises ExtractorError when it cannot be fetched, naming the file and where to put it, or when its hash is wrong.
    """
    file = imagenet_file()
    url: str = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url
    expected = file.stem.rsplit("-", 1)[-1]  # torchvision names its files by the first digits of their SHA-256
    if not file.exists():
        _download(url, file, expected)
    actual = _file_hash(file)
    if not actual.startswith(expected):
        raise ExtractorError(
            f"ImageNet weights {file.name} have SHA-256 {actual[:8]}, not {expected}; delete the file, then try again",
            file=str(file),
        )
    return _torch_state(file)


def _download(url: str, file: Path, expected: str) -> None:
    """torch.hub's own download, atomic and hash-checked; whatever goes wrong is one line."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), expected, progress=False)
    except RuntimeError:  # torch.hub's own hash check
        raise ExtractorError(
            f"what was fetched as {file.name} does not have SHA-256 {expected}; try again, or weights=random",
            file=str(file),
        ) from None
    except (URLError, OSError) as error:
        raise ExtractorError(
            f"ImageNet weights cannot be fetched ({type(error).__name__}); put {file.name} from {url} into "
            "$TORCH_HOME/hub/checkpoints, or use weights=random",
            file=str(file),
        ) from None


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------------------------- files


def from_file(file: Path) -> Weights:
    """A fine-tuned network (safetensors of ours) or a torchvision state_dict (.pt, .pth).

    Raises ExtractorError where it is neither.
    """
    if not file.is_file():
        raise ExtractorError("weights= names no file; give imagenet, random, or a .safetensors or .pth", file=str(file))
    if file.suffix != ".safetensors":
        state = _torch_state(file)
        return Weights(_fill(state, file), f"file:{state_digest(state)}", "weights from a state_dict")
    try:
        with safetensors.safe_open(file, framework="pt") as reader:
            metadata = dict(reader.metadata() or {})
        state = load_file(file)
    except (safetensors.SafetensorError, OSError):
        raise ExtractorError(
            "weights are no readable safetensors file; fetch or make it again", file=str(file)
        ) from None
    if metadata.get("format") != FORMAT:
        raise ExtractorError("weights are not an InceptionV3 of ours; make one by `medgan finetune`", file=str(file))
    return Weights(
        _fill(state, file),
        f"file:{state_digest(state)}",
        "fine-tuned weights",
        frozenset(json.loads(metadata.get("patients", "[]"))),
        metadata.get("normalisation"),
    )


def patients_of(file: Path) -> frozenset[str]:
    """Pseudonyms that a file says it was fine-tuned on; none where it says nothing."""
    if file.suffix != ".safetensors" or not file.is_file():
        return frozenset()
    with safetensors.safe_open(file, framework="pt") as reader:
        return frozenset(json.loads((reader.metadata() or {}).get("patients", "[]")))


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or torch file, nothing of it executed. Raises ExtractorError."""
    if not file.is_file():
        raise ExtractorError("weights= names no file; give a .safetensors or .pth", file=str(file))
    if file.suffix != ".safetensors":
        return _torch_state(file)
    try:
        return load_file(file)
    except (safetensors.SafetensorError, OSError):
        raise ExtractorError(
            "weights are no readable safetensors file; fetch or make it again", file=str(file)
        ) from None


def _torch_state(file: Path) -> dict[str, Tensor]:
    """A state_dict, read without running anything that the file holds."""
    try:
        with warnings.catch_warnings():  # torch warns of unusual pickles before it refuses them, which we say ourselves
            warnings.simplefilter("ignore")
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise ExtractorError(
            "weights are no plain state_dict that torch loads safely; save one by torch.save(model.state_dict(), ...)",
            file=str(file),
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ExtractorError("weights hold something other than tensors; save model.state_dict()", file=str(file))
    return dict(state)


def _fill(state: Mapping[str, Tensor], file: Path | None) -> nn.Module:
    """An Inception3 with this state; the auxiliary classifier is dropped, since features do not pass through it."""
    main = {name: value for name, value in state.items() if not name.startswith("AuxLogits.")}
    head = main.get("fc.weight")
    name = None if file is None else str(file)
    if head is None or head.ndim != 2:
        raise ExtractorError("weights have no fc.weight [classes,2048]: not torchvision's InceptionV3", file=name)
    network = build(len(head))
    try:
        network.load_state_dict(main)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(f"weights do not fit torchvision's InceptionV3: {reason}", file=name) from None
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError("weights hold NaN or infinite values; fetch or make the file again", file=name)
    return network


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Hex digest of names, shapes and values in float32, whatever file they came in; the auxiliary part left out."""
    whole = hashlib.sha256()
    for name in sorted(state):
        if name.startswith("AuxLogits.") or name.endswith("num_batches_tracked"):
            continue
        values = np.ascontiguousarray(state[name].detach().cpu().float().numpy())
        whole.update(f"{name}{values.shape}".encode())
        whole.update(values.tobytes())
    return whole.hexdigest()[:16]
