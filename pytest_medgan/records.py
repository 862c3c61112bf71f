"""What crosses between the rooms: frozen dataclasses and protocols, with no behaviour but access and
arithmetic on limits.

The middle rooms (ct, gan, embedding, metrics, gate, report) never import one another; they import this.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pytest_medgan.catalogue import Metric

UInt8 = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
Scalar = str | int | float | bool | None

# (what is being done, how much of it is done, how much there is); the one way progress leaves a room
Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """The Progress that shows nothing."""


# ---------------------------------------------------------------------------------------------------------- images


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and what they were made from."""

    pixels: UInt8  # [N,1,H,W], 0..255
    groups: Names  # [N], the patient's pseudonym (real) or the latent seed in decimal (generated)
    recipe: str  # hex digest of what they were made from and how
    labels: npt.NDArray[np.int8] | None = None  # [N], 1 deceased, 0 alive, -1 unknown
    window: tuple[float, float] | None = None  # the HU that 0 and 255 stand for

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: Int64 | slice) -> ImageSet:
        """The images at `index`; the recipe stays, since it names the whole they were taken from."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, pixels=self.pixels[index], groups=self.groups[index], labels=labels)


@dataclass(frozen=True)
class DataSettings:
    """Which real images, and how they are made from studies (the paper, sections 2 and 3.1)."""

    source: str = "phantom"  # a folder or file, or "phantom" / "phantom:PATIENTS" / "phantom:PATIENTSxSLICES"
    split: str = "patient"  # "patient": no patient on two sides; "slice": the paper's random half of all slices
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)  # training, reference, held out (split="patient")
    seed: int = 0  # of the split and of the choice of slices
    crop: str = "auto"  # "tumour", "image", or "auto": tumour where a contour exists for every patient
    crop_size: int = 160  # pixels cut from the 512x512 slice
    size: int = 128  # pixels of the finished image
    window: tuple[float, float] = (-1000.0, 400.0)  # HU of 0 and 255
    slices: int | None = 64  # a patient, around the tumour or the middle; None takes all
    patients: int | None = None  # the first N in PatientID order; None takes all
    histologies: tuple[str, ...] = ()  # only patients of these, by the clinical table; () takes all


@dataclass(frozen=True, eq=False)
class RealSets:
    """The three roles that real images play. Under split="slice", training is reference and held-out together."""

    training: ImageSet
    reference: ImageSet
    held_out: ImageSet
    settings: DataSettings
    digest: str  # hex digest of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...] = ()  # must reach the report; hold no path and no patient identifier
    counts: Mapping[str, int] = field(default_factory=dict)  # files read, skipped by kind, studies, ...


class Generator(Protocol):
    """Anything that draws images: `(count, seed) -> uint8 [N,1,H,W]`, the same call giving the same images.

    A generator may also have
      identity: str            a digest of what it is (weights, configuration, code); without it nothing is cached
      training_recipe: str     the recipe of the ImageSet it was trained on
      sample_range(start, stop, seed) -> uint8 [stop-start,1,H,W]
                               rows start..stop of the endless sequence that `seed` names, so that early looks
                               draw only what they look at; without it the full count is drawn at once
    """

    def __call__(self, count: int, seed: int) -> UInt8: ...


# ------------------------------------------------------------------------------------------------------- embeddings


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of an ImageSet, row for row."""

    features: Float32  # [N,D]
    groups: Names  # [N], as in the ImageSet
    extractor: str  # the extractor's identity
    recipe: str  # the ImageSet's recipe
    probabilities: Float32 | None = None  # [N,C], rows sum to 1

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: Int64 | slice) -> Embeddings:
        probabilities = None if self.probabilities is None else self.probabilities[index]
        return replace(self, features=self.features[index], groups=self.groups[index], probabilities=probabilities)


@runtime_checkable
class Extractor(Protocol):
    """A feature space: uint8 [N,1,H,W] -> float32 [N,D] features and [N,C] probabilities or None."""

    @property
    def identity(self) -> str:
        """Network, weights digest or recipe, layer, preparation: equal identities give comparable features."""

    @property
    def numeric_class(self) -> str:
        """ "float32", "tf32" or "bfloat16": within a class features agree to a known tolerance."""

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]: ...


# ------------------------------------------------------------------------------------------------------------ scores


@dataclass(frozen=True)
class Estimate:
    """One metric on one sample group."""

    value: float
    se: float  # standard error with the reference held fixed: what a gate compares with
    se_total: float  # both sides redrawn, patients as blocks


@dataclass(frozen=True, eq=False)
class Contribution:
    """What every image of a sample group adds to a metric, which is their mean up to a constant, reference fixed."""

    units: Float64  # [U], one an image, a pair or a block of images, by position
    runs: Float64 | None = None  # [R], the metric at each random start, where there are some
    share: float = 1.0  # of the images that the units stand for, where they are a sample of them


@dataclass(frozen=True, eq=False)
class Paired:
    """The accepted model drawn again from the candidate's latents, beside the candidate, at one look."""

    model: str | None  # its identity; None where it has none
    ours: Mapping[str, tuple[Contribution, ...]]  # the candidate's, one a sample group
    theirs: Mapping[str, tuple[Contribution, ...]]  # the accepted model's
    values: Mapping[str, tuple[float, ...]]  # the accepted model's metrics as drawn again, one a sample group


@dataclass(frozen=True)
class MetricScore:
    """One metric at one look, over the sample groups."""

    metric: Metric
    values: tuple[float, ...]  # one a sample group
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
    """One look: everything measured on the first `n_fake` images of every sample group."""

    n_real: int
    n_fake: int  # images a sample group
    groups: tuple[str, ...]  # the seeds, in order
    metrics: Mapping[str, MetricScore]
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # metric -> why it could not be measured
    fingerprint: Fingerprint | None = None  # what they may be compared with; None where nobody said

    def __getitem__(self, name: str) -> MetricScore:
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics


@dataclass(frozen=True)
class Fingerprint:
    """What must agree before two scores may be compared."""

    inputs: Mapping[str, Scalar]  # identities and recipes, never floats computed here; flat, sorted by key
    canary: tuple[float, ...] | None = None  # features of eight canned images, projected; None before embedding
    canary_tolerance: float = 1e-3  # relative to the canary's norm, by numeric class
    environment: Mapping[str, Scalar] = field(default_factory=dict)  # rides along, never blocks

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """What differs, one line each ("key: ours != theirs"); empty when scores may be compared."""
        lines = [
            f"{key}: {self.inputs.get(key, 'absent')} != {other.inputs.get(key, 'absent')}"
            for key in sorted({*self.inputs, *other.inputs})
            if self.inputs.get(key, "absent") != other.inputs.get(key, "absent")
        ]
        if self.canary is not None and other.canary is not None:
            ours, theirs = np.asarray(self.canary, float), np.asarray(other.canary, float)
            tolerance = max(self.canary_tolerance, other.canary_tolerance)
            if ours.shape != theirs.shape:
                lines.append(f"canary: {ours.size} numbers != {theirs.size}")
            else:
                gap = float(np.linalg.norm(ours - theirs))
                scale = float(np.linalg.norm(theirs))
                if not gap <= tolerance * scale:  # NaN must not pass
                    lines.append(f"canary: features differ by {gap / scale if scale else gap:.2e} relative")
        return tuple(lines)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What pictures and explanations need. Arrays concern the first sample group unless said otherwise."""

    fake_in_real: Bool | None = None  # [M], inside the real manifold (improved precision, k=3)
    real_in_fake: Bool | None = None  # [N], inside the generated manifold (improved recall, k=3)
    nearest_real: Int64 | None = None  # [M], index of the nearest reference image
    nearest_real_distance: Float32 | None = None  # [M]
    realism: Float32 | None = None  # [M], max over real balls of radius / distance; < 1 lies outside
    nearest_train: Int64 | None = None  # [M], index of the nearest training image
    nearest_train_distance: Float32 | None = None  # [M]
    copies: Int64 | None = None  # [*,2], (generated, training) pairs that are near-identical in pixels
    duplicates: Int64 | None = None  # [*,2], (generated, generated) pairs that are near-identical
    ks: Int64 | None = None  # [K]
    sweep: Mapping[str, Float64] = field(default_factory=dict)  # metric -> [K], and "real:" + metric for the Real row
    prd_curve: Float64 | None = None  # [angles,2], columns precision, recall
    coordinates: Float32 | None = None  # [P,2], t-SNE of real then generated
    coordinate_is_real: Bool | None = None  # [P]
    coordinate_index: Int64 | None = None  # [P], row in its own set
    histogram_real: Int64 | None = None  # [256], grey levels
    histogram_fake: Int64 | None = None  # [256]
    thumbnails_fake: UInt8 | None = None  # [T,h,w]
    thumbnail_fake_index: Int64 | None = None  # [T]
    thumbnails_real: UInt8 | None = None  # [T,h,w], only where real images were asked for
    thumbnail_real_index: Int64 | None = None  # [T]
    thumbnails_train: UInt8 | None = None  # [T,h,w], training images behind suspected copies, on the same condition
    thumbnail_train_index: Int64 | None = None  # [T]
    thumbnails_baseline: UInt8 | None = None  # [T,h,w], the accepted model's first images, where at hand
    window: tuple[float, float] | None = None  # HU of grey 0 and 255
    ties: int | None = None  # distances exactly equal to a radius


class Evaluation(Protocol):
    """A model's scores, computed when first asked and kept.

    An evaluation may also have
      paired(n) -> Paired | None   the accepted model's images beside its own at that look; None where it was not named
    """

    @property
    def counts(self) -> tuple[int, ...]:
        """The looks it can give: images a sample group, ascending; the last is the full count."""

    @property
    def fingerprint(self) -> Fingerprint: ...

    def at(self, n: int) -> Scores: ...

    def evidence(self) -> Evidence: ...


# ------------------------------------------------------------------------------------------------------------ limits


@dataclass(frozen=True)
class Margin:
    """How much worse than the limit is still no regression."""

    kind: str = "auto"  # "absolute", "relative", "toward_real" (a share of the way to the Real row) or "auto"
    amount: float = 0.0  # auto: the value in metric units, computed when the row was accepted

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:.4g}"


@dataclass(frozen=True)
class LimitValue:
    """A limit at one count."""

    value: float
    se: float = 0.0  # of the value, reference held fixed; 0 for a plain number
    sd: float = 0.0  # over its sample groups
    se_total: float = 0.0
    groups: int = 1  # sample groups it was measured on
    values: tuple[float, ...] = ()  # of each sample group, where kept: what a paired comparison needs


@dataclass(frozen=True)
class Limit:
    """A value per count, with margin and origin. Arithmetic keeps the origin and drops the margin."""

    metric: str
    values: Mapping[int, LimitValue]  # count -> value; {0: ...} is a plain number, which holds at the full count
    origin: str  # "baselines/phantom.yaml:31", or "test_gate.py:12" for a number
    margin: Margin | None = None
    real: Mapping[int, LimitValue] | None = None  # the Real row beside it, for margins toward it
    fingerprint: Fingerprint | None = None  # what a measured score must agree with; None for a plain number
    kind: str = "measured"  # "measured", "published", "number" or "missing" (no such row yet)
    row: str | None = None  # the row it belongs to
    model: str | None = None  # the identity of the model it was measured on, where the row has kept it

    def _map(self, function: Callable[[float], float], scale: float) -> Limit:
        values = {
            n: replace(
                v,
                value=function(v.value),
                se=v.se * scale,
                sd=v.sd * scale,
                se_total=v.se_total * scale,
                values=tuple(map(function, v.values)),
            )
            for n, v in self.values.items()
        }
        return replace(self, values=MappingProxyType(values), margin=None)

    def __mul__(self, factor: float) -> Limit:
        return self._map(lambda v: v * factor, abs(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Limit:
        return self._map(lambda v: v / divisor, 1.0 / abs(divisor))

    def __add__(self, offset: float) -> Limit:
        return self._map(lambda v: v + offset, 1.0)

    __radd__ = __add__

    def __sub__(self, offset: float) -> Limit:
        return self._map(lambda v: v - offset, 1.0)


@dataclass(frozen=True)
class Row:
    """A baseline row: one Limit a metric. `row.fid` and `row["fid"]` are the same."""

    name: str
    limits: Mapping[str, Limit]
    origin: str  # file:line
    kind: str = "measured"  # "measured", "published" or "missing"
    fingerprint: Fingerprint | None = None
    provenance: Mapping[str, Scalar] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Limit:
        return self.limits[metric]

    def __getattr__(self, metric: str) -> Limit:
        if metric.startswith("_"):  # copy and pickle probe for dunders before `limits` exists
            raise AttributeError(metric)
        if metric in self.limits:
            return self.limits[metric]
        if self.kind == "missing":
            return Limit(metric, MappingProxyType({}), self.origin, kind="missing", row=self.name)
        raise AttributeError(f"row {self.name!r} at {self.origin} has no {metric}; it has {', '.join(self.limits)}")


# ----------------------------------------------------------------------------------------------------------- verdicts


class Outcome(enum.StrEnum):
    """How a comparison ended. Only PASS and STALE are green."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    INCOMPARABLE = "INCOMPARABLE"
    MISSING = "MISSING"
    STALE = "STALE"  # so much better that the baseline should be renewed

    @property
    def green(self) -> bool:
        return self in (Outcome.PASS, Outcome.STALE)


@dataclass(frozen=True)
class Verdict:
    """What was compared and what came of it."""

    metric: Metric
    outcome: Outcome
    measured: MetricScore | None  # at the deciding look; None when nothing was measured
    n_fake: int | None  # images a sample group at the deciding look
    limit: float | None  # the limit's own value at that count
    margin: float | None  # in metric units, on the worse side of the limit
    origin: str  # where the limit came from, file:line
    row: str | None = None
    loss: float | None = None  # how much worse than the limit; negative is better
    loss_se: float | None = None  # reference held fixed, the baseline's own included
    critical: float | None = None  # multiple of loss_se that the look asked for
    reason: str = ""  # one line: why it is not PASS, or what to renew
    needed_margin: float | None = None  # undecided: the margin that would have passed
    looks: tuple[int, ...] = ()  # the counts looked at
    real: float | None = None  # the Real row's value at that count

    def as_dict(self) -> dict[str, Any]:
        """Plain data for report.user_properties and JSON."""
        measured = self.measured
        return {
            "metric": self.metric.name,
            "label": self.metric.label,
            "higher_is_better": self.metric.higher_is_better,
            "outcome": str(self.outcome),
            "mean": None if measured is None else measured.mean,
            "sd": None if measured is None else measured.sd,
            "values": None if measured is None else list(measured.values),
            "se": None if measured is None else measured.se,
            "decimals": self.metric.decimals,
            "n_fake": self.n_fake,
            "limit": self.limit,
            "margin": self.margin,
            "origin": self.origin,
            "row": self.row,
            "loss": self.loss,
            "loss_se": self.loss_se,
            "critical": self.critical,
            "reason": self.reason,
            "needed_margin": self.needed_margin,
            "looks": list(self.looks),
            "real": self.real,
        }
