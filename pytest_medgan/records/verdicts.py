"""How a comparison ended, why, and the numbers that led there."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pytest_medgan.catalogue import Metric
from pytest_medgan.records.scores import Score


class Outcome(enum.StrEnum):
    """How a comparison ended. Only PASS and STALE are green."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    INCOMPARABLE = "INCOMPARABLE"
    MISSING = "MISSING"
    STALE = "STALE"  # better by more than chance: the baseline should be renewed
    BLIND = "BLIND"  # a loss that matters could not be seen

    @property
    def green(self) -> bool:
        """Whether the comparison passed."""
        return self in (Outcome.PASS, Outcome.STALE)


class Change(enum.StrEnum):
    """What was changed between the baseline and the candidate."""

    CHECKPOINT = "checkpoint"  # the same weights in another form: any visible difference is a fault
    RECIPE = "recipe"  # trained anew: differences between training runs are expected


class VerdictCause(enum.StrEnum):
    """Why a comparison ended as it did. Code reads this; the words beside it are for people."""

    NONE = ""
    WORSE = "worse"  # worse by more than the margin
    RECIPE_WORSE = "recipe_worse"  # worse than training runs of one recipe differ
    ONE_RUN = "one_run"  # two checkpoints differ, and one run cannot tell whether the recipe became worse
    MORE_RUNS = "more_runs"  # a single run is suspicious: two more are needed
    DIFFERENT = "different"  # a change of form alone changed the images
    DRIFT = "drift"  # worse than the anchor, though not than the last row
    BETTER = "better"  # better by more than chance
    WITHIN_CHANCE = "within_chance"  # the margin could be neither kept nor broken for certain
    MORE_IMAGES = "more_images"  # the look cannot decide
    WRONG_SIDE = "wrong_side"  # beyond a limit without margin
    NOT_CERTAIN = "not_certain"  # within a limit, though not with the confidence asked for
    NO_ERROR = "no_error"  # it has no standard error
    NOT_FINITE = "not_finite"  # a value is not a number
    FEW_IMAGES = "few_images"  # blind: more images are needed
    FEW_RUNS = "few_runs"  # blind: more training runs are needed
    CANNOT_FAIL = "cannot_fail"  # the limit is the worst value that the metric can take
    STOPPED = "stopped"  # left open, since another metric had ended the gate
    NO_ROW = "no_row"  # no baseline row, or it does not have this metric
    NOT_MEASURED = "not_measured"
    OTHER_CONDITIONS = "other_conditions"  # the fingerprints differ
    NO_FINGERPRINT = "no_fingerprint"  # fingerprint or canary is absent from the baseline
    UNSEALED = "unsealed"  # the row has no seal
    SEAL_BROKEN = "seal_broken"  # the row was changed after it was sealed
    OTHER_REVISION = "other_revision"  # the metric's code has changed since
    NO_COUNT = "no_count"  # no look in common
    NO_REAL_ROW = "no_real_row"  # the margin needs a Real row
    WHICH_RUN = "which_run"  # a change of form, and the row holds several runs
    PUBLISHED = "published"  # figures that were measured elsewhere
    NO_SAMPLE = "no_sample"  # the images are no sample of a generator (seed ignored, constant, handed back)


@dataclass(frozen=True)
class Verdict:
    """What was compared and what came of it."""

    metric: Metric
    outcome: Outcome
    origin: str  # where the limit came from, file:line
    cause: VerdictCause = VerdictCause.NONE
    reason: str = ""  # one line: why it is not PASS, or what to renew
    row: str | None = None
    measured: Score | None = None  # at the deciding look; None when nothing was measured
    n_fake: int | None = None  # images per sample group at the deciding look
    limit: float | None = None  # the limit's own value at that count
    margin: float | None = None  # in metric units, on the worse side of the limit; of auto the loss that is seen
    loss: float | None = None  # how much worse than the limit; negative is better
    loss_se: float | None = None  # standard error of the loss: both sides, and training runs where they count
    critical: float | None = None  # multiple of loss_se that the look asked for
    run_sd: float | None = None  # standard deviation of one training run's value; None where it is not known
    sees: float | None = None  # loss in metric units that is turned red in 98 of 100 candidates, at the full count
    power: str = ""  # the same in words, such as "sees a loss of 12% (98 of 100)"
    needed_margin: float | None = None  # undecided: the margin that would have passed
    needed_images: int | None = None  # blind: images per sample group that would be enough
    anchor: float | None = None  # the anchor's value, where it is not the row itself
    looks: tuple[int, ...] = ()  # the counts looked at
    real: float | None = None  # the Real row's value at that count
    change: Change | None = None  # what the comparison was made for; None for a plain number
    row_runs: int = 1  # training runs in the row
    runs: int = 1  # training runs of the candidate
    allowed: float | None = None  # the largest loss that passes at the full count; None: the margin
    forgiven: bool = False  # blind, and other metrics of the same test see what it cannot: it fails nothing
    volumes: int = 0  # volumes per sample group that the images are slices of; 0: every image was drawn by itself

    @property
    def bound(self) -> float | None:
        """The worst value that passes at the full count; None without a limit."""
        if self.limit is None:
            return None
        allowed = (self.margin if self.allowed is None else self.allowed) or 0.0
        return self.limit - allowed if self.metric.higher_is_better else self.limit + allowed

    @property
    def cannot_fail(self) -> bool:
        """Whether no value of the metric lies beyond the bound."""
        if self.bound is None:
            return False
        metric = self.metric
        return self.bound <= metric.low if metric.higher_is_better else self.bound >= metric.high
