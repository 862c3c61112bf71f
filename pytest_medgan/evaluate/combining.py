"""Combine the estimates of several sample groups into one look."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.metrics import Battery
from pytest_medgan.records import Fingerprint, Limit, LimitValue, MetricScore, Row, Scores


def gather_scores(
    batteries: Sequence[Battery], settings: Settings, n_real: int, n_fake: int, custom: Iterable[Metric] = ()
) -> Scores:
    """Return one look.

    Args:
        batteries: What was measured on each sample group.
        settings: The run's settings; its metrics come first, in its order.
        n_real: Reference images.
        n_fake: Images per sample group.
        custom: The project's own metrics beside the catalogue's.
    """
    known = {**METRICS, **{metric.name: metric for metric in custom}}
    metrics: dict[str, MetricScore] = {}
    unmeasured: dict[str, str] = {}
    for name in dict.fromkeys((*settings.metrics, *(n for b in batteries for n in b.estimates))):
        estimates = [battery.estimates.get(name) for battery in batteries]
        present = [e for e in estimates if e is not None]
        if len(present) < len(batteries):
            reasons = [b.unmeasured[name] for b in batteries if name in b.unmeasured]
            unmeasured[name] = reasons[0] if reasons else "not computed"
            continue
        metrics[name] = combine_groups(
            known[name],
            tuple(e.value for e in present),
            tuple(e.se for e in present),
            tuple(e.se_total for e in present),
        )
    groups = tuple(map(str, settings.seeds))
    return Scores(n_real, n_fake, groups, MappingProxyType(metrics), MappingProxyType(unmeasured))


def combine_groups(
    metric: Metric, values: tuple[float, ...], errors: tuple[float, ...], totals: tuple[float, ...]
) -> MetricScore:
    """Return a metric's mean over sample groups with its errors.

    Given the reference, groups are independent, so `se` falls with their number. `se_total` contains the reference's
    own error, which the groups share and which does not fall.

    Args:
        metric: The metric.
        values: One per group.
        errors: Standard errors with the reference held fixed, one per group.
        totals: Standard errors with both sides redrawn, one per group.
    """
    k = len(values)
    se = math.sqrt(math.fsum(e * e for e in errors)) / k
    shared = max(statistics.fmean(t * t for t in totals) - statistics.fmean(e * e for e in errors), 0.0)
    return MetricScore(
        metric=metric,
        values=values,
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if k > 1 else math.nan,
        se=se,
        se_total=math.sqrt(shared + se * se),
    )


def row_of(name: str, measured: Sequence[Scores], fingerprint: Fingerprint, origin: str) -> Row:
    """Return measured scores as a Row of Limits without margins.

    Args:
        name: The row's name.
        measured: The looks.
        fingerprint: What the scores may be compared with.
        origin: Where the row is from, as messages call it.
    """
    names = dict.fromkeys(metric for scores in measured for metric in scores.metrics)
    limits = {}
    for metric in names:
        values = {
            scores.n_fake: LimitValue(m.mean, m.se, 0.0 if math.isnan(m.sd) else m.sd, m.se_total, len(m.values))
            for scores in measured
            if (m := scores.metrics.get(metric)) is not None
        }
        limits[metric] = Limit(metric, MappingProxyType(values), origin, fingerprint=fingerprint, row=name)
    return Row(name, MappingProxyType(limits), origin, fingerprint=fingerprint)
