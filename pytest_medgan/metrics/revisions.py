"""Which version of every metric's code gave its numbers, for the fingerprint."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.metrics.custom import CustomMetric
from pytest_medgan.metrics.source_digest import source_digest


def revisions(metrics: Iterable[str] = NAMES, custom: Iterable[CustomMetric] = ()) -> dict[str, int | str]:
    """Return the version of each metric's code: scores are comparable where these agree.

    Args:
        metrics: Names of the catalogue's metrics; names it does not know are left out.
        custom: Metrics of the user's own.

    Returns:
        The revision of a metric of the catalogue, and a digest of the source of a custom one.

    Examples:
        >>> list(revisions(["fid", "kid"]))
        ['fid', 'kid']
    """
    known: dict[str, int | str] = {name: METRICS[name].revision for name in metrics if name in METRICS}
    return known | {each.metric.name: source_digest(each.function) for each in custom}
