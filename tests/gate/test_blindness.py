"""Which metrics of a row are blind, and whether what is left is a gate."""

from __future__ import annotations

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.blindness import blind_aspects, blind_metrics
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.records import Margin, Outcome


def test_a_gate_must_see_fidelity_and_diversity_where_it_asks_for_them():
    names = ("improved_precision", "improved_recall", "authenticity")
    assert blind_aspects(names, ()) == ()
    assert blind_aspects(names, ("authenticity",)) == ()
    assert blind_aspects(names, ("improved_recall",)) == ("diversity",)
    assert blind_aspects(names, ("improved_precision",)) == ("fidelity",)
    assert blind_aspects(names, names) == ("any loss",)
    assert blind_aspects(("fid", *names), ("improved_precision", "improved_recall")) == ()
    assert blind_aspects(("authenticity",), ()) == ()
    assert blind_aspects((), ()) == ()


def test_what_a_row_will_be_blind_to_is_what_its_gate_finds(row, evaluation):
    for se in (0.005, 0.03, 0.05):
        base = row(se=se, fid=20.0, improved_recall=0.5, coverage=0.8)
        lines = blind_metrics(base, DEFAULT)
        given = evaluation(se=se, fid=20.0, improved_recall=0.5, coverage=0.8)
        verdicts = decide(given, [(METRICS[name], base[name]) for name in base.entries])
        blind = [verdict.metric.name for verdict in verdicts if verdict.outcome is Outcome.BLIND]
        assert [line.split()[0] for line in lines] == blind


def test_a_margin_of_ones_own_is_measured_by_its_own_width(row):
    assert not blind_metrics(row(improved_recall=0.5, margin=Margin("absolute", 0.2)), DEFAULT)
    assert blind_metrics(row(improved_recall=0.5, margin=Margin("absolute", 0.3)), DEFAULT)
