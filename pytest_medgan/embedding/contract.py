"""What an extractor is to the package: what it offers, resolved once when it is loaded, and what it may return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import CANARY_TOLERANCE, Float32, Progress, UInt8, no_progress

BATCH = 128  # images that an extractor is handed together where it does not say how many

Answer = tuple[Float32, Float32 | None]  # features [N,D], probabilities [N,C]
Embed = Callable[[UInt8, Progress], Answer]


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """An extractor and what it offers, resolved once when it is loaded. It is an `Extractor` itself."""

    run: Embed  # (uint8 [N,C,H,W] or [N,1,D,H,W], progress) -> features and probabilities, not yet checked
    identity: str  # equal identities give comparable features
    numeric_class: str  # "float32", "tf32" or "bfloat16"
    summary: str  # a few words for a header line
    engine: str = ""  # how it is computed; empty where there is no choice
    unit: int = BATCH  # images that are embedded together, the same in every process; it never shrinks
    block: int = BATCH  # images it is best handed together
    ball_dimensions: int | None = None  # leading columns in which neighbours are looked for; None: all
    trained_on: frozenset[str] = frozenset()  # pseudonyms of the patients it was fine-tuned on
    maps: FeatureSpace | None = None  # the many numbers before they are reduced to features; None: it offers none
    is_maps: bool = False  # it is the `maps` of another space
    takes_volumes: bool = False  # uint8 [N,1,D,H,W], one row of features for each
    volume_shape: tuple[int, ...] | None = None  # [D,H,W] of these, where known: the canary has it too
    channels: frozenset[int] = frozenset({1, 3})  # of the images it takes
    modules: tuple[str, ...] = ()  # modules of the user's that compute it; empty where the package does
    is_users: bool = False  # a function, an object or a file of the user's computes it

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> Answer:
        """Return features [N,D] and probabilities [N,C] or None of uint8 [N,C,H,W], or of volumes."""
        return self.run(pixels, progress)


def resolve_extractor(extractor: Any) -> FeatureSpace:
    """Return an extractor as a FeatureSpace.

    Args:
        extractor: An object with `identity`, `numeric_class` and `embed(pixels, progress)`; see `records.Extractor`.
            It may offer more by attributes: `summary`, `engine`, `batch`, `block`, `ball_dimensions`, `trained_on`,
            `takes_volumes`.
            `FeatureSpace` says what each means.

    Raises:
        ExtractorError: One of the three is missing, or an attribute it offers is of another type.
    """
    if isinstance(extractor, FeatureSpace):
        return extractor
    run, identity = getattr(extractor, "embed", None), getattr(extractor, "identity", None)
    numeric_class = getattr(extractor, "numeric_class", None)
    if not callable(run) or not isinstance(identity, str) or numeric_class not in CANARY_TOLERANCE:
        raise ExtractorError(
            f"The extractor is a {type(extractor).__name__} without embed, identity (text) or numeric_class "
            f"({', '.join(CANARY_TOLERANCE)}). Give it all three."
        )
    unit = _count(extractor, "batch", BATCH)
    return FeatureSpace(
        run=run,
        identity=identity,
        numeric_class=str(numeric_class),
        summary=str(getattr(extractor, "summary", identity)),
        engine=str(getattr(extractor, "engine", "")),
        unit=unit or BATCH,
        block=_count(extractor, "block", BATCH) or BATCH,
        ball_dimensions=_count(extractor, "ball_dimensions", None),
        trained_on=frozenset(map(str, getattr(extractor, "trained_on", ()))),
        takes_volumes=bool(getattr(extractor, "takes_volumes", False)),
        modules=(type(extractor).__module__,),
        is_users=True,
    )


def check_answer(answer: Answer, count: int) -> Answer:
    """Return a copy in float32 of what an extractor returned for `count` images; it may use its arrays again.

    Raises:
        ExtractorError: A shape is wrong, a feature is NaN or infinite, or probabilities do not sum to 1.
    """
    features = np.array(answer[0], dtype=np.float32)
    probabilities = None if answer[1] is None else np.array(answer[1], dtype=np.float32)
    if features.ndim != 2 or len(features) != count or features.shape[1] == 0:
        raise ExtractorError(
            f"The extractor returned features {list(features.shape)} for {count} images. Return [{count},D]."
        )
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise ExtractorError(
            f"The extractor returned NaN or infinite features for {bad} of {count} images. Check its weights."
        )
    if probabilities is not None:
        if probabilities.ndim != 2 or len(probabilities) != count:
            raise ExtractorError(
                f"The extractor returned probabilities {list(probabilities.shape)} for {count} images. "
                f"Return [{count},C]."
            )
        sums = probabilities.sum(axis=1)
        if not (np.isfinite(sums).all() and (probabilities >= 0).all() and (abs(sums - 1) < 1e-3).all()):
            raise ExtractorError("The extractor's probabilities are negative, NaN or do not sum to 1. Apply a softmax.")
    return features, probabilities


def _count(extractor: Any, name: str, otherwise: int | None) -> int | None:
    """Return an attribute that counts something, or `otherwise` where it is absent or None."""
    value = getattr(extractor, name, None)
    if value is None:
        return otherwise
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ExtractorError(f"The extractor's {name} is {value!r}. Make it a whole number of at least 1.")
    return value
