"""Which loss a comparison will see, told from the row alone: it must not change with the candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.difference import Difference, expected_difference
from pytest_medgan.gate.power import describe_power, images_needed, room_for_loss
from pytest_medgan.gate.risks import Question, Settings, criticals
from pytest_medgan.gate.spread import Prior
from pytest_medgan.records import Entry, Outcome, Score, Verdict, VerdictCause


@dataclass(frozen=True)
class Sight:
    """What a comparison can see at the full count."""

    n: int  # images per sample group
    sees: float  # loss in metric units that is turned red in 98 of 100 candidates; nan where it is not known
    between: float = 0.0  # the part of it that is due to training runs
    full_se: float = math.nan  # standard error of this candidate's difference, as far as its look can tell


def sight_of_auto(
    metric: Metric,
    at_look: tuple[int, Score, Prior | None],
    at_full: tuple[int, Score, Prior | None],
    *,
    settings: Settings,
    question: Question,
    seen: Difference,
    paired: bool = False,
) -> Sight:
    """Return what a comparison with margin `auto` can see.

    Args:
        metric: The metric.
        at_look: Count, the row's score and what its metrics' runs have in common, at the look.
        at_full: The same at the full count.
        settings: The risks.
        question: Which of them apply.
        seen: The candidate's difference at the look.
        paired: Whether that is image by image, so that the row says nothing about its error.
    """
    (n, base, prior), (full, base_full, prior_full) = at_look, at_full
    runs = question.runs
    here = expected_difference(metric, base, n, prior, runs)
    there = expected_difference(metric, base_full, full, prior_full, runs)
    shrinks = there.error.se / here.error.se if here.error.se > 0 and not paired else math.sqrt(n / full)
    full_se = seen.error.se * shrinks if n < full else seen.error.se
    tells = not paired and (there.run_sd is not None or seen.run_sd is None)
    error = there.error if tells else replace(seen.error, se=full_se)
    critical = criticals(settings, question, error)
    multiple = critical.alarm + critical.accept
    return Sight(full, multiple * error.se, multiple * (there.between if tells else seen.between), full_se)


def checked(verdict: Verdict, sight: Sight, value: float, entry: Entry) -> Verdict:
    """Return the verdict, BLIND where it is green and a loss that matters could not have been seen.

    Args:
        verdict: What was compared.
        sight: What the comparison can see.
        value: The row's value at the full count.
        entry: The row's entry.
    """
    if math.isnan(sight.sees):  # not known; infinite is known, and sees nothing
        return verdict
    verdict = replace(verdict, sees=sight.sees, power=describe_power(verdict.metric, value, sight.sees))
    room = room_for_loss(verdict.metric, value, entry.real)
    if not verdict.outcome.green or sight.sees <= room:
        return verdict
    needed = images_needed(sight.n, sight.sees, room, sight.between)
    cause = VerdictCause.FEW_RUNS if needed is None and sight.between > 0 else VerdictCause.FEW_IMAGES
    return replace(verdict, outcome=Outcome.BLIND, cause=cause, needed_images=needed)
