"""Measured metrics: of one sample group, of a look, and image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_medgan.catalogue import Metric
from pytest_medgan.records.arrays import Float64
from pytest_medgan.records.fingerprint import Fingerprint


@dataclass(frozen=True)
class Estimate:
    """One metric on one sample group."""

    value: float
    se: float  # standard error with the reference held fixed: what a gate compares with
    se_total: float  # standard error with both sides redrawn, patients as blocks


@dataclass(frozen=True, eq=False)
class Contribution:
    """What each image of a sample group adds to a metric; the metric is their mean up to a constant."""

    units: Float64  # [U], one per image, pair or block of images, by position
    runs: Float64 | None = None  # [R], the metric at each random start, where there are some
    share: float = 1.0  # share of the images that the units stand for, where they are a sample


@dataclass(frozen=True, eq=False)
class Paired:
    """The accepted model, drawn again from the candidate's latents, and the candidate at one look."""

    model: str | None  # the accepted model's identity; None where it has none
    ours: Mapping[str, tuple[Contribution, ...]]  # the candidate's, one per sample group
    theirs: Mapping[str, tuple[Contribution, ...]]  # the accepted model's
    values: Mapping[str, tuple[float, ...]]  # the accepted model's metrics as drawn again, one per sample group


@dataclass(frozen=True)
class MetricScore:
    """One metric at one look, over the sample groups."""

    metric: Metric
    values: tuple[float, ...]  # one per sample group
    mean: float
    sd: float  # over the groups, ddof=1; nan for a single group
    se: float  # of the mean, reference held fixed
    se_total: float  # of the mean, both sides redrawn

    def __str__(self) -> str:
        d = self.metric.decimals
        spread = f" ± {self.sd:.{d}f}" if len(self.values) > 1 else ""
        return f"{self.mean:.{d}f}{spread}"


@dataclass(frozen=True)
class Scores:
    """One look: everything measured on `n_fake` images of every sample group."""

    n_real: int  # reference images
    n_fake: int  # images per sample group
    groups: tuple[str, ...]  # the seeds, in order
    metrics: Mapping[str, MetricScore]
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # metric -> why it could not be measured
    fingerprint: Fingerprint | None = None  # what they may be compared with; None where unknown

    def __getitem__(self, name: str) -> MetricScore:
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics
