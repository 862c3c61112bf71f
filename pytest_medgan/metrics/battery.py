"""Measure all metrics of a generated set against one prepared reference, in passes that the metrics share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from pytest_medgan.catalogue import NAMES, ordered
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import NotMeasuredError
from pytest_medgan.metrics.custom import CustomMetric, custom_estimate
from pytest_medgan.metrics.evidence import gather_evidence
from pytest_medgan.metrics.grouping import contribution_by_group
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pairwise import points
from pytest_medgan.metrics.passes import cross, own
from pytest_medgan.metrics.prd import clustered
from pytest_medgan.metrics.reference import Reference, prepare_reference
from pytest_medgan.metrics.table import FUNCTIONS
from pytest_medgan.metrics.threads import run_tasks
from pytest_medgan.records import Cause, Contribution, Estimate, Evidence, Float32

PRD = frozenset({"precision", "recall"})
OWN = frozenset({"kid", "improved_recall"})
CROSS = OWN | {"improved_precision", "density", "coverage"}
PIXELS = frozenset({"copy_rate", "duplicate_rate", "ms_ssim", "memorised_rate", "implausible_rate"})


@dataclass(frozen=True)
class Battery:
    """The result of every requested metric: an estimate, or the cause why it could not be measured."""

    estimates: Mapping[str, Estimate]
    causes: Mapping[str, Cause] = field(default_factory=dict)  # why a metric was not measured
    evidence: Evidence = field(default_factory=Evidence)
    contributions: Mapping[str, Contribution] = field(default_factory=dict)  # contribution of each image

    @property
    def unmeasured(self) -> Mapping[str, str]:
        """Why a metric was not measured, in words."""
        return {name: cause.words for name, cause in self.causes.items()}


def measure(
    reference: Reference,
    *,
    fake: Any,
    probabilities: Any = None,
    pixels: Any = None,
    maps: Any = None,
    fake_groups: Any = None,
    metrics: Iterable[str] = NAMES,
    custom: Sequence[CustomMetric] = (),
    evidence: bool = False,
    contributions: bool = False,
    seed: int = 0,
    strict: bool = False,
) -> Battery:
    """Measure a generated set against a prepared reference.

    Args:
        reference: What `prepare_reference` returned.
        fake: Generated features [M,D], array or tensor of numbers, M at least 2.
        probabilities: Class probabilities of the same images [M,C], rows sum to 1.
        pixels: The same images, uint8 [M,C,H,W].
        maps: What the reference's heads look at, of the same images [M,D2]; None: the features.
        fake_groups: The group of every image, [M], where images are not independent, as the slices of one patient are
            when real images are measured; both errors then redraw whole groups.
        metrics: Names of the metrics to compute; no others are computed.
        custom: Metrics that the user defines.
        evidence: Also gather what pictures and explanations need.
        contributions: Also return what each image contributes to each metric.
        seed: Seed of clusters, parts and pairs, at least 0.
        strict: Exclude the surface of balls, as prdc does.

    Returns:
        Estimates by name in the catalogue's order, and the causes of those that could not be measured.

    Raises:
        MetricInputError: An argument has another shape or value.

    Examples:
        >>> import numpy as np
        >>> real, fake = np.random.default_rng(0).standard_normal((2, 200, 8))
        >>> battery = measure(prepare_reference(real), fake=fake, metrics=["density", "ms_ssim"])
        >>> round(battery.estimates["density"].value), battery.unmeasured["ms_ssim"]
        (1, "needs the images' pixels, and only features were given")
    """
    asked = ordered(inputs.names(metrics))
    generated = inputs.features(fake, "fake", least=2, width=reference.points.raw.shape[1])
    generated = generated.to(reference.points.raw.device)
    if probabilities is not None:
        probabilities = inputs.probabilities(probabilities)
        _check_count("probabilities", len(probabilities), len(generated))
    if pixels is not None:
        pixels = inputs.pixels(pixels, "pixels", like=reference.image_shape)
        _check_count("pixels", len(pixels), len(generated))
    causes = {name: Cause.NOT_PREPARED for name in asked if name not in reference.metrics}
    causes |= {name: Cause.NO_SUCH_METRIC for name in asked if name not in FUNCTIONS}
    ready, narrow = points(generated, reference.centre), reference.first_columns(generated)
    look = Look(
        reference=reference,
        fake=ready,
        fake_ball_points=ready if narrow is generated else points(narrow, reference.centre[: narrow.shape[1]]),
        metrics=tuple(name for name in asked if name not in causes),
        probabilities=probabilities,
        pixels=pixels,
        maps=_read_maps(maps, generated, reference),
        fake_group=None if fake_groups is None else inputs.group_numbers(fake_groups, len(generated), "fake_groups"),
        seed=inputs.whole(seed, "seed", least=0),
        evidence=evidence,
        strict=strict,
    )
    measured = _measure_all(look)
    causes |= {name: found for name, found in measured.items() if isinstance(found, Cause)}
    estimates = {name: found for name, found in measured.items() if isinstance(found, Estimate)}
    contributed = _contributions(estimates, look) if contributions else {}
    found_evidence = gather_evidence(look, estimates) if evidence else Evidence()
    estimates |= {each.metric.name: custom_estimate(each, look) for each in custom}
    return Battery(
        MappingProxyType(estimates),
        MappingProxyType({name: causes[name] for name in asked if name in causes}),
        found_evidence,
        MappingProxyType(contributed),
    )


def _contributions(names: Iterable[str], look: Look) -> dict[str, Contribution]:
    """Return what each image, or each group of images drawn together, contributes to each metric."""
    found = {name: FUNCTIONS[name].contribution(look) for name in names}
    if look.fake_group is None:
        return found
    grouped = {name: contribution_by_group(name, each, look.fake_group) for name, each in found.items()}
    return {name: each for name, each in grouped.items() if each is not None}


def _read_maps(maps: Any, features: torch.Tensor, reference: Reference) -> Float32 | None:
    """Return what the heads look at, float32 [M,D]; None where there are no heads."""
    if reference.heads is None:
        return None
    width = reference.heads.weights.shape[1]
    rows = inputs.features(features if maps is None else maps, "maps", width=width).cpu().numpy()
    _check_count("maps", len(rows), len(features))
    return np.asarray(rows, np.float32)


def _check_count(name: str, found: int, images: int) -> None:
    """Raise MetricInputError where an argument does not have one row per image."""
    if found != images:
        raise MetricInputError(f"{name} has {found} rows but fake has {images}; give one row per image in both")


def _measure_all(look: Look) -> dict[str, Estimate | Cause]:
    """Return every metric's estimate or cause.

    Where several kinds of long work are asked for, two tasks run at a time. The longest come first, so that both end
    at about the same time: k-means, the generated set's own products, the Frechet distance, the cross products.
    """
    asked, found = set(look.metrics), dict[str, Estimate | Cause]()

    def measure_one(name: str) -> None:
        found[name] = _measure_one(name, look)

    def prepare(shared: Callable[[Look], object]) -> None:
        with suppress(NotMeasuredError):  # the metric itself reports the cause
            look.keep(shared)

    tasks = [partial(prepare, clustered)] if asked & PRD else []
    tasks += [partial(prepare, own)] if asked & OWN else []
    tasks += [partial(measure_one, "fid")] if "fid" in asked else []
    tasks += [partial(prepare, cross)] if asked & CROSS else []
    tasks += [partial(measure_one, name) for name in look.metrics if name != "fid"]
    kinds = (PRD, CROSS, PIXELS, {"fid"}, {"authenticity"})  # kinds of long work that share no result
    if sum(bool(asked & kind) for kind in kinds) > 1:
        run_tasks(tasks, look.fake.rows.device)
    else:
        for task in tasks:
            task()
    return {name: found[name] for name in look.metrics}


def _measure_one(name: str, look: Look) -> Estimate | Cause:
    """Return a metric's estimate, or the cause why it has none."""
    try:
        found = FUNCTIONS[name].estimate(look)
    except NotMeasuredError as error:
        return error.cause
    return found if isfinite(found.value) else Cause.NOT_FINITE


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
    ball_dimensions: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return every metric that the given arrays allow.

    Args:
        real: Real features [N,D], array or tensor of numbers, N at least 2.
        fake: Generated features [M,D], M at least 2.
        train: Features of the generator's training images [T,D].
        probabilities: Class probabilities of the generated images [M,C], rows sum to 1.
        real_pixels: Real images, uint8 [N,C,H,W].
        fake_pixels: Generated images, uint8 [M,C,H,W].
        train_pixels: Training images, uint8 [T,C,H,W].
        window: (HU of grey 0, HU of grey 255), ascending.
        metrics: Names of the metrics to compute.
        ball_dimensions: Number of leading columns in which neighbours are searched for; None means all.
        seed: Seed of clusters, parts and pairs, at least 0.

    Returns:
        Values by name, in the catalogue's order.

    Raises:
        MetricInputError: An argument has another shape or value, or a metric is unknown.

    Examples:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).standard_normal((100, 4))
        >>> scores = score_features(real=real, fake=real, metrics=["fid", "improved_precision", "improved_recall"])
        >>> {name: round(value, 6) for name, value in scores.items()}
        {'fid': 0.0, 'improved_precision': 1.0, 'improved_recall': 1.0}
    """
    inputs.pair(real, fake, least=2)
    asked = inputs.names(metrics)
    if unknown := [name for name in asked if name not in NAMES]:
        raise MetricInputError(f"metrics contains unknown names: {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    reference = prepare_reference(
        real,
        pixels=real_pixels,
        train=train,
        train_pixels=train_pixels,
        window=window,
        metrics=asked,
        ball_dimensions=ball_dimensions,
    )
    battery = measure(reference, fake=fake, probabilities=probabilities, pixels=fake_pixels, metrics=asked, seed=seed)
    return {name: battery.estimates[name].value for name in ordered(battery.estimates)}
