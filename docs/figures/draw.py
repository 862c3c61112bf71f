"""Draw the pictures of the concepts from the package's own functions: `python docs/figures/draw.py [FOLDER]`.

Everything is simulated with fixed seeds. Losses are in standard errors of sampling, so that no data set is needed.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.anchors import updated
from pytest_medgan.gate.power import room_for_loss
from pytest_medgan.gate.risks import ANCHOR_PART
from pytest_medgan.gate.spread import fit_prior

TEAL, RED, GREY, AMBER = "#00796b", "#c62828", "#757575", "#b26a00"
ALL = 14  # metrics that share a risk
FRESH = float(stats.norm.isf(0.002 / ALL))  # multiple of the error for an unchanged checkpoint
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medgan",
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def main(folder: Path) -> None:
    """Write runs.svg, power.svg and anchors.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, draw in (("runs", runs), ("power", power), ("anchors", anchors)):
            figure = draw()
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


# ---------------------------------------------------------------------------------------------------------------- runs


def runs() -> plt.Figure:
    """Nine runs of one recipe, and how often an unchanged recipe is turned red."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    values = 7 * np.random.default_rng(4).normal(size=9)
    values -= values[0]
    left.errorbar(range(1, 10), values, yerr=2, fmt="o", color=TEAL, capsize=3)
    left.axhspan(-40, FRESH * math.sqrt(2), color=TEAL, alpha=0.10, lw=0)
    left.axhline(FRESH * math.sqrt(2), color=TEAL, lw=1)
    words = "above this line: red, by sampling\nerrors alone, although nothing\nwas changed"
    left.annotate(
        words, (6.9, FRESH * math.sqrt(2)), (4.7, 11.5), color=RED, arrowprops={"arrowstyle": "-", "color": RED}
    )
    left.set(xlabel="training run of one unchanged recipe", ylabel="loss against run 1\n(sampling errors)")
    left.set(xticks=range(1, 10), ylim=(values.min() - 5, values.max() + 5))
    left.set_title("One recipe, nine training seeds", loc="left")

    ratios = np.array([0, 0.5, 1, 2, 3, 5, 7, 10])
    alone = [1 - (1 - stats.norm.sf(FRESH / math.sqrt(1 + r * r))) ** ALL for r in np.linspace(0, 10, 101)]
    right.plot(np.linspace(0, 10, 101), 100 * np.array(alone), color=RED, label="row of one run, sampling errors alone")
    for count, colour in ((3, AMBER), (5, TEAL)):
        red = [100 * share_red(float(r), count) for r in ratios]
        right.plot(ratios, red, "o-", ms=4, color=colour, label=f"row of {count} runs")
    right.axhline(2, color=GREY, lw=1, ls=":")
    right.text(10, 3.5, "promised: 2%", color=GREY, ha="right")
    right.set(
        xlabel="spread between training runs / sampling error", ylabel="unchanged recipe is red (%)", ylim=(0, 100)
    )
    right.set_title("What a row of several runs is for", loc="left")
    right.legend(frameon=False, loc="center right", bbox_to_anchor=(1.04, 0.42), fontsize=9)
    figure.tight_layout()
    return figure


def share_red(ratio: float, row_runs: int, trials: int = 1000) -> float:
    """Return how often three new runs of an unchanged recipe are red against a row of `row_runs` runs.

    Args:
        ratio: Standard deviation between training runs over the sampling error, the same for all metrics on average.
        row_runs: Training runs in the row.
        trials: Gates to simulate.
    """
    rng = np.random.default_rng(row_runs)
    red = 0
    for _ in range(trials):
        spread = ratio * np.exp(0.4 * rng.normal(size=ALL))  # metrics differ in how much runs matter to them
        sd = np.sqrt(1 + spread**2)
        row = rng.normal(size=(row_runs, ALL)) * sd
        candidate = (rng.normal(size=(3, ALL)) * sd).mean(0)
        found = row.var(0, ddof=1)  # in units of the sampling variance, which is 1
        prior = fit_prior(found.tolist(), row_runs - 1)
        moderated = [prior.moderate(float(one), row_runs - 1) for one in found]
        critical = stats.t.isf(0.02 / ALL, [one.freedom for one in moderated])
        error = np.sqrt([one.ratio * (1 / row_runs + 1 / 3) for one in moderated])
        red += bool((candidate - row.mean(0) > critical * error).any())
    return red / trials


# --------------------------------------------------------------------------------------------------------------- power


def power() -> plt.Figure:
    """How likely a loss of FID is to be caught, by the number of images."""
    figure, axis = plt.subplots(figsize=(10, 3.8))
    loss = np.linspace(0, 100, 401)
    room = 100 * room_for_loss(METRICS["fid"], 1.0)
    for n, colour in ((64, RED), (256, AMBER), (1024, TEAL)):
        error = 14 * math.sqrt(64 / n)  # percent of the value, for row and candidate together
        sees = (FRESH + float(stats.norm.isf(0.02))) * error
        words = f"{n:,} images: sees {sees:.0f}%" + (", so it is BLIND" if sees > room else "")
        axis.plot(loss, 100 * stats.norm.sf(FRESH - loss / error), color=colour, lw=2, label=words)
        axis.plot([sees], [98], "o", color=colour)
    axis.axvspan(room, 100, color=RED, alpha=0.07, lw=0)
    axis.text(99, 5, "more than half of the value:\na gate that only sees this is no test", ha="right", color=RED)
    axis.set(
        xlabel="true loss of the candidate (% of the row's FID)", ylabel="gate is red (%)", ylim=(0, 103), xlim=(0, 100)
    )
    axis.axhline(98, color=GREY, lw=1, ls=":")
    axis.text(1, 92, "98 of 100", color=GREY)
    axis.set_title("What a comparison can see", loc="left")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 0.7))
    figure.tight_layout()
    return figure


# ------------------------------------------------------------------------------------------------------------- anchors


def anchors() -> plt.Figure:
    """Twenty-four small losses, accepted whenever the gate is green, without and with anchors."""
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    for anchored, colour, label in (
        (False, RED, "compared with the last row alone"),
        (True, TEAL, "and with the anchor"),
    ):
        path = [salami(anchored, seed) for seed in range(200)]
        axis.plot(range(25), np.mean(path, axis=0), color=colour, lw=2, label=label)
        axis.fill_between(range(25), *np.percentile(path, [5, 95], axis=0), color=colour, alpha=0.12, lw=0)
    axis.set(xlabel="changes, each of which makes the model worse by 3 standard errors", xlim=(0, 24), ylim=(0, None))
    axis.set_ylabel("true loss of the accepted row\n(standard errors)")
    axis.legend(frameon=False)
    axis.set_title("Many small losses", loc="left")
    figure.tight_layout()
    return figure


def salami(anchored: bool, seed: int) -> list[float]:
    """Return the true loss of the accepted row after every change; a change that is red is not accepted."""
    rng = np.random.default_rng(seed)
    part = ANCHOR_PART if anchored else 0.0  # of the risk, which row and anchor share
    of_row, of_anchor = (float(stats.norm.isf(0.002 * share / ALL)) for share in (1.0 - part, part or 1.0))
    true, row = 0.0, rng.normal()
    value, error, rows = row, 1.0, 1
    path = [true]
    for _ in range(24):
        candidate = true + 3 + rng.normal()
        red = candidate - row > of_row * math.sqrt(2)
        if anchored:
            red |= candidate - value > of_anchor * math.hypot(1, error)
        if not red:
            true, row = true + 3, candidate
            value, error = updated(value, error, rows, row, 1.0)
            rows += 1
        path.append(true)
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "images")
