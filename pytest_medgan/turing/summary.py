"""The scores of a reader study as the lines of a terminal."""

from __future__ import annotations

import math

from pytest_medgan.turing.score import ReaderScore, TuringScore


def summary_lines(score: TuringScore) -> list[str]:
    head = f"{'reader':<20} {'accuracy':>8}  {'95% interval':<15} {'sensitivity':>11} {'specificity':>11} {'area':>6} "
    rows = [*score.readers, score.pooled] if len(score.readers) > 1 else list(score.readers)
    lines = [f"{head}{'answers':>8} {'seconds':>8}", *map(_line, rows)]
    if len(score.readers) > 1:
        lines.append(f"agreement (Fleiss' kappa): {_shown(score.fleiss)}")
        lines += [f"agreement of {a} and {b} (Cohen's kappa): {_shown(k)}" for (a, b), k in score.cohen.items()]
    lines.append("Sensitivity: generated images called generated. Specificity: real ones called real. Guessing: 0.5.")
    return lines


def _line(score: ReaderScore) -> str:
    low, high = score.interval
    return (
        f"{score.reader:<20.20} {score.accuracy:>8.3f}  {f'{low:.3f} to {high:.3f}':<15} "
        f"{_shown(score.sensitivity):>11} {_shown(score.specificity):>11} {_shown(score.area):>6} "
        f"{score.answered:>8} {score.seconds:>8.1f}"
    )


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
