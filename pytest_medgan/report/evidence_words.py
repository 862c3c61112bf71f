"""Text about images that look wrong, copied patients and shifted grey levels, from the evidence."""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Alteration, Evidence, Implausibility, Int64


def anomaly_text(evidence: Evidence, least: float = 0.005) -> str:
    """Return which images look wrong, the most frequent kinds first: "about one image in 10 is upside-down".

    Args:
        evidence: Holds the flagged images and, by any per-image array, how many there are.
        least: Share of all images from which a kind is named.

    Returns:
        The words; empty where nothing is known or no kind is frequent enough.
    """
    kinds = _frequent(evidence, evidence.anomalies, least)
    return ", ".join(f"about one image in {round(1 / share)} {list(Alteration)[kind].words}" for kind, share in kinds)


def implausible_text(evidence: Evidence, least: float = 0.005) -> str:
    """Return in what images lie outside the range of real ones, the most frequent first.

    Args:
        evidence: Holds the images outside and, by any per-image array, how many there are.
        least: Share of all images from which a measure is named.

    Returns:
        Words such as "9.0% of the images: each holds more bone than real images do"; empty as above.
    """
    kinds = _frequent(evidence, evidence.implausible, least)
    return "; ".join(f"{share:.1%} of the images: each {list(Implausibility)[kind].words}" for kind, share in kinds)


def _frequent(evidence: Evidence, flagged: Int64 | None, least: float) -> list[tuple[int, float]]:
    """Return (kind, share of all images) of flagged images [P,2], the most frequent first."""
    total = next((len(a) for a in (evidence.fake_in_real, evidence.nearest_real) if a is not None), evidence.count)
    if flagged is None or not total:
        return []
    counts = np.bincount(flagged[:, 1])
    order = np.argsort(-counts, kind="stable").tolist()
    return [(kind, counts[kind] / total) for kind in order if counts[kind] >= least * total]


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


def grey_shift(evidence: Evidence) -> str:
    """Return the difference of brightness and contrast between generated and real images.

    Args:
        evidence: Holds the histograms of grey levels and the window.

    Returns:
        Text in HU where the window is known, else in grey levels; empty without histograms.
    """
    if evidence.histogram_real is None or evidence.histogram_fake is None:
        return ""
    low, high = evidence.window or (0.0, 255.0)
    unit = "HU" if evidence.window else "grey levels"
    levels = low + (high - low) * np.arange(256) / 255.0

    def moments(histogram: Int64) -> tuple[float, float]:
        """Return the mean level and the spread about it, of colours averaged over the channels."""
        channels = np.atleast_2d(histogram)
        weights = channels / np.maximum(channels.sum(1, keepdims=True), 1)
        means = weights @ levels
        variances = (weights * (levels - means[:, None]) ** 2).sum(1)
        return float(means.mean()), float(np.sqrt(variances.mean()))

    (real_mean, real_sd), (fake_mean, fake_sd) = moments(evidence.histogram_real), moments(evidence.histogram_fake)
    direction = "brighter" if fake_mean > real_mean else "darker"
    contrast = f" and have {100 * fake_sd / real_sd:.0f}% of their contrast" if real_sd else ""
    return f"generated images are {abs(fake_mean - real_mean):.0f} {unit} {direction} than real ones{contrast}"
