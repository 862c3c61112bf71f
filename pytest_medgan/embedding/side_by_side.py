"""Compare how two feature spaces rank models. Where they disagree, no single score should decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import hypot

BEYOND_CHANCE = 2.0  # standard errors of a difference between two models


@dataclass(frozen=True)
class Disagreement:
    """Two models that two feature spaces rank differently."""

    metric: str
    better_under_first: str  # model
    better_under_second: str  # model
    clear: bool = True  # under both the models differ by more than chance explains

    def __str__(self) -> str:
        doubt = "" if self.clear else " (by no more than chance explains)"
        return (
            f"{self.metric}: the first feature space prefers {self.better_under_first}, "
            f"the second {self.better_under_second}{doubt}"
        )


def ranking_disagreements(
    metric: str,
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    higher_is_better: bool,
    errors: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}),
) -> tuple[Disagreement, ...]:
    """Return the pairs of models that two feature spaces rank differently; a tie disagrees with nothing.

    Args:
        metric: The metric's name.
        first: Model -> value in the first space. Models that only one space has are left out, NaN values too.
        second: Model -> value in the second space.
        higher_is_better: The metric's direction.
        errors: Model -> standard error, in either space; a model without one has an error of zero.
    """
    sign = 1.0 if higher_is_better else -1.0
    models = [name for name in first if name in second]
    found = []
    for a, b in combinations(models, 2):
        gaps = [sign * (values[a] - values[b]) for values in (first, second)]
        if gaps[0] * gaps[1] < 0:
            chance = [BEYOND_CHANCE * hypot(known.get(a, 0.0), known.get(b, 0.0)) for known in errors]
            clear = all(abs(gap) > error for gap, error in zip(gaps, chance, strict=True))
            found.append(Disagreement(metric, *((a, b) if gaps[0] > 0 else (b, a)), clear))
    return tuple(found)
