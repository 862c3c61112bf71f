"""Revisions of the catalogue's metrics and digests of custom ones."""

from __future__ import annotations

from pytest_medgan.catalogue import METRICS, NAMES, Metric
from pytest_medgan.metrics import CustomMetric, revisions
from pytest_medgan.metrics.source_digest import source_digest


def test_revisions_are_those_of_the_catalogue():
    assert revisions() == {name: METRICS[name].revision for name in NAMES}
    assert min(revisions().values()) >= 1
    assert revisions(["kid", "unknown"]) == {"kid": METRICS["kid"].revision}


def test_revision_of_a_custom_metric_is_its_digest():
    def gap(*, real, fake):
        return float(real.mean() - fake.mean())

    custom = CustomMetric(Metric("gap", "Gap", False, 0.0, 1.0, "a user", True), gap)
    assert revisions((), [custom]) == {"gap": source_digest(gap)}
