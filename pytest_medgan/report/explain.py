"""Where a regression comes from, in words, from the pattern over the metrics.

The rules, in the order they are tried; each stands on metrics that are *lost*: their verdict is FAIL, or nobody judged
them and they lie at least `CLEAR` standard errors on the worse side of the baseline. Any number of them may apply.

| finding | rule |
| --- | --- |
| copying | copy rate or authenticity lost |
| duplicates | duplicate rate lost |
| intensity | intensity distance lost |
| collapse | duplicate rate and MS-SSIM lost, or improved recall halved and one of these or coverage lost |
| diversity | recall, improved recall, coverage or MS-SSIM lost, and no collapse |
| fidelity | precision, improved precision or density lost |
| everything | a diversity metric and a fidelity metric lost, and no collapse: one shift of the whole distribution |
| texture | FID or KID lost while no metric of another finding is |
| class balance | the inception score lost while no metric of another finding is |
| one seed | in a lost metric one of three or more sample groups stands `APART` errors from the others |

The rules name a likely cause. They are a reading of which figures moved, not a proof.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np

from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report.run import ModelRecord
from pytest_medgan.report.table import change, spread

CLEAR = 3.0  # standard errors by which an unjudged metric must be worse to count
APART = 5.0  # standard errors between one sample group and the mean of the others

COPYING = ("copy_rate", "authenticity")
DIVERSITY = ("recall", "improved_recall", "coverage", "ms_ssim")
FIDELITY = ("precision", "improved_precision", "density")


@dataclass(frozen=True)
class Finding:
    """One likely cause."""

    kind: str  # "copying", "duplicates", "intensity", "collapse", "diversity", "fidelity", "everything", ...
    title: str
    text: str
    because: tuple[str, ...]  # the figures it stands on, "FID 12.3 ± 0.4 against 6.8 ± 0.4"
    look_at: str = ""  # the report's section that shows it


def explain(model: ModelRecord, evidence: Evidence | None = None) -> tuple[Finding, ...]:
    """The findings that apply to a model, most telling first; empty where nothing was lost."""
    lost = frozenset(name for name in model.metrics if is_lost(model, name))
    found = [*_marks(model, lost, evidence), *_manifold(model, lost)]
    rest = lost - {metric for kind in (COPYING, DIVERSITY, FIDELITY) for metric in kind}
    if not found:
        found += _residual(model, rest)
    return (*found, *_one_seed(model, lost))


def is_lost(model: ModelRecord, metric: str) -> bool:
    """Judged FAIL; or judged by nobody and clearly worse than the baseline."""
    verdict = model.verdict(metric)
    if verdict is not None:
        return verdict.outcome == Outcome.FAIL
    worse = change(model, metric)
    return worse is not None and worse >= CLEAR


def caveats(model: ModelRecord) -> tuple[str, ...]:
    """What could not be looked into, so that silence is not read as health."""
    last = model.last
    if last is None:
        return ("Nothing was measured.",)
    notes = []
    if not any(name in last.metrics for name in COPYING):
        why = next((last.unmeasured[name] for name in COPYING if name in last.unmeasured), "not asked for")
        notes.append(f"Copying of training images was not looked into ({why}).")
    if "duplicate_rate" not in last.metrics:
        notes.append("Duplicates were not looked for.")
    blocked = sorted({v.outcome for v in model.verdicts} & {Outcome.INCOMPARABLE, Outcome.MISSING})
    if blocked:
        notes.append(f"Some comparisons could not be made ({', '.join(blocked)}); the reasons stand in the table.")
    return tuple(notes)


def _marks(model: ModelRecord, lost: frozenset[str], evidence: Evidence | None) -> list[Finding]:
    """The findings that one kind of metric settles by itself."""
    found = []
    if lost & set(COPYING):
        text = (
            "More generated images lie too close to single training images. A model that has memorised can give away "
            "the patients it was trained on: look at the suspected copies before anything else, and do not share "
            "samples until it is understood."
        )
        found.append(Finding("copying", "Copies of training images", text, _because(model, lost, COPYING), "copies"))
    if "duplicate_rate" in lost:
        text = (
            "The generator repeats itself: different latents end in near-identical images. Usual causes are a latent "
            "that is not passed on, a seed that is reset between batches, or the beginning of a collapse."
        )
        because = _because(model, lost, ("duplicate_rate",))
        found.append(Finding("duplicates", "Repeated images", text, because, "duplicates"))
    if "intensity_distance" in lost:
        because = (*_because(model, lost, ("intensity_distance",)), *grey_shift(evidence))
        text = (
            "The grey levels have moved, so tissues no longer have the HU they should. Usual causes are another "
            "window, another scaling of the network's output to 0..255, or training images prepared differently. "
            "A shift of this kind drags the other metrics along: settle it first."
        )
        found.append(Finding("intensity", "An intensity shift", text, because, "curves"))
    return found


def _manifold(model: ModelRecord, lost: frozenset[str]) -> list[Finding]:
    """What precision and recall say together."""
    diverse, faithful = lost & set(DIVERSITY), lost & set(FIDELITY)
    found = []
    if _collapsed(model, lost):
        text = (
            "The generator now covers a small part of what the real images hold and repeats it: mode collapse. "
            "Usual causes are a discriminator that won, a learning rate raised too far, or batch statistics that "
            "were frozen wrongly."
        )
        because = _because(model, lost, (*DIVERSITY, "duplicate_rate"))
        found.append(Finding("collapse", "A collapse of diversity", text, because, "samples"))
    elif diverse and not faithful:
        text = (
            "Parts of the real distribution are no longer produced, while no metric of fidelity was lost. "
            "Usual causes are truncation of the latent, a sub-population missing from the training set, "
            "or the beginning of a mode collapse."
        )
        found.append(Finding("diversity", "A loss of diversity", text, _because(model, lost, DIVERSITY), "tsne"))
    if faithful and not diverse:
        text = (
            "Generated images lie further from real ones, while no metric of diversity was lost. Usual causes are "
            "blur, noise or checkerboard artefacts, training stopped early, or a loss of precision in an export."
        )
        found.append(Finding("fidelity", "A loss of fidelity", text, _because(model, lost, FIDELITY), "outside"))
    if faithful and diverse and not _collapsed(model, lost):
        text = (
            "Fidelity and diversity fell together: the generated images as a whole have moved away from the real ones. "
            "Rather than a subtle loss this is often a change of preparation (orientation, window, resizing), "
            "another checkpoint than was meant, or training that diverged. Compare the sample grids first."
        )
        because = _because(model, lost, (*FIDELITY, *DIVERSITY))
        found.append(Finding("everything", "The whole distribution has moved", text, because, "samples"))
    if faithful and _collapsed(model, lost):
        text = "What is left of the variety also looks less real than before."
        found.append(
            Finding("fidelity", "A loss of fidelity as well", text, _because(model, lost, FIDELITY), "outside")
        )
    return found


def _collapsed(model: ModelRecord, lost: frozenset[str]) -> bool:
    if {"duplicate_rate", "ms_ssim"} <= lost:
        return True
    if "improved_recall" not in lost or not lost & {"duplicate_rate", "ms_ssim", "coverage"}:
        return False
    last = model.last
    if last is None or "improved_recall" not in last.metrics or model.baseline is None:
        return False
    row = model.baseline.at("improved_recall", last.n_fake, model.full_count)
    return row is not None and last.metrics["improved_recall"].mean < row.value / 2


def _residual(model: ModelRecord, rest: frozenset[str]) -> list[Finding]:
    """What remains where no ball, copy or histogram has moved."""
    if rest & {"fid", "kid"}:
        if all(change(model, metric) is None for metric in (*FIDELITY, *DIVERSITY)):
            text = (
                "The distance to the real images is beyond its limit, and there is no earlier value of precision, "
                "recall or their kind that would tell a loss of fidelity from a loss of diversity. The Real column "
                "says what real images reach."
            )
            because = _because(model, rest, ("fid", "kid"))
            return [Finding("distance", "Too far from the real images", text, because, "table")]
        text = (
            "The distance between the distributions grew while neither precision nor recall moved clearly: a small "
            "shift of all images alike. Fine texture, sharpness and noise do this, and so does another "
            "way of resizing."
        )
        return [
            Finding("texture", "A small shift of all images", text, _because(model, rest, ("fid", "kid")), "outside")
        ]
    if "inception_score" in rest:
        text = (
            "Only the classifier's view changed: the two classes are produced in another balance, or less distinctly. "
            "For a two-class problem this score is coarse; look at the other figures before drawing conclusions."
        )
        because = _because(model, rest, ("inception_score",))
        return [Finding("class balance", "Another balance of classes", text, because, "samples")]
    if rest:
        text = "No rule of this report covers the metrics that were lost; their lines in the table say by how much."
        return [Finding("other", "Another metric was lost", text, _because(model, rest, tuple(sorted(rest))), "table")]
    return []


def _one_seed(model: ModelRecord, lost: frozenset[str]) -> list[Finding]:
    """One sample group that stands apart explains a mean that moved."""
    last = model.last
    suspects: dict[int, list[str]] = {}
    for metric in model.metrics:
        measured = last.metrics.get(metric) if last else None
        if metric not in lost or measured is None or len(measured.values) < 3:
            continue
        place = apart(measured.values, measured.se * math.sqrt(len(measured.values)))
        if place is not None:
            suspects.setdefault(place, []).append(metric)
    found = []
    for place, metrics in sorted(suspects.items()):
        seed = model.groups[place] if place < len(model.groups) else str(place + 1)
        because = []
        for metric in metrics:
            facts = model.facts(metric)
            values = last.metrics[metric].values if last else ()
            because.append(f"{facts.label} by sample group: {', '.join(facts.show(v) for v in values)}")
        text = (
            f"The sample group of seed {seed} stands apart from the others. A fault that comes and goes with the seed "
            "points to sampling (a broken seed, a short or repeated batch) rather than to the weights."
        )
        found.append(Finding("one seed", "One sample group stands apart", text, tuple(because), "table"))
    return found


def apart(values: tuple[float, ...], se: float) -> int | None:
    """The place of the one value that stands apart from the others, or None.

    `se` is the standard error of a single group; the spread of the others counts where it is larger.
    """
    place = max(range(len(values)), key=lambda i: abs(values[i] - statistics.median(values)))
    others = [v for i, v in enumerate(values) if i != place]
    error = max(se if math.isfinite(se) else 0.0, statistics.stdev(others))
    gap = abs(values[place] - statistics.fmean(others))
    return place if error > 0 and gap > APART * error else None


def grey_shift(evidence: Evidence | None) -> tuple[str, ...]:
    """What the histograms say of brightness and contrast, in HU where the window is known."""
    if evidence is None or evidence.histogram_real is None or evidence.histogram_fake is None:
        return ()
    low, high = evidence.window or (0.0, 255.0)
    unit = "HU" if evidence.window else "grey levels"
    levels = low + (high - low) * np.arange(256) / 255.0

    def moments(histogram: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[float, float]:
        weights = histogram / max(int(histogram.sum()), 1)
        mean = float(weights @ levels)
        return mean, float(np.sqrt(weights @ (levels - mean) ** 2))

    (real_mean, real_sd), (fake_mean, fake_sd) = moments(evidence.histogram_real), moments(evidence.histogram_fake)
    direction = "brighter" if fake_mean > real_mean else "darker"
    contrast = f", and their contrast is {100 * fake_sd / real_sd:.0f}% of it" if real_sd else ""
    return (f"generated images are {abs(fake_mean - real_mean):.0f} {unit} {direction} than real ones{contrast}",)


def _because(model: ModelRecord, lost: frozenset[str], metrics: tuple[str, ...]) -> tuple[str, ...]:
    last = model.last
    reasons = []
    for name in (m for m in metrics if m in lost):
        facts = model.facts(name)
        measured = last.metrics.get(name) if last else None
        row = model.baseline.at(name, last.n_fake, model.full_count) if model.baseline and last else None
        against = f" against {spread(facts, row)}" if row else ""
        worse = change(model, name)
        by = f", {worse:.1f} se worse" if worse is not None else ""
        reasons.append(f"{facts.label} {spread(facts, measured)}{against}{by}")
    return tuple(reasons)
