"""Pairs: image by image, where there are none, what a few unseen images may hide, and that both directions are seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.difference import Difference
from pytest_medgan.gate.pairing import EXCHANGED, by_image, pair
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.records import (
    Contribution,
    Entry,
    Fingerprint,
    Margin,
    Outcome,
    Paired,
    Row,
    Score,
    Scores,
    TrainingRun,
    VerdictCause,
)

FID, COPIES = METRICS["fid"], METRICS["copy_rate"]
COUNTS = (128, 256, 512, 1024)


def beside(ours, theirs, *, name="fid", model="accepted", values=None, **more):
    """Return the sample groups [G,U] of either model."""
    wrapped = [tuple(Contribution(np.asarray(row, float), **more) for row in rows) for rows in (ours, theirs)]
    values = tuple(float(np.mean(row)) for row in theirs) if values is None else values
    return Paired(model, {name: wrapped[0]}, {name: wrapped[1]}, {name: values})


def measured(images):
    return Score(float(np.mean(images)), groups=len(images))


def test_the_difference_is_between_what_both_models_give_now():
    rng = np.random.default_rng(0)
    theirs = rng.normal(20, 5, (3, 200))
    gaps = rng.normal(0.3, 0.5, (3, 200))
    found = by_image(FID, measured(theirs + gaps), beside(theirs + gaps, theirs), 200, unpaired=0.0)
    assert found.loss == pytest.approx(gaps.mean())
    assert found.error.se == pytest.approx(math.sqrt(gaps.var(1, ddof=1).sum() / 200) / 3)
    assert found.error.freedom == 3 * 199


def test_a_higher_is_better_metric_loses_where_it_falls():
    theirs = np.full((3, 50), 0.5)
    found = by_image(METRICS["density"], measured(theirs - 0.1), beside(theirs - 0.1, theirs, name="density"), 50, 1.0)
    assert found.loss == pytest.approx(0.1)


def test_a_sample_of_the_images_stands_for_all_and_random_starts_add_their_own():
    rng = np.random.default_rng(1)
    theirs, gaps = rng.normal(20, 5, (1, 200)), rng.normal(0, 0.5, (1, 200))
    whole = by_image(FID, measured(theirs), beside(theirs + gaps, theirs), 400, unpaired=0.0)
    half = by_image(FID, measured(theirs), beside(theirs + gaps, theirs, share=0.5), 400, unpaired=0.0)
    assert half.error.se == pytest.approx(whole.error.se / math.sqrt(2))
    both = beside(theirs, theirs)
    apart = replace(
        both,
        ours={"fid": (replace(both.ours["fid"][0], runs=np.array([1.0, 2.0, 3.0, 4.0])),)},
        theirs={"fid": (replace(both.theirs["fid"][0], runs=np.array([1.0, 1.0, 4.0, 4.0])),)},
    )
    found = by_image(FID, measured(theirs), apart, 400, unpaired=0.0)
    assert found.error.se == pytest.approx(np.std([0, 1, -1, 0], ddof=1) / 2)


def test_images_that_all_agree_are_not_certain():
    theirs = np.zeros((3, 50))
    rate = by_image(COPIES, measured(theirs), beside(theirs, theirs, name="copy_rate"), 50, unpaired=0.0)
    assert rate.error.se == pytest.approx(math.sqrt(EXCHANGED) / 150)
    fid = by_image(FID, measured(theirs), beside(theirs, theirs), 50, unpaired=0.7)
    assert fid.error.se == pytest.approx(0.7 * math.sqrt(EXCHANGED / 150))


@pytest.mark.parametrize("ours", [np.zeros((2, 50)), np.zeros((3, 49)), np.zeros((3, 1))])
def test_other_numbers_of_groups_or_images_do_not_pair(ours):
    theirs = np.zeros((3, 50)) if ours.shape[1] > 1 else ours
    assert by_image(FID, measured(ours), beside(ours, theirs), 50, unpaired=0.0) is None
    assert by_image(COPIES, measured(ours), beside(ours, ours), 50, unpaired=0.0) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "names no model"),
        (beside(np.zeros((3, 50)), np.zeros((3, 50)), model="another"), "another model than the row's"),
        (Paired("accepted", {}, {}, {}), "no value per image"),
        (beside(np.eye(3, 50) * 99, np.zeros((3, 50))), "pairing does not help: error"),
    ],
)
def test_where_pairing_does_not_help_the_words_say_why(given, words):
    unpaired = Difference(0.0, Error(0.5))
    found = pair(FID, Score(0.0), 50, beside=given, accepted="accepted", unpaired=unpaired)
    assert found.seen is None
    assert words in found.words


class Pairs:
    """A candidate and the accepted model on common latents: a metric that is a mean over images."""

    identity, change, fingerprint = "candidate", None, Fingerprint({})

    def __init__(self, ours, theirs, model="accepted", metric=FID):
        self.ours, self.theirs, self.model, self.metric = ours, theirs, model, metric
        self.counts, self.asked = COUNTS, []

    def at(self, n):
        self.asked.append(n)
        return Scores(1000, n, ("0", "1", "2"), {self.metric.name: score(self.ours, n)})

    def paired(self, n):
        return beside(self.ours[:, :n], self.theirs[:, :n], name=self.metric.name, model=self.model)


def score(images, n):
    values = tuple(float(row[:n].mean()) for row in images)
    se = float(np.sqrt(images[:, :n].var(1, ddof=1).sum() / n) / len(images))
    return Score(float(np.mean(values)), se, float(np.std(values, ddof=1)), se, 3, values)


def make_row(theirs, margin=None, metric=FID):
    entry = Entry({n: score(theirs, n) for n in COUNTS}, Margin() if margin is None else Margin("absolute", margin))
    return Row("model", {metric.name: entry}, "b.yaml:1", runs=(TrainingRun("accepted"),))


def models(seed, gap=0.1, shift=0.0):
    rng = np.random.default_rng(seed)
    theirs = rng.normal(20, 5, (3, COUNTS[-1]))
    return theirs + shift + rng.normal(0, gap, theirs.shape), theirs


def judge(ours, theirs, margin=None, *, paired=True, model="accepted"):
    evaluation = Pairs(ours, theirs, model)
    return decide(evaluation, [(FID, make_row(theirs, margin)["fid"])], paired=paired)[0], evaluation


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_a_small_difference_is_seen_in_either_direction_and_only_in_pairs(shift):
    ours, theirs = models(3, shift=shift)
    alone, _ = judge(ours, theirs, paired=False)
    assert alone.outcome.green
    together, _ = judge(ours, theirs)
    assert (together.outcome, together.cause) == (Outcome.FAIL, VerdictCause.DIFFERENT)
    assert "paired image by image: error 0.0" in together.reason


def test_common_latents_are_decided_at_an_eighth_of_the_images():
    ours, theirs = models(2, gap=0.01)
    together, evaluation = judge(ours, theirs, 0.3)
    assert (together.outcome, evaluation.asked) == (Outcome.PASS, [128])


def test_a_row_that_measures_otherwise_than_the_accepted_model_now_does_not_count():
    ours, theirs = models(2, gap=0.01)
    evaluation = Pairs(ours, theirs)
    row = make_row(theirs + 3.0)
    assert decide(evaluation, [(FID, row["fid"])], paired=True)[0].outcome is Outcome.PASS


def test_another_model_than_the_rows_is_not_paired_with():
    ours, theirs = models(6)
    verdict, _ = judge(ours, theirs, 0.3, model="some other checkpoint")
    assert verdict.outcome is Outcome.UNDECIDED
    assert "names another model than the row's" in verdict.reason


def test_paired_gates_of_an_unchanged_model_pass():
    """300 gates of a model whose images differ a little and have the same mean."""
    red = sum(not judge(*models([10, seed], gap=0.2))[0].outcome.green for seed in range(300))
    assert red <= stats.binom.isf(1e-4, 300, 0.002 / 14)


@pytest.mark.parametrize("gap", [0.01, 0.3, 8.0])
def test_paired_gates_keep_the_promise_at_the_margin(gap):
    """300 gates of a candidate worse by its margin: passes stay within the promise, all looks together."""
    passed = sum(judge(*models([8, seed], gap=gap, shift=1.0), 1.0)[0].outcome.green for seed in range(300))
    assert passed <= stats.binom.isf(1e-4, 300, DEFAULT.miss)


@pytest.mark.parametrize("share", [0.004, 0.02])
def test_a_share_of_images_that_is_worse_is_not_overlooked(share):
    """What a few images lose altogether is the margin on average; no gate may pass because it saw none of them."""
    passed = 0
    for seed in range(300):
        rng = np.random.default_rng([9, seed])
        theirs = (rng.random((3, COUNTS[-1])) < 0.1).astype(float)
        ours = np.maximum(theirs, rng.random(theirs.shape) < share / 0.9)
        evaluation = Pairs(ours, theirs, metric=COPIES)
        limit = make_row(theirs, share, COPIES)["copy_rate"]
        passed += decide(evaluation, [(COPIES, limit)], paired=True)[0].outcome.green
    assert passed <= stats.binom.isf(1e-4, 300, DEFAULT.miss)
