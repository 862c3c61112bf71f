"""`fid_inception[,weights=FILE]`: the network by which the literature computes FID (extra `fidelity`).

It is the InceptionV3 of 2015-12-05 in TensorFlow's graph, ported to torch by pytorch-fid and torch-fidelity. The
network, its bilinear resize to 299x299 as TensorFlow 1 does it, and its scaling (x - 128) / 128 are torch-fidelity's
own class. One grey channel is repeated to three. Features are the 2048 averages of the last maps; probabilities are the
softmax over 1008 classes of the logits without bias, which the inception score is defined on.

References:
    Heusel et al. 2017, GANs trained by a two time-scale update rule converge to a local Nash equilibrium (FID).
    Obukhov et al. 2020, torch-fidelity, doi 10.5281/zenodo.4957738.
    Seitzer 2020, pytorch-fid, which publishes the same weights as pt_inception-2015-12-05-6726825d.pth.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.embedding.hub_files import cached_file, download, require_sha256
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state, read_state
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import UInt8

NAME = "fid_inception"
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
OTHER_NAME = "pt_inception-2015-12-05-6726825d.pth"  # what pytorch-fid calls the same file
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PREPARATION = "1 channel to 3; TensorFlow 1 bilinear 299; (x-128)/128; pool2048; softmax of 1008 logits without bias"
FEATURES = ["2048", "logits_unbiased"]  # torch-fidelity's names
BATCH = 32


def load_fid_inception(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return torch-fidelity's InceptionV3 in float32.

    Raises:
        ExtractorError: torch-fidelity or the weights are missing, the weights are not the published ones and
            `spec.sha256` does not name them, or `spec` sets what the network fixes.
    """
    if spec != ExtractorSpec(NAME, weights=spec.weights, batch=spec.batch, sha256=spec.sha256):
        raise ExtractorError(
            f"{NAME} has its own preparation and numeric class. It takes only weights=, sha256= and batch=."
        )
    if spec.weights == "random":
        raise ExtractorError(f"{NAME} has no reproducible random weights. Give weights=FILE, or no weights=.")
    network_class = _network_class()
    file = _published() if spec.weights == "imagenet" else Path(spec.weights)
    state = _read_weights(file, spec.sha256)
    network = _build(network_class, state, file).to(device)
    identity = f"{NAME};{digest_state(state)};{PREPARATION}"

    @torch.inference_mode()
    def answer(pixels: UInt8) -> tuple[Tensor, Tensor]:
        features, logits = network(torch.from_numpy(pixels.copy()).to(device).expand(-1, 3, -1, -1))
        return features, torch.softmax(logits, dim=1)

    which = "other weights than the published" if spec.sha256 and not SHA256.startswith(spec.sha256) else "published"
    return space_of_function(f"{NAME}, {which}", identity, answer, spec.batch or BATCH)


def _network_class() -> Any:
    """Return torch-fidelity's InceptionV3."""
    try:
        with warnings.catch_warnings():  # torch-fidelity sets filters for the whole process when it is imported
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise ExtractorError(
            f"{NAME} needs the package torch-fidelity. Install it by pip install 'pytest-medgan[fidelity]'."
        ) from None
    return FeatureExtractorInceptionV3


def _published() -> Path:
    """Return the published file, from torch.hub's folder under either name or fetched into it."""
    file = cached_file(URL)
    other = file.with_name(OTHER_NAME)
    if not file.exists() and other.exists():
        return other
    if not file.exists():
        download(URL, file, SHA256, f"The weights of {NAME}")
    return file


def _read_weights(file: Path, sha256: str) -> Mapping[str, Tensor]:
    """Return the tensors of a file that is the published one, or the one that `sha256` names."""
    if file.is_file():  # read_state says what is wrong where it is none
        action = "Fetch it anew, or give sha256={actual} to use it: no published FID compares with it then."
        require_sha256(file, sha256 or SHA256, f"The weights of {NAME}", action)
    return read_state(file)


def _build(network_class: Any, state: Mapping[str, Tensor], file: Path) -> nn.Module:
    """Return the network with these values."""
    copy = io.BytesIO()  # torch-fidelity unpickles whatever it is given, so it is given a copy of the tensors alone
    torch.save(dict(state), copy)
    copy.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):  # it draws initial values before it loads these
            network: nn.Module = network_class(NAME, FEATURES, feature_extractor_weights_path=copy)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ExtractorError(
            f"The weights do not fit {NAME} ({reason}). Give the published file.", file=str(file)
        ) from None
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ExtractorError(
            f"The weights of {NAME} hold NaN or infinite values. Fetch or make the file again.", file=str(file)
        )
    return network
