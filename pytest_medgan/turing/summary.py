"""The scores of a reader study as lines of text."""

from __future__ import annotations

import math

from pytest_medgan.turing.score import ReaderScore, TuringScore

LEGEND = "Sensitivity: generated images called generated. Specificity: real images called real. Guessing gives 0.5."


def summary_lines(score: TuringScore) -> list[str]:
    """Return the table of readers, their agreement and a legend.

    Args:
        score: The scores of a study.

    Returns:
        Lines of at most 99 characters, apart from the names of readers in the lines on agreement.
    """
    head = f"{'reader':<20} {'accuracy':>8}  {'95% interval':<15} {'sensitivity':>11} {'specificity':>11} {'area':>6} "
    several = len(score.readers) > 1
    rows = [*score.readers, score.pooled] if several else list(score.readers)
    lines = [f"{head}{'answers':>8} {'seconds':>8}", *map(_line, rows)]
    if several:
        lines.append(f"agreement of all readers (Fleiss' kappa): {_number(score.fleiss)}")
        lines += [f"agreement of {a} and {b} (Cohen's kappa): {_number(k)}" for (a, b), k in score.cohen.items()]
    return [*lines, LEGEND]


def _line(score: ReaderScore) -> str:
    """Return one reader's line of the table."""
    low, high = score.interval
    return (
        f"{score.reader:<20.20} {score.accuracy:>8.3f}  {f'{low:.3f} to {high:.3f}':<15} "
        f"{_number(score.sensitivity):>11} {_number(score.specificity):>11} {_number(score.area):>6} "
        f"{score.answered:>8} {score.seconds:>8.1f}"
    )


def _number(value: float) -> str:
    """Return three decimals, or a dash for a number that could not be computed."""
    return "–" if math.isnan(value) else f"{value:.3f}"
