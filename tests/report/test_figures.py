from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.ground.theme import BEFORE, FAKE, Colour
from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report import ModelRecord
from pytest_medgan.report.comparisons import standings
from pytest_medgan.report.figures import (
    Curve,
    _ticks_apart,
    change_figure,
    histogram_figure,
    history_figure,
    prd_figure,
    sweep_figure,
)

MakeModel = Callable[..., ModelRecord]

KS = np.array([3.0, 5.0, 10.0, 20.0, 50.0, 100.0])
# Figures that the first author published beside Jang et al. 2022 (github.com/hellog2n/evaluation-medical-imaging):
# DCGAN's three seeds, PGGAN's seed 2, against k
PUBLISHED = {
    "improved_precision": {
        "DCGAN": (
            (0.19967, 0.40016, 0.67155, 0.85559, 0.96563, 0.98980),
            (0.20263, 0.40000, 0.66513, 0.85789, 0.96530, 0.99063),
            (0.20411, 0.39885, 0.66102, 0.85362, 0.95921, 0.98586),
        ),
        "PGGAN": ((0.70658, 0.88766, 0.97336, 0.99408, 0.99934, 0.99984),),
    },
    "improved_recall": {
        "DCGAN": (
            (0.35477, 0.49441, 0.71316, 0.86974, 0.97122, 0.99408),
            (0.33421, 0.49046, 0.71316, 0.87895, 0.97336, 0.99359),
            (0.33635, 0.49161, 0.70214, 0.87862, 0.97582, 0.99391),
        ),
        "PGGAN": ((0.87780, 0.95049, 0.98388, 0.99655, 0.99967, 0.99967),),
    },
}


def line_points(svg: str, colour: Colour) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the vertices [n,2] of the one line of a colour, in the picture's own units (y downwards)."""
    paths = re.findall(rf'<path d="(M [^"Zz]*)"[^>]*style="fill: none; stroke: var\(--{colour.name}\)', svg)
    longest = max(paths, key=len)
    return np.array([[float(n) for n in pair] for pair in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", longest)])


@pytest.mark.parametrize("metric", PUBLISHED)
def test_published_sweep_shows_what_the_paper_says(metric: str) -> None:
    """Figure 5: both models rise with k and PGGAN stays above DCGAN. The values are read back from the drawing."""
    means = {name: np.mean(seeds, axis=0) for name, seeds in PUBLISHED[metric].items()}
    drawn = sweep_figure(
        METRICS[metric],
        [Curve("DCGAN", BEFORE, KS, means["DCGAN"]), Curve("PGGAN", FAKE, KS, means["PGGAN"])],
    )
    dcgan, pggan = line_points(drawn.svg, BEFORE), line_points(drawn.svg, FAKE)
    assert len(dcgan) == len(pggan) == len(KS)
    np.testing.assert_allclose(dcgan[:, 0], pggan[:, 0], err_msg="the same k at the same place")
    assert (np.diff(dcgan[:, 0]) > 0).all()
    assert (np.diff(dcgan[:, 1]) < 0).all(), "rises with k"
    assert (np.diff(pggan[:, 1]) <= 0).all(), "rises with k"
    assert (pggan[:, 1] < dcgan[:, 1]).all(), "PGGAN above DCGAN"
    slope = np.polyfit(means["DCGAN"], dcgan[:, 1], 1)
    np.testing.assert_allclose(np.polyval(slope, means["DCGAN"]), dcgan[:, 1], atol=1e-3, err_msg="a linear axis")
    np.testing.assert_allclose(np.polyval(slope, means["PGGAN"]), pggan[:, 1], atol=1e-3, err_msg="one axis for both")
    assert f"{means['PGGAN'][0]:.3f} at k=3" in drawn.alt


def test_text_alternatives_give_the_values(make_model: MakeModel, evidence: Evidence) -> None:
    model = make_model(fid=12.0)
    changed = change_figure(standings(model))
    assert changed is not None
    assert "FID 8.5 worse" in changed.alt
    histogram = histogram_figure(evidence, "this run")
    assert histogram is not None
    assert "in HU" in histogram.alt
    assert evidence.prd_curve is not None
    assert re.search(r"this run: area 0\.\d\d", prd_figure({"this run": (evidence.prd_curve, FAKE)}).alt)
    history = history_figure(model, "fid")
    assert history is not None
    assert "2026-05-01 7.13; this run 9.19" in history.alt


def test_failed_metric_is_red_and_a_gain_green(make_model: MakeModel) -> None:
    found = [s for s in standings(make_model(fid=12.0, coverage=-6.0)) if s.metric in ("fid", "coverage", "kid")]
    figure = change_figure(found)
    assert figure is not None
    fills = re.findall(r'<path d="[^"]*" [^>]*style="fill: var\(--(good|bad|muted)\)', figure.svg)
    assert fills == ["bad", "muted", "good"]  # FID, KID, coverage


def test_undecided_metric_is_neither_red_nor_green(make_model: MakeModel) -> None:
    model = make_model(fid=12.0)
    fid = model.comparison("fid")
    assert fid is not None
    undecided = replace(fid, verdict=replace(fid.verdict, outcome=Outcome.UNDECIDED))
    figure = change_figure([s for s in standings(replace(model, comparisons=(undecided,))) if s.metric == "fid"])
    assert figure is not None
    assert re.findall(r'<path d="[^"]*" [^>]*style="fill: var\(--(\w+)\)', figure.svg) == ["before"]


def test_change_without_known_errors_has_no_figure(make_model: MakeModel) -> None:
    assert change_figure(standings(replace(make_model(judged=False), baseline=None))) is None


def test_history_needs_two_accepted_states(make_model: MakeModel) -> None:
    model = make_model()
    assert history_figure(replace(model, history=model.history[:1]), "fid") is None
    assert history_figure(replace(model, history=model.history[:2]), "fid") is not None
    assert history_figure(model, "unknown") is None


def test_history_ends_with_this_run(make_model: MakeModel) -> None:
    model = make_model()
    both, alone = history_figure(model, "fid"), history_figure(replace(model, looks=()), "fid")
    assert both is not None
    assert alone is not None
    assert [both.svg.count(f'id="xtick_{n}"') for n in (5, 6, 7)] == [1, 1, 0]
    assert alone.svg.count('id="xtick_6"') == 0


def test_history_of_a_rate_is_in_percent(make_model: MakeModel) -> None:
    figure = history_figure(make_model(), "copy_rate")
    assert figure is not None
    assert "2026-01-01 0.12%" in figure.alt


def test_levels_of_colours_are_drawn_channel_by_channel(evidence: Evidence) -> None:
    counts = np.zeros((3, 256), np.int64)
    counts[0, 255], counts[1, 100], counts[2, 0] = 4, 4, 4
    figure = histogram_figure(Evidence(histogram_real=counts, histogram_fake=counts[::-1]), "this run")
    assert figure is not None
    assert figure.title == "Colour levels"
    assert "red real: 0.0% at the lower end, 100.0% at the upper" in figure.alt
    assert "red this run: 100.0% at the lower end, 0.0% at the upper" in figure.alt
    assert "green real: 0.0% at the lower end, 0.0% at the upper" in figure.alt
    assert "blue this run: 0.0% at the lower end, 100.0% at the upper" in figure.alt
    assert figure.svg.count('id="axes_') == 3
    grey = histogram_figure(evidence, "this run")
    assert grey is not None
    assert grey.svg.count('id="axes_') == 1


def test_evidence_without_counts_has_no_histogram() -> None:
    assert histogram_figure(Evidence(), "this run") is None


def test_figures_hold_neither_date_nor_program(evidence: Evidence) -> None:
    figure = histogram_figure(evidence, "this run")
    assert figure is not None
    assert not re.search(r"matplotlib\.org|20\d\d-\d\d-\d\d|<metadata", figure.svg, re.IGNORECASE)
    assert figure == histogram_figure(evidence, "this run")


def test_labels_of_k_do_not_overlap() -> None:
    ks = np.array([1.0, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100])
    assert _ticks_apart([int(k) for k in ks]) == [1, 2, 3, 5, 10, 20, 30, 50, 100]
    assert _ticks_apart([3]) == [3]
    assert "0.500 at k=70" in sweep_figure(METRICS["density"], [Curve("a", FAKE, ks, ks / 140)]).alt


def test_change_that_no_bar_would_show_is_not_drawn(make_model: MakeModel) -> None:
    unchanged = standings(make_model())
    assert change_figure([replace(s, errors=0.04) for s in unchanged]) is None
    assert change_figure([replace(s, errors=0.06) for s in unchanged]) is not None
