"""Probable causes of a regression, from the pattern over the metrics.

The rules look at the metrics that got worse. Several may apply.

| cause | rule |
| --- | --- |
| copying | copy rate, memorised rate or authenticity |
| anomalies | anomaly rate |
| implausible | implausible rate |
| duplicates | duplicate rate |
| collapse | duplicate rate and MS-SSIM, or improved recall halved together with one of these or coverage |
| intensity | intensity distance |
| diversity | recall, improved recall, coverage or MS-SSIM, no fidelity metric and no collapse |
| fidelity | precision, improved precision or density, and no diversity metric |
| everything | a diversity metric and a fidelity metric, and no collapse: the whole distribution moved |
| texture | FID or KID, and nothing of the above |
| distance | the same without any value of precision and recall to compare with |
| class balance | the inception score, and nothing of the above |
| one seed | one of three or more sample groups stands apart in a metric that got worse |

A rule names a probable cause. It is a reading of which figures moved, not a proof.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace

from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report.comparisons import Standing, lost, probably_lost, spread, standings
from pytest_medgan.report.evidence_words import anomaly_text, copied_patients_text, grey_shift, implausible_text
from pytest_medgan.report.numbers import errors_text
from pytest_medgan.report.record import ModelRecord

APART = 5.0  # standard errors between one sample group and the mean of the others

COPYING = ("copy_rate", "memorised_rate", "authenticity")
DIVERSITY = ("recall", "improved_recall", "coverage", "ms_ssim")
_OF_ONE_METRIC = {"anomalies": "anomaly_rate", "implausible": "implausible_rate", "intensity": "intensity_distance"}
FIDELITY = ("precision", "improved_precision", "density")


@dataclass(frozen=True)
class Cause:
    """One probable cause."""

    kind: str  # "copying", "collapse", ...: a rule of the table above
    short: str  # what the model does, in half a sentence: "the model repeats a few images"
    text: str  # what it means and what usually leads to it
    because: tuple[str, ...]  # the figures it rests on, one per metric
    look_at: str  # section of the report that shows it


# kind -> (short, text, section of the report that shows it)
_WORDS = {
    "copying": (
        "the model copies training images",
        "More generated images lie too close to single training images. A model that memorised its training set can "
        "reveal patients. Look at the suspected copies first, and do not share samples before the cause is known.",
        "copies",
    ),
    "anomalies": (
        "some generated images look wrong",
        "More images look like altered real ones: upside-down, joined from two, smeared or the like. A small share "
        "of such images hardly moves the other metrics. Usual causes: a part of the training images that was prepared "
        "in another way, an augmentation that reached the output, or artefacts of the generator.",
        "anomalies",
    ),
    "implausible": (
        "some images show anatomy that real images do not",
        "More images lie outside the range of real images in HU: in the shares of air, lung, fat, soft tissue and "
        "bone, the body outline, or noise. Usual causes: another window or offset of HU, an output that is cut off, a "
        "part of the training images that shows another part of the body, or a decoder that adds noise.",
        "implausible",
    ),
    "duplicates": (
        "the model repeats images",
        "Different latents give near-identical images. Usual causes: a latent that is not passed on, a seed that is "
        "reset between batches, or the beginning of a mode collapse.",
        "duplicates",
    ),
    "intensity": (
        "the grey levels have shifted",
        "Tissues no longer have the HU they should have. Usual causes: another window, another scaling of the "
        "network's output to 0..255, or training images that were prepared in another way. Such a shift makes other "
        "metrics worse as well, so correct it first.",
        "curves",
    ),
    "levels": (  # the same where HU are not known
        "the grey levels or colours have shifted",
        "Pixels no longer have the levels that those of real images have. Usual causes: another scaling of the "
        "network's output to 0..255, exchanged colour channels, or training images that were prepared in another way. "
        "Such a shift makes other metrics worse as well, so correct it first.",
        "curves",
    ),
    "collapse": (
        "the model repeats a few images (mode collapse)",
        "The generated images cover a small part of the real ones. Usual causes: a discriminator that has become too "
        "strong, a learning rate that is too high, or batch statistics that were frozen wrongly.",
        "samples",
    ),
    "diversity": (
        "some kinds of real images are no longer generated",
        "Parts of the real distribution are missing, while fidelity is unchanged. Usual causes: truncation of the "
        "latent, a group of patients missing from the training set, or the beginning of a mode collapse.",
        "tsne",
    ),
    "fidelity": (
        "the images look less real",
        "Generated images lie further from real ones. Usual causes: blur, noise or checkerboard artefacts, training "
        "that stopped early, or lower numerical precision after an export.",
        "outside",
    ),
    "everything": (
        "all images have moved away from the real ones",
        "Fidelity and diversity became worse together. This is often not a small loss of quality but a change of "
        "preparation (orientation, window, resizing), another checkpoint than intended, or training that diverged. "
        "Compare the samples first.",
        "samples",
    ),
    "texture": (
        "all images have shifted a little",
        "The distance between the distributions grew while precision and recall did not change clearly. Fine texture, "
        "sharpness, noise or another way of resizing have this effect.",
        "outside",
    ),
    "distance": (
        "the images are too far from the real ones",
        "There is no earlier value of precision, recall or similar metrics that would distinguish a loss of "
        "fidelity from a loss of diversity. The column Real says which values real images reach.",
        "table",
    ),
    "class balance": (
        "the balance of the two classes has changed",
        "Only the classifier's output changed: the two classes are generated in another ratio, or less distinctly. For "
        "two classes this score is coarse, so look at the other metrics before you draw a conclusion.",
        "samples",
    ),
    "other": (
        "another metric became worse",
        "No rule of this report covers the metrics that became worse. Their rows of the table say by how much.",
        "table",
    ),
    "one seed": (
        "one sample group differs from the others",
        "A fault that depends on the seed points to sampling (a wrong seed, a short or repeated batch) and not to the "
        "weights.",
        "table",
    ),
}


def causes(model: ModelRecord, evidence: Evidence | None = None) -> tuple[Cause, ...]:
    """Return the probable causes of what got worse, the most important first.

    Args:
        model: One model of a run.
        evidence: Its evidence, for the size of a shift of grey levels.

    Returns:
        Causes of the metrics that failed; where none failed, of those that are probably worse. Empty where nothing
        got worse.
    """
    suspected = {s.metric: s for s in probably_lost(model)}
    worse = {s.metric: s for s in lost(model)} or suspected
    found = []
    for kind, names in _kinds(model, worse, suspected):
        figures = {**suspected, **worse} if kind == "collapse" else worse
        words = _WORDS["levels" if kind == "intensity" and model.window is None else kind]
        found.append(_cause(kind, words, [figures[name] for name in names if name in figures]))
    if evidence is not None:
        details = {
            "intensity": grey_shift(evidence),
            "anomalies": anomaly_text(evidence),
            "implausible": implausible_text(evidence),
            "copying": copied_patients_text(evidence),
        }
        found = [replace(c, because=(*c.because, more)) if (more := details.get(c.kind)) else c for c in found]
    return (*found, *_single_seeds(model, worse))


def limits_of_knowledge(model: ModelRecord) -> tuple[str, ...]:
    """Return what was not examined, so that readers do not take it for good.

    Args:
        model: One model of a run.

    Returns:
        Sentences for the reader.
    """
    last = model.last
    if last is None:
        return ("Nothing was measured.",)
    notes = []
    if not any(name in last.metrics for name in COPYING):
        why = next((last.unmeasured[name] for name in COPYING if name in last.unmeasured), "not asked for")
        notes.append(f"Copying of training images was not examined ({why}).")
    if "duplicate_rate" not in last.metrics:
        notes.append("Duplicates were not examined.")
    blocked = sorted({str(c.outcome) for c in model.comparisons} & {Outcome.INCOMPARABLE, Outcome.MISSING})
    if blocked:
        notes.append(f"Some comparisons could not be made ({', '.join(blocked)}). The table gives the reasons.")
    return tuple(notes)


def group_apart(values: tuple[float, ...], error: float) -> int | None:
    """Return the index of the one value that lies far from the others.

    Args:
        values: One value per sample group, at least three.
        error: Standard error of a single group. The spread of the others counts where it is larger.

    Returns:
        The index, or None where no value or more than one lies far from the others.
    """
    median = statistics.median(values)
    place = max(range(len(values)), key=lambda i: abs(values[i] - median))
    others = [v for i, v in enumerate(values) if i != place]
    least = max(error if math.isfinite(error) else 0.0, statistics.stdev(others))
    gap = abs(values[place] - statistics.fmean(others))
    return place if least > 0 and gap > APART * least else None


def _kinds(
    model: ModelRecord, worse: dict[str, Standing], suspected: dict[str, Standing]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the causes that apply, each with the metrics it rests on."""
    kinds: list[tuple[str, tuple[str, ...]]] = []
    if worse.keys() & set(COPYING):
        kinds.append(("copying", COPYING))
    is_collapse = _is_collapse(worse, suspected)
    if is_collapse:
        kinds.append(("collapse", (*DIVERSITY, "duplicate_rate")))
    kinds += [(kind, (name,)) for kind, name in _OF_ONE_METRIC.items() if name in worse]
    kinds += _kinds_of_the_manifold(worse, is_collapse=is_collapse)
    if "duplicate_rate" in worse and not is_collapse:
        kinds.append(("duplicates", ("duplicate_rate",)))
    return kinds or _kinds_of_the_rest(model, set(worse))


def _kinds_of_the_manifold(worse: dict[str, Standing], *, is_collapse: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Return the causes that precision and recall decide together."""
    diverse, faithful = bool(worse.keys() & set(DIVERSITY)), bool(worse.keys() & set(FIDELITY))
    if diverse and faithful and not is_collapse:
        return [("everything", (*FIDELITY, *DIVERSITY))]
    if diverse and not is_collapse:
        return [("diversity", DIVERSITY)]
    return [("fidelity", FIDELITY)] if faithful else []


def _kinds_of_the_rest(model: ModelRecord, rest: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the cause where neither single metrics nor precision and recall have changed."""
    if rest & {"fid", "kid"}:
        manifold = {*FIDELITY, *DIVERSITY} - {"ms_ssim"}
        known = any(s.errors is not None for s in standings(model) if s.metric in manifold)
        return [("texture" if known else "distance", ("fid", "kid"))]
    if "inception_score" in rest:
        return [("class balance", ("inception_score",))]
    return [("other", tuple(sorted(rest)))] if rest else []


def _is_collapse(worse: dict[str, Standing], suspected: dict[str, Standing]) -> bool:
    """Return whether the pattern is that of a mode collapse; recall may be undecided where images are more alike."""
    alike = worse.keys() & {"duplicate_rate", "ms_ssim"}
    if len(alike) == 2:
        return True
    recall = worse.get("improved_recall") or (suspected.get("improved_recall") if alike else None)
    if recall is None or not (alike or "coverage" in worse):
        return False
    return recall.measured is not None and recall.before is not None and recall.measured.mean < recall.before / 2


def _cause(kind: str, words: tuple[str, str, str], metrics: list[Standing]) -> Cause:
    """Return the cause of a kind in its words, with the figures it rests on."""
    short, text, look_at = words
    return Cause(kind, short, text, tuple(map(_figure, metrics)), look_at)


def _figure(standing: Standing) -> str:
    """Return one metric's figures: "FID 12.3 ± 0.4, before 6.8 ± 0.4, 15 standard errors worse"."""
    parts = [f"{standing.label} {spread(standing.scale, standing.measured)}"]
    if standing.baseline is not None:
        parts.append(f"before {spread(standing.scale, standing.baseline)}")
    if standing.errors is not None:
        parts.append(f"{errors_text(standing.errors)} standard errors worse")
    return ", ".join(parts)


def _single_seeds(model: ModelRecord, worse: dict[str, Standing]) -> list[Cause]:
    """Return a cause for each sample group that stands apart from the others in a metric that got worse."""
    suspects: dict[int, list[str]] = {}
    for standing in worse.values():
        measured = standing.measured
        if measured is None or len(measured.values) < 3:
            continue
        place = group_apart(measured.values, measured.se * math.sqrt(len(measured.values)))
        if place is not None:
            values = ", ".join(standing.scale.show(v) for v in measured.values)
            suspects.setdefault(place, []).append(f"{standing.label} by sample group: {values}")
    short, text, look_at = _WORDS["one seed"]
    found = []
    for place, figures in sorted(suspects.items()):
        seed = model.groups[place] if place < len(model.groups) else str(place + 1)
        found.append(Cause("one seed", f"{short}: that of seed {seed}", text, tuple(figures), look_at))
    return found
