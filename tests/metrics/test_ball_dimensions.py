"""`ball_dimensions`: neighbours are searched for in the first columns; distances of distributions use all columns."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import measure, prepare_reference, score_features

NEIGHBOUR_METRICS = ("improved_precision", "improved_recall", "density", "coverage", "authenticity")
OTHER_METRICS = ("fid", "kid", "precision", "recall")


@pytest.fixture(scope="module")
def sets():
    """Return (real, fake, train): the sets differ in the first four columns; strong noise in the others hides this."""
    rng = np.random.default_rng(0)
    real, fake, train = (rng.standard_normal((rows, 20)).astype(np.float32) for rows in (150, 120, 140))
    fake[:, :4] += 0.4
    train[:40] = fake[:40] + np.float32(0.02)
    for side in (real, fake, train):
        side[:, 4:] *= 3
    return real, fake, train


def battery(sets, ball_dimensions=None, *, columns=slice(None), metrics=(*NEIGHBOUR_METRICS, *OTHER_METRICS)):
    real, fake, train = (side[:, columns] for side in sets)
    reference = prepare_reference(
        real, train=train, groups=np.arange(150) // 3, metrics=metrics, sweep=(1, 7), ball_dimensions=ball_dimensions
    )
    return measure(reference, fake=fake, metrics=metrics, evidence=True, contributions=True)


def test_neighbour_metrics_use_the_first_columns_alone(sets):
    limited, cut, whole = battery(sets, 4), battery(sets, columns=slice(4)), battery(sets)
    for name in NEIGHBOUR_METRICS:
        assert limited.estimates[name] == cut.estimates[name], name
        assert (limited.contributions[name].units == cut.contributions[name].units).all(), name
        assert limited.estimates[name].value != whole.estimates[name].value, name


def test_evidence_of_neighbours_uses_the_first_columns_alone(sets):
    limited, cut = battery(sets, 4).evidence, battery(sets, columns=slice(4)).evidence
    for name in ("fake_in_real", "real_in_fake", "nearest_real", "nearest_real_distance", "realism", "nearest_train"):
        assert (getattr(limited, name) == getattr(cut, name)).all(), name
    assert (limited.nearest_train_distance == cut.nearest_train_distance).all()
    assert all((limited.sweep[name] == cut.sweep[name]).all() for name in limited.sweep)


def test_other_metrics_use_all_columns(sets):
    limited, whole = battery(sets, 4), battery(sets)
    for name in OTHER_METRICS:
        assert limited.estimates[name].value == pytest.approx(whole.estimates[name].value, rel=1e-7), name
        assert limited.estimates[name].se_total == pytest.approx(whole.estimates[name].se_total, rel=1e-6), name
        assert limited.contributions[name].units == pytest.approx(whole.contributions[name].units, rel=1e-5), name


@pytest.mark.parametrize("metrics", [("kid",), ("improved_recall",), ("density",), ("improved_precision", "kid")])
def test_values_do_not_depend_on_the_other_metrics(sets, metrics):
    few, all_metrics = battery(sets, 4, metrics=metrics).estimates, battery(sets, 4).estimates
    for name in metrics:
        assert few[name].value == pytest.approx(all_metrics[name].value, rel=1e-7), name


def test_ball_dimensions_none_equals_all_columns(sets):
    assert battery(sets, 20).estimates == battery(sets).estimates


def test_score_features_takes_the_number_of_columns(sets):
    real, fake, train = sets
    found = score_features(real=real, fake=fake, train=train, metrics=NEIGHBOUR_METRICS, ball_dimensions=4)
    assert found == {name: battery(sets, 4).estimates[name].value for name in NAMES if name in NEIGHBOUR_METRICS}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (21, "ball_dimensions is 21 but features are 20 wide; give at most 20"),
        (0, "ball_dimensions is 0; give a whole number of at least 1"),
        (2.0, "ball_dimensions is 2.0; give a whole number"),
    ],
)
def test_invalid_number_of_columns_is_refused(sets, columns, message):
    with pytest.raises(MetricInputError, match=message):
        prepare_reference(sets[0], ball_dimensions=columns)
