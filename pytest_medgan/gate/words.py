"""What a verdict's cause says to a reader, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pytest_medgan.gate.power import describe_need
from pytest_medgan.records import Suspect, Suspicion, Verdict, VerdictCause


def sentence(verdict: Verdict) -> str:
    """Return the words for a verdict's cause, with the verdict's own numbers; empty where there is nothing to say."""
    words = _WORDS.get(verdict.cause, "")
    return words if isinstance(words, str) else words(verdict)


def describe_suspect(suspect: Suspect) -> str:
    """Say why images are no sample of a generator."""
    share = f"{suspect.share:.0%}"
    return {
        Suspicion.SEED_IGNORED: f"the generator ignores its seed: {share} of the images of two groups are the same",
        Suspicion.SEEDS_OVERLAP: (
            f"two latent seeds share {share} of their images, so that all errors are too small: seed each image by "
            "[seed, index]"
        ),
        Suspicion.CONSTANT: "the generator returns one image, whatever its seed",
        Suspicion.NEARLY_CONSTANT: f"{share} of the images differ from their mean by less than one grey level",
        Suspicion.BLANK: f"{share} of the images are blank: one grey level all over",
        Suspicion.REFERENCE_RETURNED: f"{share} of the images are reference images, pixel by pixel",
        Suspicion.TRAINING_RETURNED: f"{share} of the images are training images, pixel by pixel",
        Suspicion.HELD_OUT_RETURNED: f"{share} of the images are held-out real images, pixel by pixel",
    }[suspect.suspicion]


def _recipe_worse(verdict: Verdict) -> str:
    if not verdict.run_sd or verdict.loss is None:
        return "the recipe became worse"
    return f"the recipe became worse by {verdict.loss / verdict.run_sd:.1f} run-to-run standard deviations"


def _more_runs(verdict: Verdict) -> str:
    far = "" if not verdict.run_sd or verdict.loss is None else f" by {verdict.loss / verdict.run_sd:.1f} run-to-run sd"
    return (
        f"this run is worse than most runs of the accepted recipe{far}; one run in ten of an unchanged recipe "
        "is. Train two more and judge the three together with --medgan-runs"
    )


def _needed(verdict: Verdict) -> str:
    needed = "" if verdict.needed_margin is None else f"; a margin of {verdict.needed_margin:.4g} would have passed"
    return f"too close to the margin to decide at the full count{needed}"


def _few_images(verdict: Verdict) -> str:
    many = "" if verdict.needed_images is None else f"; {describe_need(verdict.needed_images)}"
    return f"it {verdict.power}, so a PASS would mean nothing{many}"


def _few_runs(verdict: Verdict) -> str:
    return f"it {verdict.power}, so a PASS would mean nothing; more training runs in the row are needed"


def _cannot_fail(verdict: Verdict) -> str:
    return f"the limit is the worst value that {verdict.metric.name} can take, so nothing could fail"


_C = VerdictCause
_WORDS: Mapping[VerdictCause, str | Callable[[Verdict], str]] = MappingProxyType(
    {
        _C.WORSE: "worse than the limit by more than the margin",
        _C.RECIPE_WORSE: _recipe_worse,
        _C.ONE_RUN: (
            "worse than the accepted checkpoint; a row of one run does not show whether the recipe became worse: "
            "train two more runs of the accepted recipe and accept the three together"
        ),
        _C.MORE_RUNS: _more_runs,
        _C.DIFFERENT: "the change of form changed the images: the same weights should give the same value",
        _C.DRIFT: "worse than its anchor, the mean of the rows accepted so far: small losses have added up",
        _C.BETTER: "better than the baseline by more than chance: renew the baseline",
        _C.WITHIN_CHANCE: _needed,
        _C.MORE_IMAGES: "more images are needed",
        _C.WRONG_SIDE: "beyond the limit",
        _C.NOT_CERTAIN: "within the limit, but not with the confidence that was asked for",
        _C.NO_ERROR: "it has no standard error",
        _C.NOT_FINITE: "not a finite number, which never passes",
        _C.FEW_IMAGES: _few_images,
        _C.FEW_RUNS: _few_runs,
        _C.CANNOT_FAIL: _cannot_fail,
        _C.STOPPED: "left undecided: another metric had already failed",
        _C.NO_FINGERPRINT: "the baseline has no fingerprint or no canary; restore it, or accept the row again",
        _C.UNSEALED: (
            "the row has no seal, so a change of its values would not be noticed; restore it, or upgrade the file with "
            "`medgan baseline format FILE --reason ...`"
        ),
        _C.SEAL_BROKEN: (
            "the row was changed after it was sealed; restore it, or seal the change with "
            "`medgan baseline seal FILE --reason ...`"
        ),
        _C.NO_REAL_ROW: (
            "the margin needs the Real row at the full count; accept the row again with more held-out images"
        ),
        _C.WHICH_RUN: (
            "a change of form is compared with one checkpoint and the row holds several training runs; name the "
            "accepted checkpoint by --medgan-paired-with"
        ),
        _C.PUBLISHED: "published figures, measured elsewhere: gate on them only with published=True",
    }
)


def missing_words(row: str | None, origin: str) -> str:
    """Say that there is nothing to compare with, in words that several metrics share."""
    return f"no baseline yet: {origin} has no value in row {row!r}"
