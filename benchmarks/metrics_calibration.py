"""Claimed over true standard error, over repeated draws from distributions that never run out.

    python benchmarks/metrics_calibration.py gaussian --repetitions 1000
    python benchmarks/metrics_calibration.py lidc --repetitions 1000       needs the shared LIDC patches and weights
    python benchmarks/metrics_calibration.py patients --repetitions 1000
    python benchmarks/metrics_calibration.py wide --repetitions 300        FID with fewer rows than features
    python benchmarks/metrics_calibration.py held-out --rows 500           the Real row: held-out patients as generated

Every repetition draws a generated set, and a reference in addition to the first one. "Fixed" compares `se` with the
spread of the values against the one reference that is held fixed; "total" compares `se_total` with the spread when both
are drawn anew. The claimed error is the root mean square over the repetitions.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pytest_medgan import metrics
from pytest_medgan.records import Float32, Int64

ALL = ("fid", "kid", "precision", "recall", "improved_precision", "improved_recall", "density", "coverage")


@dataclass(frozen=True)
class Scenario:
    """What is drawn."""

    real: Callable[[np.random.Generator], tuple[Float32, Int64 | None]]  # features [N,D] and patients [N]
    fake: Callable[[np.random.Generator], Float32]  # features [M,D]
    metrics: tuple[str, ...] = ALL
    fake_group: Int64 | None = None  # [M], the patient of every "generated" image


def gaussian(rows: int) -> Scenario:
    """Return a standard normal in 32 dimensions, and a generated one that is shifted and narrower."""

    def real(rng: np.random.Generator) -> tuple[Float32, None]:
        return rng.standard_normal((rows, 32), np.float32), None

    def fake(rng: np.random.Generator) -> Float32:
        return 0.95 * rng.standard_normal((rows, 32), np.float32) + np.float32(0.15)

    return Scenario(real, fake)


def patients(rows: int) -> Scenario:
    """Return the same with 50 patients whose images are alike (a fifth of the variance is the patient's)."""

    def real(rng: np.random.Generator) -> tuple[Float32, Int64]:
        patient = np.repeat(np.arange(50), rows // 50)
        of_patient = rng.standard_normal((50, 32), np.float32)[patient] * np.float32(0.2**0.5)
        return of_patient + np.float32(0.8**0.5) * rng.standard_normal((len(patient), 32), np.float32), patient

    return Scenario(real, gaussian(rows).fake)


def held_out(rows: int) -> Scenario:
    """Return reference and held-out patients of one distribution: what the Real row measures."""
    real = patients(rows).real
    group = np.repeat(np.arange(50), rows // 50)
    return Scenario(real, lambda rng: real(rng)[0], fake_group=group)


def wide(rows: int) -> Scenario:
    """Return 2,048 features with the falling spectrum of pooled activations, few rows: what a quick gate has."""
    scale = (np.arange(1, 2049) ** -0.5).astype(np.float32)

    def real(rng: np.random.Generator) -> tuple[Float32, None]:
        return np.abs(rng.standard_normal((rows, 2048), np.float32)) * scale, None

    def fake(rng: np.random.Generator) -> Float32:
        return np.abs(rng.standard_normal((rows, 2048), np.float32) + np.float32(0.05)) * scale

    return Scenario(real, fake, ("fid", "kid"))


def lidc(rows: int) -> Scenario:
    """Return a mixture of 24 normals fitted to 48 principal components of SqueezeNet features of real lung patches.

    The generated side draws from the same mixture without its three rarest parts, and is a little too narrow.
    """
    from sklearn.mixture import GaussianMixture

    features = lidc_features()
    centred = features - features.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    low = centred @ directions[:48].T
    fitted = GaussianMixture(24, reg_covar=1e-3 * float(low.var()), random_state=0).fit(low)
    roots = np.linalg.cholesky(fitted.covariances_)

    def draw(rng: np.random.Generator, weights: np.ndarray, gain: float) -> Float32:
        part = rng.choice(24, rows, p=weights / weights.sum())
        noise = np.einsum("nij,nj->ni", roots[part], rng.standard_normal((rows, 48)))
        return (fitted.means_[part] + gain * noise).astype(np.float32)

    kept = np.where(fitted.weights_ > np.sort(fitted.weights_)[2], fitted.weights_, 0)
    return Scenario(lambda rng: (draw(rng, fitted.weights_, 1.0), None), lambda rng: draw(rng, kept, 0.95))


def lidc_features() -> Float32:
    """Return SqueezeNet's 512 mean features of the LIDC patches, float32 [4510,512]."""
    from torchvision.models import squeezenet1_1

    folder = Path(os.environ.get("MEDGAN_SHARED_DATA", "../shared/data"))
    network = squeezenet1_1()
    state = torch.load(folder / "weights/squeezenet1_1_imagenet_fp16.pt", weights_only=True)
    network.load_state_dict({name: value.float() for name, value in state.items()})
    network.eval()
    pixels = np.load(folder / "lidc-patches/patches_128.npz")["pixels"]
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 64):
            grey = torch.from_numpy(pixels[start : start + 64]).float()[:, None] / 255
            found.append(network.features((grey - mean.view(1, 3, 1, 1)) / spread.view(1, 3, 1, 1)).mean((2, 3)))
    return torch.cat(found).numpy()


def repeat(scenario: Scenario, repetitions: int) -> dict[str, np.ndarray]:
    """Return for each metric [repetitions,4]: value and se of a fixed reference, value and se_total of both redrawn."""
    found: dict[str, np.ndarray] = {name: np.full((repetitions, 4), np.nan) for name in scenario.metrics}
    real, group = scenario.real(np.random.default_rng(0))
    fixed = metrics.prepare_reference(real, groups=group, metrics=scenario.metrics)
    for turn in range(repetitions):
        rng = np.random.default_rng([1, turn])
        fake = scenario.fake(rng)
        real, group = scenario.real(rng)
        redrawn = metrics.prepare_reference(real, groups=group, metrics=scenario.metrics)
        one, two = (
            metrics.measure(
                reference, fake=fake, fake_groups=scenario.fake_group, metrics=scenario.metrics, seed=turn
            ).estimates
            for reference in (fixed, redrawn)
        )
        for name in scenario.metrics:
            found[name][turn] = one[name].value, one[name].se, two[name].value, two[name].se_total
        if turn % 20 == 19:
            show(found, turn + 1)
    return found


def show(found: dict[str, np.ndarray], turns: int) -> None:
    """Print the table so far; a later one replaces it."""
    print(f"\n{turns} repetitions\n")
    print("| metric | mean | true fixed | claimed/true fixed | true total | claimed/true total |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, all_values in found.items():
        values = all_values[:turns]
        true = values[:, [0, 2]].std(0, ddof=1)
        claimed = np.sqrt((values[:, [1, 3]] ** 2).mean(0))
        ratio = claimed / true
        print(
            f"| {name} | {values[:, 0].mean():.5g} | {true[0]:.3g} | {ratio[0]:.2f} | {true[1]:.3g} | {ratio[1]:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenarios = {"gaussian": gaussian, "lidc": lidc, "patients": patients, "wide": wide, "held-out": held_out}
    parser.add_argument("scenario", choices=scenarios)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--metrics", nargs="+", help="only these")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scenario = scenarios[given.scenario](given.rows)
    if given.metrics:
        scenario = replace(scenario, metrics=tuple(given.metrics))
    show(repeat(scenario, given.repetitions), given.repetitions)


if __name__ == "__main__":
    main()
