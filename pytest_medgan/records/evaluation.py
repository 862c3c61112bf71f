"""What the gate asks of an evaluation."""

from __future__ import annotations

from typing import Protocol

from pytest_medgan.records.evidence import Evidence
from pytest_medgan.records.fingerprint import Fingerprint
from pytest_medgan.records.scores import Scores


class Evaluation(Protocol):
    """A model's scores, computed when first asked for and kept.

    An evaluation may also have
      paired(n) -> Paired | None   the accepted model's images beside its own at that look; None where none was named
    """

    @property
    def counts(self) -> tuple[int, ...]:
        """The looks it can give: images per sample group, ascending; the last is the full count."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What must agree before its scores may be compared."""

    def at(self, n: int) -> Scores:
        """Return the scores at a look of `n` images per sample group."""

    def evidence(self) -> Evidence:
        """Return what pictures and explanations need."""
