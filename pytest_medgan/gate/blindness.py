"""Which metrics of a row see nothing, and whether what is left is still a gate."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.decision import spreads_of
from pytest_medgan.gate.drift import scores_of
from pytest_medgan.gate.looking import Comparison, sight_before
from pytest_medgan.gate.power import describe_need
from pytest_medgan.gate.risks import Settings
from pytest_medgan.gate.seeing import checked
from pytest_medgan.records import Change, Outcome, Row, Verdict

# what a metric sees; the Frechet and kernel distances see a loss of either kind
FIDELITY = frozenset({"fid", "kid", "precision", "improved_precision", "density"})
DIVERSITY = frozenset({"fid", "kid", "recall", "improved_recall", "coverage", "ms_ssim"})


def blind_aspects(names: Iterable[str], blind: Collection[str]) -> tuple[str, ...]:
    """Return the aspects of quality that no metric of a gate can see: "fidelity", "diversity" or "any loss".

    Args:
        names: The metrics of the gate.
        blind: Those of them that are blind.

    Examples:
        >>> blind_aspects(("improved_precision", "recall"), ("recall",))
        ('diversity',)
        >>> blind_aspects(("fid", "recall"), ("recall",))
        ()
        >>> blind_aspects(("authenticity",), ("authenticity",))
        ('any loss',)
    """
    asked = set(names)
    if asked and asked <= set(blind):
        return ("any loss",)
    aspects = (("fidelity", FIDELITY), ("diversity", DIVERSITY))
    return tuple(aspect for aspect, members in aspects if members & asked and members & asked <= set(blind))


def blind_metrics(row: Row, settings: Settings) -> tuple[str, ...]:
    """Return one line for each metric of a row in which a candidate's loss could not be seen."""
    lines = []
    for name, entry in row.entries.items():
        if name not in METRICS or not entry.at or entry.margin is None:
            continue
        looks = tuple(sorted(entry.at))
        asked = Comparison(METRICS[name], row[name], looks, Change.RECIPE)
        spreads = spreads_of(row, scores_of(row, looks[-1]), looks[-1])
        value = entry.at[looks[-1]].mean
        passed = Verdict(METRICS[name], Outcome.PASS, row[name].origin, limit=value)
        found = checked(passed, sight_before(asked, spreads, settings), value, entry)
        if found.outcome is Outcome.BLIND:
            needed = "" if found.needed_images is None else f"; {describe_need(found.needed_images)}"
            lines.append(f"{name} is blind at {looks[-1]:,} images: it {found.power}{needed}")
    return tuple(lines)
