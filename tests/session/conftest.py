"""Findings made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.records import Fingerprint, Outcome, Score, Scores, TrainingRun, Verdict
from pytest_medgan.session.findings import DataFacts, ModelFindings

DATA = DataFacts("studies", "", "patient", "image", (-1000.0, 400.0), 480, 240, 120, {"studies": 8}, ())


def score(mean: float, sd: float = float("nan")) -> Score:
    return Score(mean, 0.1, sd, 0.2, 1, (mean,))


def scores(n: int, **means: float) -> Scores:
    return Scores(240, n, ("0",), {name: score(mean) for name, mean in means.items()})


@pytest.fixture
def make_scores() -> Callable[..., Scores]:
    return scores


@pytest.fixture
def make_model() -> Callable[..., ModelFindings]:
    def make(**changes: Any) -> ModelFindings:
        given: dict[str, Any] = {
            "key": "key",
            "name": "toy",
            "identity": "digest",
            "fingerprint": Fingerprint({"seeds": "0"}),
            "counts": (64, 128),
            "looks": {64: scores(64, fid=2.0, kid=0.5)},
            "real": {64: scores(64, fid=1.0)},
            "data": DATA,
            "extractor": "space",
            "numeric_class": "float32",
            "engine": "eager",
            "features": "3 computed",
            "trouble": None,
            "seeds": (0,),
            "baseline": None,
            "runs": (TrainingRun("digest"),),
        }
        return ModelFindings(**{**given, **changes})

    return make


@pytest.fixture
def make_verdict() -> Callable[..., Verdict]:
    def make(name: str = "fid", outcome: Outcome = Outcome.PASS, **changes: Any) -> Verdict:
        given: dict[str, Any] = {
            "measured": score(2.0, 0.25),
            "n_fake": 64,
            "limit": 1.5,
            "margin": 0.75,
            "origin": "b.yaml:7",
            "row": "TOY",
        }
        return Verdict(METRICS[name], outcome, **{**given, **changes})

    return make
