"""The whole battery against one prepared reference: name -> function, and the pass that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from pytest_medgan.catalogue import METRICS, NAMES, Metric, ordered
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.authenticity import authenticity_estimate
from pytest_medgan.metrics.contributions import contributions as image_by_image
from pytest_medgan.metrics.copies import copy_estimate, duplicate_estimate
from pytest_medgan.metrics.density_coverage import coverage_estimate, density_estimate
from pytest_medgan.metrics.evidence import gather
from pytest_medgan.metrics.frechet import frechet_estimate
from pytest_medgan.metrics.gram import points
from pytest_medgan.metrics.improved_pr import precision_estimate, recall_estimate
from pytest_medgan.metrics.inception_score import inception_estimate
from pytest_medgan.metrics.intensity import intensity_estimate
from pytest_medgan.metrics.kernel import kernel_estimate
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.ms_ssim import ms_ssim_estimate
from pytest_medgan.metrics.prd import prd_precision_estimate, prd_recall_estimate
from pytest_medgan.metrics.reference import Reference, prepare_reference
from pytest_medgan.metrics.threads import side_by_side
from pytest_medgan.metrics.uncertainty import jackknife_se
from pytest_medgan.records import Contribution, Estimate, Evidence

# one row a metric, in the catalogue's order
ESTIMATES: Mapping[str, Callable[[Look], Estimate]] = MappingProxyType(
    {
        "inception_score": inception_estimate,
        "fid": frechet_estimate,
        "kid": kernel_estimate,
        "precision": prd_precision_estimate,
        "recall": prd_recall_estimate,
        "improved_precision": precision_estimate,
        "improved_recall": recall_estimate,
        "density": density_estimate,
        "coverage": coverage_estimate,
        "authenticity": authenticity_estimate,
        "copy_rate": copy_estimate,
        "duplicate_rate": duplicate_estimate,
        "intensity_distance": intensity_estimate,
        "ms_ssim": ms_ssim_estimate,
    }
)


@dataclass(frozen=True)
class CustomMetric:
    """A user's own metric: `function(real=, fake=) -> float` of features float32 [N,D] and [M,D] as numpy arrays."""

    metric: Metric
    function: Callable[..., float]


@dataclass(frozen=True)
class Battery:
    """Every metric asked for, either an estimate or the reason why there is none."""

    estimates: Mapping[str, Estimate]
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # metric -> one line
    evidence: Evidence = field(default_factory=Evidence)
    contributions: Mapping[str, Contribution] = field(default_factory=dict)  # metric -> what every image adds


def measure(
    reference: Reference,
    *,
    fake: Any,
    probabilities: Any = None,
    pixels: Any = None,
    metrics: Iterable[str] = NAMES,
    custom: Sequence[CustomMetric] = (),
    evidence: bool = False,
    contributions: bool = False,
    seed: int = 0,
    strict: bool = False,
) -> Battery:
    """Measure generated features `fake` [M,D] (array or tensor) against a prepared reference.

    probabilities [M,C] and pixels uint8 [M,1,H,W] belong to the same images. Only `metrics` are computed; those whose
    inputs are absent are named in `unmeasured`. MetricInputError names the argument that does not fit.
    """
    asked = ordered(inputs.names(metrics))
    generated = inputs.features(fake, "fake", least=2, width=reference.points.raw.shape[1])
    generated = generated.to(reference.points.raw.device)
    if probabilities is not None:
        probabilities = inputs.probabilities(probabilities)
        _same_count("probabilities", len(probabilities), len(generated))
    if pixels is not None:
        pixels = inputs.pixels(pixels, "pixels", like=reference.image_size)
        _same_count("pixels", len(pixels), len(generated))
    unmeasured = {name: why for name in asked if (why := _missing(name, reference, probabilities, pixels))}
    look = Look(
        reference=reference,
        fake=points(generated, reference.centre),
        metrics=tuple(name for name in asked if name not in unmeasured),
        probabilities=probabilities,
        pixels=pixels,
        seed=inputs.whole(seed, "seed", least=0),
        evidence=evidence,
        strict=strict,
    )
    needed = reference.ks.of(set(look.metrics) & {"improved_recall"}, sweep=False)
    if needed:
        inputs.neighbour_counts(needed, rows=len(generated), name="fake")
    estimates = _estimates(look)
    for one in custom:
        estimates[one.metric.name] = _custom(one, look)
    return Battery(
        MappingProxyType(estimates),
        MappingProxyType(unmeasured),
        gather(look) if evidence else Evidence(),
        MappingProxyType(image_by_image(look) if contributions else {}),
    )


def _same_count(name: str, found: int, images: int) -> None:
    if found != images:
        raise MetricInputError(f"{name} has {found} rows but fake has {images}; give one row an image to both")


def _missing(name: str, reference: Reference, probabilities: Any, pixels: Any) -> str | None:
    """Why a metric cannot be measured, or None."""
    if name not in ESTIMATES:
        return "no such metric; a metric of your own is registered through pytest_medgan_metrics"
    if name not in reference.metrics:
        return "the reference was not prepared for it"
    needs = METRICS[name].needs
    why = None
    if "pixels" in needs and (pixels is None or ("train" not in needs and reference.image_size is None)):
        why = "needs the images' pixels, and only features were given"
    if "train" in needs and (reference.train_pixels if "pixels" in needs else reference.train) is None:
        why = "needs the generator's own training images, which are not known"
    if "probabilities" in needs and probabilities is None:
        why = "needs class probabilities, and this extractor gives none"
    return why


def _estimates(look: Look) -> dict[str, Estimate]:
    """Every metric's estimate. The Frechet distance, which shares no pass with the others, goes beside them; k-means,
    which more threads do help, comes when both are done."""

    def of(names: Iterable[str]) -> dict[str, Estimate]:
        return {name: ESTIMATES[name](look) for name in names}

    alone, last = {"fid"} & set(look.metrics), {"precision", "recall"} & set(look.metrics)
    shared = [name for name in look.metrics if name not in alone | last]
    if alone and shared:
        found, beside = side_by_side(lambda: of(shared), lambda: of(alone), look.fake.rows.device)
        found |= beside
    else:
        found = of([*shared, *alone])
    found |= of(last)
    return {name: found[name] for name in look.metrics}


def _custom(one: CustomMetric, look: Look) -> Estimate:
    """A user's metric; its errors by deleting blocks, which is conservative for most functions of neighbours."""
    real, fake = look.real.raw.cpu().numpy(), look.fake.raw.cpu().numpy()
    value = float(one.function(real=real, fake=fake))
    errors = []
    for side, block in (("fake", look.fake_block % 20), ("real", look.reference.block % 20)):
        names, sizes = torch.unique(torch.as_tensor(block), return_counts=True)
        without = [
            one.function(real=real, fake=fake[block != name])
            if side == "fake"
            else one.function(real=real[block != name], fake=fake)
            for name in names.tolist()
        ]
        errors.append(jackknife_se(value, torch.tensor(without, dtype=torch.float64).numpy(), sizes.numpy()))
    return Estimate(value, errors[0], float((errors[0] ** 2 + errors[1] ** 2) ** 0.5))


def score_features(
    *,
    real: Any,
    fake: Any,
    train: Any = None,
    probabilities: Any = None,
    real_pixels: Any = None,
    fake_pixels: Any = None,
    train_pixels: Any = None,
    window: tuple[float, float] | None = None,
    metrics: Iterable[str] = NAMES,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric that the given arrays allow, by name, in the catalogue's order.

    real [N,D], fake [M,D] and train [T,D] are features (numpy arrays or tensors, any device), probabilities [M,C]
    those of the generated images, the pixels uint8 [.,1,H,W], `window` the HU that grey 0 and 255 stand for.
    MetricInputError names the argument that does not fit.
    """
    inputs.pair(real, fake, least=2)
    asked = inputs.names(metrics)
    if unknown := [name for name in asked if name not in NAMES]:
        raise MetricInputError(f"metrics names {', '.join(unknown)}; there are {', '.join(NAMES)}")
    reference = prepare_reference(
        real, pixels=real_pixels, train=train, train_pixels=train_pixels, window=window, metrics=asked
    )
    battery = measure(reference, fake=fake, probabilities=probabilities, pixels=fake_pixels, metrics=asked, seed=seed)
    return {name: battery.estimates[name].value for name in ordered(battery.estimates)}
