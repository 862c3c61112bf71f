"""Combine the estimates of several sample groups into one look."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.metrics import Battery
from pytest_medgan.records import Cause, Entry, Estimate, Fingerprint, Names, Row, Score, Scores


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
    metrics: dict[str, Score] = {}
    unmeasured: dict[str, str] = {}
    for name in dict.fromkeys((*settings.metrics, *(n for b in batteries for n in b.estimates))):
        estimates = [battery.estimates.get(name) for battery in batteries]
        present = [e for e in estimates if e is not None]
        if len(present) < len(batteries):
            reasons = [b.unmeasured[name] for b in batteries if name in b.unmeasured]
            unmeasured[name] = reasons[0] if reasons else "not computed"
            continue
        metrics[name] = combine_groups(present)
    groups = tuple(map(str, settings.seeds))
    own = MappingProxyType({metric.name: metric for metric in custom})
    return Scores(n_real, n_fake, groups, MappingProxyType(metrics), MappingProxyType(unmeasured), custom=own)


def limit_freedom(battery: Battery, groups: Names) -> Battery:
    """Return a battery whose errors are known no better than the number of groups, [n] of the images, allows."""
    most = float(len(np.unique(groups)) - 1)
    known = {name: replace(one, freedom=min(one.freedom, most)) for name, one in battery.estimates.items()}
    return replace(battery, estimates=MappingProxyType(known))


def set_volume_causes(battery: Battery) -> Battery:
    """Return a battery of volumes: metrics that look at pixels say that they measure images."""
    causes = {
        name: Cause.VOLUMES if "pixels" in METRICS[name].needs else cause for name, cause in battery.causes.items()
    }
    return replace(battery, causes=MappingProxyType(causes))


def combine_groups(estimates: Sequence[Estimate]) -> Score:
    """Return a metric's mean over sample groups with its errors.

    Given the reference, groups are independent, so `se` falls with their number. `se_total` contains the reference's
    own error, which the groups share and which does not fall.

    Args:
        estimates: One per group.
    """
    k, values = len(estimates), tuple(estimate.value for estimate in estimates)
    errors = [estimate.se for estimate in estimates]
    se = math.sqrt(math.fsum(e * e for e in errors)) / k
    totals = [estimate.se_total for estimate in estimates]
    shared = max(statistics.fmean(t * t for t in totals) - statistics.fmean(e * e for e in errors), 0.0)
    spent = math.fsum(estimate.se**4 / estimate.freedom for estimate in estimates)
    return Score(
        mean=statistics.fmean(values),
        se=se,
        sd=statistics.stdev(values) if k > 1 else math.nan,
        se_total=math.sqrt(shared + se * se),
        groups=k,
        values=values,
        freedom=math.fsum(e * e for e in errors) ** 2 / spent if spent > 0 else math.inf,
    )


def row_of(name: str, measured: Sequence[Scores], fingerprint: Fingerprint, origin: str) -> Row:
    """Return measured scores as a row without margins.

    Args:
        name: The row's name.
        measured: The looks.
        fingerprint: What the scores may be compared with.
        origin: Where the row is from, as messages call it.
    """
    names = dict.fromkeys(metric for scores in measured for metric in scores.metrics)
    at = {name: {scores.n_fake: scores[name] for scores in measured if name in scores} for name in names}
    entries = {name: Entry(MappingProxyType(scores)) for name, scores in at.items()}
    return Row(name, MappingProxyType(entries), origin, fingerprint=fingerprint)
