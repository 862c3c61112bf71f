"""Measured metrics: of one sample group, of a look, and image by image."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.records.arrays import Float64
from pytest_medgan.records.fingerprint import Fingerprint


@dataclass(frozen=True)
class Estimate:
    """One metric on one sample group."""

    value: float
    se: float  # standard error with the reference held fixed: what a gate compares with
    se_total: float  # standard error with both sides redrawn, patients as blocks
    freedom: float = math.inf  # degrees of freedom of `se`, where few independent pairs or blocks carry it


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
class Score:
    """One metric of one model at one count: measured now, kept in a baseline row, or a plain number."""

    mean: float  # over the sample groups, and over the training runs where there are several
    se: float = 0.0  # standard error of the mean, reference held fixed; 0 where none is known
    sd: float = math.nan  # over the sample groups, or over the training runs, ddof=1; nan for a single one
    se_total: float = 0.0  # standard error of the mean, both sides redrawn
    groups: int = 1  # sample groups
    values: tuple[float, ...] = ()  # one per sample group, where kept
    freedom: float = math.inf  # degrees of freedom of `se`
    runs: tuple[Score, ...] = ()  # one per training run, where there are several

    def mapped(self, function: Callable[[float], float], scale: float) -> Score:
        """Return the score with every value mapped by a linear function whose slope has the size `scale`."""
        return replace(
            self,
            mean=function(self.mean),
            se=self.se * scale,
            sd=self.sd * scale,
            se_total=self.se_total * scale,
            values=tuple(map(function, self.values)),
            runs=tuple(run.mapped(function, scale) for run in self.runs),
        )

    def each_run(self) -> tuple[Score, ...]:
        """Return the score of each training run; the score itself where there is one."""
        return self.runs or (self,)


def mean_of_runs(runs: Sequence[Score]) -> Score:
    """Return the mean of several training runs of one recipe; the run itself where there is one.

    Errors of sampling are independent between runs; what the runs share in `se_total`, the reference, is not.
    """
    if len(runs) == 1:
        return runs[0]
    count = len(runs)
    mean = math.fsum(run.mean for run in runs) / count
    squares = math.fsum((run.mean - mean) ** 2 for run in runs) if math.isfinite(mean) else math.nan
    sampling = math.fsum(run.se**2 for run in runs)
    shared = max(math.fsum(run.se_total**2 - run.se**2 for run in runs) / count, 0.0)
    spent = math.fsum(run.se**4 / run.freedom for run in runs)
    return Score(
        mean=mean,
        se=math.sqrt(sampling) / count,
        sd=math.sqrt(squares / (count - 1)),
        se_total=math.sqrt(shared + sampling / count**2),
        groups=runs[0].groups,
        freedom=sampling**2 / spent if spent > 0 else math.inf,
        runs=tuple(runs),
    )


class Suspicion(enum.StrEnum):
    """What makes generated images no sample of a generator; said in words by the gate."""

    SEED_IGNORED = "seed_ignored"  # sample groups of different latent seeds hold the same images
    SEEDS_OVERLAP = "seeds_overlap"  # they hold the same images in other places, as with seed + index
    CONSTANT = "constant"  # every image is the same
    NEARLY_CONSTANT = "nearly_constant"  # the images differ by less than noise
    BLANK = "blank"  # images of a single grey level, more of them than among the real ones
    REFERENCE_RETURNED = "reference_returned"  # images are, pixel by pixel, reference images
    TRAINING_RETURNED = "training_returned"  # images are, pixel by pixel, training images
    HELD_OUT_RETURNED = "held_out_returned"  # images are, pixel by pixel, held-out images


@dataclass(frozen=True)
class Suspect:
    """One suspicion and the share of the images that it concerns."""

    suspicion: Suspicion
    share: float  # of the images, 0..1


@dataclass(frozen=True)
class Scores:
    """One look: everything measured on `n_fake` images of every sample group."""

    n_real: int  # reference images
    n_fake: int  # images per sample group
    groups: tuple[str, ...]  # the seeds, in order
    metrics: Mapping[str, Score]
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # metric -> why it could not be measured
    fingerprint: Fingerprint | None = None  # what they may be compared with; None where unknown
    suspects: tuple[Suspect, ...] = ()  # why the images are no sample of a generator; empty where they are one
    custom: Mapping[str, Metric] = field(default_factory=dict)  # the project's own metrics among them
    runs: tuple[str, ...] = ()  # identity of each training run, "" where it has none; empty for one run
    volumes: int = 0  # volumes per sample group that the images are slices of; 0: every image was drawn by itself

    def __repr__(self) -> str:
        return f"<scores of {len(self.metrics)} metrics at {self.n_fake} images>"

    def __getitem__(self, name: str) -> Score:
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics

    def metric(self, name: str) -> Metric:
        """Return what is known of a metric without computing it."""
        return METRICS[name] if name in METRICS else self.custom[name]
