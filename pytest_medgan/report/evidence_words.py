"""Text about images that look wrong and about copied patients, from the evidence."""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Alteration, Evidence


def anomaly_text(evidence: Evidence, least: float = 0.005) -> str:
    """Return which images look wrong, the most frequent kinds first: "about one image in 10 is upside-down".

    Args:
        evidence: Holds the flagged images and, by any per-image array, how many there are.
        least: Share of all images from which a kind is named.

    Returns:
        The words; empty where nothing is known or no kind is frequent enough.
    """
    total = next((len(a) for a in (evidence.fake_in_real, evidence.nearest_real) if a is not None), evidence.count)
    if evidence.anomalies is None or not total:
        return ""
    kinds, counts = list(Alteration), np.bincount(evidence.anomalies[:, 1], minlength=len(Alteration))
    order = [int(place) for place in np.argsort(-counts, kind="stable") if counts[place] >= least * total]
    return ", ".join(f"about one image in {round(total / counts[place])} {kinds[place].words}" for place in order)


def copied_patients_text(evidence: Evidence) -> str:
    """Return how many training patients are copied, how many by chance, and how well an attack recognises them.

    Args:
        evidence: Holds the counts and the area under the attack's curve.

    Returns:
        The words; empty where nothing is known.
    """
    words = []
    if evidence.memorised_patients is not None:
        copied, every, by_chance = evidence.memorised_patients
        chance = f"about {by_chance:.0f} by chance" if by_chance >= 1 else "hardly one by chance"
        words.append(f"{copied:.0f} of {every:.0f} training patients are copied ({chance})")
    if evidence.membership is not None:
        area, error = evidence.membership
        words.append(f"a membership attack by patient has an area of {area:.2f} ± {error:.2f} (0.5 is chance)")
    return "; ".join(words)
