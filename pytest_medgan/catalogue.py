"""The metrics' names, directions, ranges, papers and revisions. Standard library only.

The order here is the order everywhere: tables, baseline files, reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType


@dataclass(frozen=True)
class Metric:
    """What is known of a metric without computing it.

    Examples:
        >>> METRICS["fid"].arrow, METRICS["fid"].free_of_n
        ('↓', False)
    """

    name: str  # the key in files and calls
    label: str  # what a table shows
    higher_is_better: bool
    low: float  # the least value it can take
    high: float  # the greatest
    paper: str  # who defined it
    free_of_n: bool  # its expectation does not depend on how many images were generated
    needs: tuple[str, ...] = ()  # in addition to features: "probabilities", "train", "pixels"
    decimals: int = 3  # digits a table shows
    revision: int = 1  # raised whenever its numbers or errors change: scores of two revisions are not compared

    @property
    def arrow(self) -> str:
        """Direction as a table shows it."""
        return "↑" if self.higher_is_better else "↓"


_ROWS = (
    Metric("inception_score", "IS", True, 1.0, inf, "Salimans et al. 2016", False, ("probabilities",)),
    Metric("fid", "FID", False, 0.0, inf, "Heusel et al. 2017", False),
    Metric("kid", "KID", False, -inf, inf, "Bińkowski et al. 2018", True, (), 5),
    Metric("precision", "Precision", True, 0.0, 1.0, "Sajjadi et al. 2018", False),
    Metric("recall", "Recall", True, 0.0, 1.0, "Sajjadi et al. 2018", False),
    Metric("improved_precision", "Improved Precision", True, 0.0, 1.0, "Kynkäänniemi et al. 2019", True, revision=2),
    Metric("improved_recall", "Improved Recall", True, 0.0, 1.0, "Kynkäänniemi et al. 2019", False, revision=2),
    Metric("density", "Density", True, 0.0, inf, "Naeem et al. 2020", True, revision=2),
    Metric("coverage", "Coverage", True, 0.0, 1.0, "Naeem et al. 2020", False, revision=2),
    Metric("authenticity", "Authenticity", True, 0.0, 1.0, "Alaa et al. 2022", True, ("train",), revision=2),
    Metric("copy_rate", "Copy rate", False, 0.0, 1.0, "this project", True, ("train", "pixels"), 4),
    Metric("duplicate_rate", "Duplicate rate", False, 0.0, 1.0, "this project", False, ("pixels",), 4),
    Metric("intensity_distance", "Intensity distance", False, 0.0, inf, "Wasserstein-1", False, ("pixels",), 2),
    Metric("ms_ssim", "MS-SSIM", False, -1.0, 1.0, "Odena et al. 2017; Wang et al. 2003", True, ("pixels",)),
    Metric("anomaly_rate", "Anomaly rate", False, 0.0, 1.0, "this project", True, ("pixels",), 4),
    Metric(
        "memorised_rate", "Memorised rate", False, 0.0, 1.0, "this project", True, ("train", "pixels"), 4, revision=2
    ),
    Metric("implausible_rate", "Implausible rate", False, 0.0, 1.0, "this project", True, ("pixels",), 4, revision=2),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
NAMES: tuple[str, ...] = tuple(METRICS)


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in the catalogue's order; names it does not know come last, sorted."""
    given = set(names)
    return tuple(n for n in NAMES if n in given) + tuple(sorted(given - set(NAMES)))
