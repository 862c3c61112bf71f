"""What the gate asks of an evaluation."""

from __future__ import annotations

from typing import Protocol

from pytest_medgan.records.evidence import Evidence
from pytest_medgan.records.fingerprint import Fingerprint
from pytest_medgan.records.scores import Paired, Scores
from pytest_medgan.records.verdicts import Change


class Evaluation(Protocol):
    """A model's scores, computed when first asked for and kept."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The looks it can give: images per sample group, ascending; the last is the full count."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What must agree before its scores may be compared."""

    @property
    def identity(self) -> str | None:
        """The generator's digest; None where it has none or where there are several training runs."""

    @property
    def change(self) -> Change | None:
        """What was changed since the baseline; None where nobody said."""

    def at(self, n: int) -> Scores:
        """Return the scores at a look of `n` images per sample group."""

    def paired(self, n: int) -> Paired | None:
        """Return the accepted model's images beside its own at a look; None where no accepted model was named."""

    def evidence(self) -> Evidence:
        """Return what pictures and explanations need."""
