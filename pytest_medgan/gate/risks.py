"""How often a gate may be wrong, and the critical values that follow.

`promise`: an unchanged checkpoint, drawn afresh, passes all metrics together with at least this probability.
`recipe_risk`: an unchanged recipe, trained anew, is turned red with at most this probability. A single run that lies
beyond what `first_risk` allows is not failed yet: two more are asked for and the mean of three is judged, unless it
lies so far off that an unchanged checkpoint would not get there either.
`miss`: a model that is worse by the margin passes with at most this probability; the margin is what a gate sees.

Each risk to an unchanged model is shared by the metrics (Bonferroni, valid under any dependence and for a single
helper). A row that has an anchor shares it with the anchor, which takes most of it: the anchor is what stops many small
losses, and a single large loss is seen by both. The risk of a miss is shared by the looks alone: a gate passes only
when every metric passes, so one metric that keeps its promise keeps it for all of them (an intersection-union test;
Berger 1982). Where the spread of training runs counts it is not shared: that spread is the same at every look, so the
looks agree or err together.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.uncertainty import Error

ANCHOR_PART = 0.75  # of the risk to an unchanged model; the comparison with the row has the rest


@dataclass(frozen=True)
class Settings:
    """Everything that a gate can be told. The defaults were fixed before the trust benchmark was run."""

    promise: float = 0.998  # probability that an unchanged checkpoint passes, over all metrics together
    recipe_risk: float = 0.02  # probability that an unchanged recipe is turned red, over all metrics together
    first_risk: float = 0.10  # probability that its first run asks for two more
    miss: float = 0.02  # probability that a model that is worse by the margin passes, over all looks together
    metrics: int = len(METRICS)  # metrics that share the risks to an unchanged model


DEFAULT = Settings()


@dataclass(frozen=True)
class Question:
    """Which risks apply to one comparison."""

    looks: int = 1  # looks that share the risk of a miss
    recipe: bool = False  # the spread of training runs is known and counts
    runs: int = 1  # training runs of the candidate
    both_sides: bool = False  # better is a fault as well
    risk_part: float = 1.0  # of the risk to an unchanged model; row and anchor share it


@dataclass(frozen=True)
class Criticals:
    """Multiples of the error of a loss."""

    alarm: float  # losses up to here are accepted at the full count
    certain: float  # losses beyond here are a failure; between the two, more training runs decide
    accept: float  # a loss that lies so far below the margin is accepted
    reject: float  # a loss that lies so far beyond the margin is a failure, at whatever look


def criticals(settings: Settings, question: Question, error: Error) -> Criticals:
    """Return the critical values for an error of a difference."""
    shares = settings.metrics * (1 + question.both_sides) / question.risk_part
    fresh = (1.0 - settings.promise) / shares
    if not question.recipe:
        alarm = certain = fresh
    elif question.runs == 1:
        alarm, certain = settings.first_risk / shares, fresh
    else:
        alarm = certain = settings.recipe_risk / shares
    return Criticals(
        alarm=error.quantile(alarm),
        certain=error.quantile(certain),
        accept=error.quantile(settings.miss / (1 if question.recipe else question.looks)),
        reject=error.quantile(min(certain, fresh) / question.looks),
    )
