"""The weights of an InceptionV3: torchvision's ImageNet weights, a file, or random values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pytest_medgan.embedding import random_weights
from pytest_medgan.embedding.arithmetic import release_memory
from pytest_medgan.embedding.cache import Cache
from pytest_medgan.embedding.contract import Answer
from pytest_medgan.embedding.hub_files import cached_file, download, require_sha256
from pytest_medgan.embedding.inception import build
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state, read_metadata, read_state, read_torch_state
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet, Progress, no_progress

FORMAT = "pytest-medgan inception_v3 1"  # the `format` key in the metadata of our safetensors files


@dataclass(frozen=True, eq=False)
class Weights:
    """A network with its values, and what names them."""

    network: nn.Module  # on the CPU, in evaluation mode
    identity: str  # digest of the values, or the recipe where they are random
    summary: str  # a few words for a header line
    patients: frozenset[str] = frozenset()  # pseudonyms it was fine-tuned on
    normalisation: str | None = None  # what it was fine-tuned with; None where unknown


def load_weights(
    spec: ExtractorSpec, calibration: ImageSet | None, progress: Progress = no_progress, cache: Cache | None = None
) -> Weights:
    """Return the network that `spec` names.

    Args:
        spec: Its weights, seed and normalisation are read.
        calibration: Real images, which random weights set their batch norms from.
        progress: Told how far the calibration is.
        cache: Keeps the calibration of random weights.

    Raises:
        ExtractorError: The file is missing, of the wrong kind, or has another hash than promised; or random weights
            were given no images.
    """
    if spec.weights == "random":
        return _random(spec, calibration, progress, cache)
    if spec.weights == "imagenet":
        state = imagenet_state()
        return Weights(_fill(state, None), f"imagenet:{digest_state(state)}", "ImageNet weights")
    return _from_file(Path(spec.weights))


def _random(spec: ExtractorSpec, calibration: ImageSet | None, progress: Progress, cache: Cache | None) -> Weights:
    """Return random weights, calibrated now or before."""
    if calibration is None or len(calibration) == 0:
        raise ExtractorError(
            "weights=random sets its batch norms from real images and was given none. Pass calibration=."
        )
    pixels = random_weights.choose(calibration, spec.seed)
    network = random_weights.draw(spec.seed)
    identity = f"{random_weights.RECIPE} {random_weights.digest(pixels)}, seed {spec.seed}"

    def calibrate(_: list[int], done: int) -> Answer:
        random_weights.calibrate(network, pixels, spec.normalisation, progress)
        release_memory()
        return random_weights.statistics(network)[None], None

    if cache is None:
        calibrate([0], 0)
    else:
        space = cache.space(f"calibration of {identity}, {spec.normalisation}", "float32", counted=False)
        random_weights.restore(network, space.gather(["statistics"], calibrate, 1)[0][0])
    return Weights(network, identity, f"random weights, calibrated on {len(pixels)} reference images")


# ---------------------------------------------------------------------------------------------------------- ImageNet


def imagenet_file() -> Path:
    """Return where torchvision keeps its ImageNet weights, whether or not they are there."""
    return cached_file(_imagenet_url())


def _imagenet_url() -> str:
    """Return where torchvision offers its ImageNet weights."""
    import torchvision  # takes a second, and other feature spaces do without it

    return str(torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url)


def imagenet_state() -> dict[str, Tensor]:
    """Return torchvision's Inception_V3_Weights.IMAGENET1K_V1; the hash of an existing file is checked too.

    Raises:
        ExtractorError: They cannot be fetched, or the file has another hash.
    """
    file = imagenet_file()
    expected = file.stem.rsplit("-", 1)[-1]  # torchvision names its files by the first digits of their SHA-256
    if not file.exists():
        download(_imagenet_url(), file, expected, "The ImageNet weights")
    require_sha256(file, expected, f"The ImageNet weights {file.name}", "Delete the file and try again.")
    return read_torch_state(file)


# ------------------------------------------------------------------------------------------------------------- files


def _from_file(file: Path) -> Weights:
    """Return a fine-tuned network (a safetensors file of ours) or a torchvision state_dict (.pt, .pth)."""
    state = read_state(file)
    if file.suffix != ".safetensors":
        return Weights(_fill(state, file), f"file:{digest_state(state)}", "weights from a state_dict")
    metadata = read_metadata(file)
    if metadata.get("format") != FORMAT:
        raise ExtractorError(
            "The extractor's weights are no InceptionV3 of this package. Make one by `medgan finetune`.", file=str(file)
        )
    return Weights(
        _fill(state, file),
        f"file:{digest_state(state)}",
        "fine-tuned weights",
        patients_of(file),
        metadata.get("normalisation"),
    )


def patients_of(file: Path) -> frozenset[str]:
    """Return the pseudonyms that a file names as those it was fine-tuned on; none where it names none."""
    return frozenset(json.loads(read_metadata(file).get("patients", "[]")))


def _fill(state: Mapping[str, Tensor], file: Path | None) -> nn.Module:
    """Return an Inception3 with this state; the auxiliary classifier is dropped: features do not pass through it."""
    main = {name: value for name, value in state.items() if not name.startswith("AuxLogits.")}
    head = main.get("fc.weight")
    name = None if file is None else str(file)
    if head is None or head.ndim != 2:
        raise ExtractorError(
            "The extractor's weights have no fc.weight [classes,2048]. Give a state of torchvision's InceptionV3.",
            file=name,
        )
    network = build(len(head))
    try:
        network.load_state_dict(main)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(
            f"The extractor's weights do not fit torchvision's InceptionV3 ({reason}). Give a state of it.", file=name
        ) from None
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError(
            "The extractor's weights hold NaN or infinite values. Fetch or make the file again.", file=name
        )
    return network
