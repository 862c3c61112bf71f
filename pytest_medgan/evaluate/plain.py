"""Scores and fingerprints as plain data and back: what crosses between processes and into files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.records import Fingerprint, MetricScore, Scores


def scores_to_plain(scores: Scores) -> dict[str, Any]:
    """JSON-able; a missing sd is None."""
    return {
        "n_real": scores.n_real,
        "n_fake": scores.n_fake,
        "groups": list(scores.groups),
        "metrics": {
            name: {
                "values": list(score.values),
                "mean": score.mean,
                "sd": None if math.isnan(score.sd) else score.sd,
                "se": score.se,
                "se_total": score.se_total,
                # the catalogue knows its own metrics; a user's travels whole
                **({} if name in METRICS else {"metric": dataclasses.asdict(score.metric)}),
            }
            for name, score in scores.metrics.items()
        },
        "unmeasured": dict(scores.unmeasured),
    }


def scores_from_plain(plain: Mapping[str, Any]) -> Scores:
    """The reverse of scores_to_plain."""
    metrics = {
        name: MetricScore(
            metric=METRICS[name] if name in METRICS else _metric(score["metric"]),
            values=tuple(score["values"]),
            mean=score["mean"],
            sd=math.nan if score["sd"] is None else score["sd"],
            se=score["se"],
            se_total=score["se_total"],
        )
        for name, score in plain["metrics"].items()
    }
    return Scores(
        n_real=plain["n_real"],
        n_fake=plain["n_fake"],
        groups=tuple(plain["groups"]),
        metrics=MappingProxyType(metrics),
        unmeasured=MappingProxyType(dict(plain["unmeasured"])),
    )


def _metric(plain: Mapping[str, Any]) -> Metric:
    return Metric(**{**plain, "needs": tuple(plain["needs"])})


def fingerprint_to_plain(fingerprint: Fingerprint) -> dict[str, Any]:
    """JSON-able."""
    return {
        "inputs": dict(fingerprint.inputs),
        "canary": None if fingerprint.canary is None else list(fingerprint.canary),
        "canary_tolerance": fingerprint.canary_tolerance,
        "environment": dict(fingerprint.environment),
    }


def fingerprint_from_plain(plain: Mapping[str, Any]) -> Fingerprint:
    """The reverse of fingerprint_to_plain."""
    canary = plain["canary"]
    return Fingerprint(
        inputs=MappingProxyType(dict(plain["inputs"])),
        canary=None if canary is None else tuple(canary),
        canary_tolerance=plain["canary_tolerance"],
        environment=MappingProxyType(dict(plain["environment"])),
    )
