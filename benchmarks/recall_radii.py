"""Improved recall of the two models of `make table`, with their own radii and with one radius for both.

python -m benchmarks.recall_radii [--seeds 12]

A ball of improved recall is as wide as the generated images around it lie apart. So a model whose images scatter gets
wider balls, and reaches real images that its images are not near to. With one radius for every model, the median of
the real images' own, this advantage is gone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pytest_medgan.catalogue import Metric
from pytest_medgan.embedding.compact import BALL_DIMENSIONS
from pytest_medgan.evaluate.protocol import jang2022
from pytest_medgan.evaluate.settings import parse_data
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.metrics import CustomMetric

K = 3  # as in the table
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MODELS = {
    "DCGAN": str(FIXTURES / "dcgan_phantom_128.safetensors"),
    "PGGAN": str(FIXTURES / "pggan_phantom.safetensors"),
}


def radii(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the distance of each point [N,D] to its K-th neighbour, float64 [N]."""
    return np.sort(cdist(points, points), axis=1)[:, K]


def recall_with_one_radius(*, real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
    """Return the share of real images with a generated one no further away than the median radius of real images."""
    real, fake = real[:, :BALL_DIMENSIONS], fake[:, :BALL_DIMENSIONS]
    return float((cdist(real, fake).min(axis=1) <= np.median(radii(real))).mean())


def relative_radius(*, real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
    """Return the median radius of generated images, divided by that of real images."""
    real, fake = real[:, :BALL_DIMENSIONS], fake[:, :BALL_DIMENSIONS]
    return float(np.median(radii(fake)) / np.median(radii(real)))


def custom(name: str, label: str, function: object) -> CustomMetric:
    """Return a metric of this file, which the table then shows beside the others."""
    metric = Metric(name, label, higher_is_better=True, low=0.0, high=np.inf, paper="this file", free_of_n=False)
    return CustomMetric(metric, function)  # type: ignore[arg-type]


def main() -> None:
    """Print both recalls, with their standard deviation over the latent seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12, help="latent seeds, at least 2")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(
            Path(folder),
            custom=(
                custom("one_radius", "recall, one radius", recall_with_one_radius),
                custom("radius", "radius / real radius", relative_radius),
            ),
        )
        table = jang2022(
            parse_data("phantom,crop=image", "--data"),
            MODELS,
            bench,
            extractor="compact",
            samples=None,
            seeds=tuple(range(arguments.seeds)),
            metrics=("improved_recall", "coverage"),
            split="slice",
        )
    for name, scores in table.rows.items():
        for metric, score in scores.metrics.items():
            print(f"{name:6} {metric:16} {score.mean:.3f} ± {score.sd:.3f}", flush=True)


if __name__ == "__main__":
    main()
