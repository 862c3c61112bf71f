"""What must agree before two scores may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pytest_medgan.records.arrays import Scalar

_ABSENT = "absent"


@dataclass(frozen=True)
class Fingerprint:
    """Identities of everything that determines a score."""

    inputs: Mapping[str, Scalar]  # identities and recipes, never computed floats; flat, sorted by key
    canary: tuple[float, ...] | None = None  # features of eight canned images, projected; None before embedding
    canary_tolerance: float = 1e-3  # relative to the canary's norm, by numeric class
    environment: Mapping[str, Scalar] = field(default_factory=dict)  # shown, never compared
    revisions: Mapping[str, int | str] = field(default_factory=dict)  # metric -> version of its code

    def differences(self, other: Fingerprint, metric: str | None = None) -> tuple[str, ...]:
        """Return one line per difference ("key: ours != theirs"); empty when scores may be compared.

        Args:
            other: What the other scores were measured with.
            metric: The metric to compare; its code must be the same too. None leaves revisions out.
        """
        lines = [
            f"{key}: {self.inputs.get(key, _ABSENT)} != {other.inputs.get(key, _ABSENT)}"
            for key in sorted({*self.inputs, *other.inputs})
            if self.inputs.get(key, _ABSENT) != other.inputs.get(key, _ABSENT)
        ]
        if metric is not None and metric in self.revisions and metric in other.revisions:
            ours_revision, theirs_revision = self.revisions[metric], other.revisions[metric]
            if ours_revision != theirs_revision:
                lines.append(f"revision of {metric}: {ours_revision} != {theirs_revision}")
        if self.canary is not None and other.canary is not None:
            ours, theirs = np.asarray(self.canary, float), np.asarray(other.canary, float)
            tolerance = max(self.canary_tolerance, other.canary_tolerance)
            if ours.shape != theirs.shape:
                lines.append(f"canary: {ours.size} numbers != {theirs.size}")
            else:
                gap = float(np.linalg.norm(ours - theirs))
                scale = float(np.linalg.norm(theirs))
                if not gap <= tolerance * scale:  # written so that NaN counts as a difference
                    lines.append(f"canary: features differ by {gap / scale if scale else gap:.2e} relative")
        return tuple(lines)
