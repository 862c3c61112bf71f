"""Two feature spaces side by side: where they disagree about which model is better, no single score should decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Disagreement:
    """Two models that two feature spaces rank differently."""

    metric: str
    better_under_first: str  # model
    better_under_second: str  # model

    def __str__(self) -> str:
        return (
            f"{self.metric}: the first feature space prefers {self.better_under_first}, "
            f"the second {self.better_under_second}"
        )


def ranking_disagreements(
    metric: str, first: Mapping[str, float], second: Mapping[str, float], *, higher_is_better: bool
) -> tuple[Disagreement, ...]:
    """The pairs of models that the two feature spaces rank differently; ties disagree with nothing.

    first, second: model -> value of the metric in one feature space; models that only one of them has are left out, and
    so are values that are NaN.
    """
    sign = 1.0 if higher_is_better else -1.0
    models = [name for name in first if name in second]
    found = []
    for a, b in combinations(models, 2):
        under_first, under_second = sign * (first[a] - first[b]), sign * (second[a] - second[b])
        if under_first * under_second < 0:
            found.append(Disagreement(metric, *((a, b) if under_first > 0 else (b, a))))
    return tuple(found)
