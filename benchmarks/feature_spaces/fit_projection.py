"""Fit the linear map of the `compact` feature space and write it into the package.

    python -m benchmarks.feature_spaces.fit_projection --data ../shared/data --out FILE

It is fitted to the patches that the benchmarks of the gate and of the feature spaces set aside: 966 patches of 87
patients, each turned, zoomed, shifted and mirrored six times over. Equal arguments give equal numbers up to rounding.
The file that ships is named by its own digest and part of every fingerprint: do not make it anew without need.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch.nn import functional

from benchmarks.feature_spaces.faults import Images, to_grey
from benchmarks.gate_trust.sampler import split
from pytest_medgan.embedding.compact_weights import read_compact_weights
from pytest_medgan.embedding.efficientnet_lite import STATISTICS, make_network
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.projection import FORMAT
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.ground.files import write_bytes

COPIES = 6  # changed copies of every patch
COMPONENTS = 128
SOURCE = "LIDC-IDRI (Armato et al. 2011, doi 10.7937/K9/TCIA.2015.LO9QL9SX), CC BY 3.0; 966 patches of 87 patients"


def changed(images: Images, copy: int) -> Images:
    """Return every image once: turned by up to 15 degrees, zoomed by up to 25%, shifted by up to 7.5% of its side, and
    half of them mirrored.
    """
    random, count = np.random.default_rng([10, copy]), len(images)
    angle = np.deg2rad(random.uniform(-15, 15, count))
    zoom = 1 + random.uniform(-0.25, 0.25, count)
    shift = random.uniform(-0.15, 0.15, (count, 2))  # in half sides
    side = random.choice([-1, 1], count)
    rows = np.stack([np.cos(angle) / zoom * side, -np.sin(angle) / zoom, shift[:, 0]], 1)
    columns = np.stack([np.sin(angle) / zoom * side, np.cos(angle) / zoom, shift[:, 1]], 1)
    theta = torch.from_numpy(np.stack([rows, columns], 1)).float()
    grid = functional.affine_grid(theta, [count, 1, *images.shape[1:]], align_corners=False)
    base = torch.from_numpy(images)[:, None].float()
    moved = functional.grid_sample(base, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return to_grey(moved.numpy()[:, 0])


def fit(raw: NDArray[np.float64], components: int = COMPONENTS) -> dict[str, NDArray[np.float32 | np.float16]]:
    """Return the parts of a projection that whitens raw statistics [N,D], in the order of their variance."""
    mean, spread = raw.mean(0), raw.std(0)
    scaled = (raw - mean) / spread
    variance, vectors = np.linalg.eigh(scaled.T @ scaled / len(raw))
    order = np.argsort(-variance)[:components]
    vectors = vectors[:, order]
    largest = np.abs(vectors).argmax(0)
    vectors *= np.sign(vectors[largest, np.arange(components)])  # an eigenvector's sign is arbitrary
    return {
        "mean": mean.astype(np.float32),
        "spread": spread.astype(np.float32),
        "components": np.ascontiguousarray(vectors, dtype=np.float16),  # safetensors writes memory as it lies
        "gain": (1 / np.sqrt(variance[order])).astype(np.float32),
    }


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    patches = split(arguments.data)["aside"].pixels[:, 0]
    images = np.concatenate([changed(patches, copy) for copy in range(COPIES)])
    engine = make_engine(make_network(read_compact_weights()), ExtractorSpec("compact"), "cpu")
    parts = engine.stream(torch.from_numpy(images)[:, None], engine.batch)
    raw = torch.cat([part[:, :STATISTICS] for part in parts]).numpy().astype(np.float64)
    write_bytes(arguments.out, save(fit(raw), {"format": FORMAT, "source": SOURCE}))
    print(f"fitted to {len(images)} images of {raw.shape[1]} numbers each")


if __name__ == "__main__":
    main()
