"""What is wrong and who is copied, in words."""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Alteration, Evidence, Implausibility
from pytest_medgan.report.evidence_words import anomaly_text, copied_patients_text, implausible_text
from pytest_medgan.report.selection import Copy, chosen_images, flagged_images, implausible_images, suspected_copies

KINDS = list(Alteration)


def flagged(**counts: int) -> np.ndarray:
    """Pairs of image and alteration; images are numbered in the order given."""
    places = [KINDS.index(Alteration(name)) for name, count in counts.items() for _ in range(count)]
    return np.column_stack([np.arange(len(places)), places])


def test_wrong_images_are_named_by_frequency_and_rare_kinds_left_out():
    evidence = Evidence(
        fake_in_real=np.ones(1000, bool), anomalies=flagged(noise=20, upside_down=98, streaks=3), count=7
    )
    words = "about one image in 10 is upside-down, about one image in 50 is noisier than real ones"
    assert anomaly_text(evidence) == words


def test_nothing_is_said_without_images_or_flags():
    assert anomaly_text(Evidence(anomalies=flagged(noise=3))) == ""
    assert anomaly_text(Evidence(count=100)) == ""
    assert anomaly_text(Evidence(count=100, anomalies=np.empty((0, 2), np.int64))) == ""
    assert copied_patients_text(Evidence()) == ""


def test_copied_patients_are_said_beside_chance_and_the_attack():
    evidence = Evidence(memorised_patients=np.array([9, 120, 0.4]), membership=np.array([0.713, 0.031]))
    assert copied_patients_text(evidence) == (
        "9 of 120 training patients are copied (hardly one by chance); "
        "a membership attack by patient has an area of 0.71 ± 0.03 (0.5 is chance)"
    )
    by_chance = Evidence(memorised_patients=np.array([4, 120, 2.6]))
    assert copied_patients_text(by_chance) == "4 of 120 training patients are copied (about 3 by chance)"
    assert "private" not in copied_patients_text(evidence)


def test_shown_images_take_turns_among_kinds():
    found = flagged_images(Evidence(anomalies=flagged(noise=5, upside_down=2)), count=5)
    noise, upside = Alteration.NOISE, Alteration.UPSIDE_DOWN
    assert found == ((0, noise), (5, upside), (1, noise), (6, upside), (2, noise))
    assert flagged_images(Evidence()) == ()
    assert {0, 5} <= set(chosen_images(Evidence(anomalies=flagged(noise=5, upside_down=2)), grid=0).fake.tolist())


def test_moved_copies_are_shown_after_those_equal_in_pixels_once_each():
    evidence = Evidence(copies=np.array([[7, 1]]), memorised=np.array([[3, 2], [7, 9]]))
    assert suspected_copies(evidence) == (Copy(7, 1), Copy(3, 2))
    assert suspected_copies(evidence, count=1) == (Copy(7, 1),)


def test_implausible_images_are_said_by_measure_and_shown_in_turn():
    bone, noise = (list(Implausibility).index(kind) for kind in (Implausibility.MUCH_BONE, Implausibility.MUCH_NOISE))
    pairs = np.array([[3, bone], [4, bone], [7, noise], [9, bone]])
    evidence = Evidence(count=40, implausible=pairs)
    assert implausible_text(evidence) == (
        "7.5% of the images: each holds more bone than real images do; 2.5% of the images: each is noisier than real "
        "images are"
    )
    assert implausible_text(evidence, least=0.05).startswith("7.5%")
    assert "noisier" not in implausible_text(evidence, least=0.05)
    assert implausible_text(Evidence(count=40)) == ""
    shown = implausible_images(evidence, count=3)
    assert shown == ((3, Implausibility.MUCH_BONE), (7, Implausibility.MUCH_NOISE), (4, Implausibility.MUCH_BONE))
    assert set(chosen_images(evidence, grid=0).fake.tolist()) == {3, 4, 7, 9}
