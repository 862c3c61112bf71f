"""What must agree before two scores may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from pytest_medgan.records.arrays import Scalar

CANARY = "canary"
CONDITION = "condition"  # what the model was told to draw; it belongs to a row and not to a file or to the Real row
# features may differ between machines by this much, relative to their norm, before scores are not comparable any more;
# by numeric class, never by what a file says
CANARY_TOLERANCE = MappingProxyType({"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2})
_ABSENT = "absent"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Fingerprint:
    """Identities of everything that determines a score."""

    inputs: Mapping[str, Scalar]  # identities and recipes, never computed floats; flat, sorted by key
    canary: tuple[float, ...] | None = None  # features of eight canned images, projected; None before embedding
    environment: Mapping[str, Scalar] = field(default_factory=dict)  # shown, never compared
    revisions: Mapping[str, int | str] = field(default_factory=dict)  # of each metric's code; compared metric by metric

    def differences(self, other: Fingerprint, *, but: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Return one line per difference ("key: ours != theirs"), digests shortened; empty when scores may be compared.

        Args:
            other: The fingerprint to compare with.
            but: Keys that may differ.
        """
        lines = [
            f"{key}: {_shown(self.inputs.get(key, _ABSENT))} != {_shown(other.inputs.get(key, _ABSENT))}"
            for key in self.differing_inputs(other)
            if key not in but
        ]
        gap = self._canary_gap(other)
        return (*lines, f"{CANARY}: {gap}") if gap else tuple(lines)

    def of_any_model(self) -> Fingerprint:
        """Return the fingerprint without what belongs to one model: the condition that it draws under."""
        return replace(self, inputs=MappingProxyType({k: v for k, v in self.inputs.items() if k != CONDITION}))

    def differing_inputs(self, other: Fingerprint) -> tuple[str, ...]:
        """Return the keys of the inputs that differ, sorted."""
        return tuple(
            key
            for key in sorted({*self.inputs, *other.inputs})
            if self.inputs.get(key, _ABSENT) != other.inputs.get(key, _ABSENT)
        )

    def same_canary(self, other: Fingerprint) -> bool:
        """Whether the canaries agree within the numeric class's tolerance, or one of them was not computed."""
        return not self._canary_gap(other)

    def _canary_gap(self, other: Fingerprint) -> str:
        """Say how the canaries differ; empty where they agree."""
        if self.canary is None or other.canary is None:
            return ""
        ours, theirs = np.asarray(self.canary, float), np.asarray(other.canary, float)
        if ours.shape != theirs.shape:
            return f"{ours.size} numbers != {theirs.size}"
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return "features are NaN or infinite"
        gap, scale = float(np.linalg.norm(ours - theirs)), float(np.linalg.norm(theirs))
        tolerance = CANARY_TOLERANCE.get(str(self.inputs.get("numeric_class")), CANARY_TOLERANCE["float32"])
        if gap <= tolerance * scale:
            return ""
        return f"features differ by {gap / scale if scale else gap:.2e} relative"


def _shown(value: Scalar) -> Scalar:
    """Return a digest's first 12 digits, which tell two apart; anything else unchanged."""
    return value[:12] if isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value) else value
