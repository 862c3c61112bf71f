"""What every reader of a source is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.ct.cohort import ClinicalRow, read_tables
from pytest_medgan.ct.crew import Crew
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ground.listing import SourceFile
from pytest_medgan.records import DataSettings, Progress


@dataclass(frozen=True)
class Reading:
    """One source that is being read."""

    root: Path  # the data root
    files: tuple[SourceFile, ...]  # everything under it
    settings: DataSettings  # what was asked for
    findings: Findings  # what is passed over or remarkable
    crew: Crew  # does the work
    progress: Progress  # is called with what is done

    def names(self, *kinds: str) -> list[str]:
        """Return the files of some kinds, in order."""
        return [file.name for file in self.files if file.kind in kinds]

    def clinical_table(self) -> dict[str, ClinicalRow]:
        """Return the clinical tables of the source, PatientID -> row."""
        return read_tables(self.root, self.names("csv"), self.findings)

    def skip_others(self, *kinds: str, known: frozenset[str] = frozenset()) -> None:
        """Count the files that are neither of some kinds, nor tables, nor known."""
        others = [f.name for f in self.files if f.kind not in (*kinds, "csv") and f.name not in known]
        self.findings.skip("file of another kind", others)
