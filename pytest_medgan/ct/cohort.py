"""The patients of a data set: the clinical table, the choice of patients, and their pseudonyms."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.ct.findings import Findings
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

DECEASED, ALIVE, UNKNOWN = 1, 0, -1
PROTOCOL_HISTOLOGIES = ("adenocarcinoma", "squamous cell carcinoma")  # the paper's
_COLUMNS = {
    "patient": ("patientid", "patient", "patient_id", "case", "subject", "subjectid"),
    "histology": ("histology",),
    "dead": ("deadstatus.event", "deadstatus", "dead", "deceased", "event", "vital.status", "vitalstatus"),
}
_DEAD = {"1": DECEASED, "1.0": DECEASED, "dead": DECEASED, "deceased": DECEASED, "yes": DECEASED, "true": DECEASED}
_LIVING = {"0": ALIVE, "0.0": ALIVE, "alive": ALIVE, "no": ALIVE, "false": ALIVE}
_NOTHING = ("", "na", "nan", "unknown")


@dataclass(frozen=True)
class ClinicalRow:
    """One patient of the clinical table."""

    patient: str
    histology: str  # lower case; "" where unknown
    label: int  # 1 deceased, 0 alive, -1 unknown


def read_rows(path: Path, name: str) -> list[list[str]]:
    """Read a table of text, fields separated by commas, semicolons or tabs, whichever its first line has most of.

    Args:
        path: The file. It is UTF-8, UTF-16 with a byte order mark, or an 8-bit encoding, whose letters beyond ASCII
            are taken as Latin-1.
        name: What messages call the file.

    Raises:
        DataError: The file is not a table.
    """
    try:
        content = path.read_bytes()
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = content.decode("utf-16")
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = content.decode("latin-1")
        head = text.partition("\n")[0]
        separator = "\t" if name.lower().endswith(".tsv") else max(",;\t", key=head.count)  # the first of equals
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("A table cannot be read. Save it as UTF-8 CSV, or remove it.", file=name) from error


def read_table(path: Path, name: str, findings: Findings) -> dict[str, ClinicalRow] | None:
    """Read a clinical table.

    Args:
        path: The file.
        name: The file, relative to the data root.
        findings: Where lines that cannot be used are noted.

    Returns:
        PatientID -> row; None for a table that names no patients, or neither outcome nor histology.
    """
    try:
        lines = read_rows(path, name)
    except DataError as error:
        findings.pass_over_part(error, "table that cannot be read")
        return None
    columns = _find_columns(lines[0]) if lines else {}
    if columns.get("patient") is None or (columns["dead"] is None and columns["histology"] is None):
        return None
    rows: dict[str, ClinicalRow] = {}
    for number, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line):
            row = _row(line, columns, number, name, findings)
            if row is not None:
                _add(rows, row, f"Line {number} of the clinical table", name, findings)
    return rows


def read_tables(root: Path, names: Sequence[str], findings: Findings) -> dict[str, ClinicalRow]:
    """Read all clinical tables of a source together; see `read_table`."""
    rows: dict[str, ClinicalRow] = {}
    for name in names:
        for row in (read_table(root / name, name, findings) or {}).values():
            _add(rows, row, "A clinical table", name, findings)
    return rows


def _add(rows: dict[str, ClinicalRow], row: ClinicalRow, what: str, name: str, findings: Findings) -> None:
    """Add a row; of two that contradict each other, only what they agree on is kept."""
    known = rows.setdefault(row.patient, row)
    if known != row:
        findings.pass_over_part(
            DataError(f"{what} contradicts another line on the same patient. Remove one of them.", file=name),
            "line of a clinical table that contradicts another",
        )
        rows[row.patient] = ClinicalRow(
            row.patient,
            row.histology if row.histology == known.histology else "",
            row.label if row.label == known.label else UNKNOWN,
        )


def choose_patients(
    patients: Sequence[str], table: Mapping[str, ClinicalRow], settings: DataSettings, findings: Findings
) -> list[str]:
    """Return who takes part, in PatientID order: those of the wanted histologies, and of them the first N.

    Args:
        patients: Who has images, in order.
        table: The clinical table, PatientID -> row.
        settings: What was asked for.
        findings: Where it is noted how many have no row or no images.

    Raises:
        DataError: A histology was asked for that is unknown for all patients, or that no patient has.
    """
    if table:
        unlisted = sum(patient not in table for patient in patients)
        absent = len(set(table) - set(patients))
        if unlisted:
            findings.warn(f"{unlisted} of {len(patients)} patients are not in the clinical table: label unknown")
        if absent:
            findings.warn(f"{absent} patients of the clinical table have no images")
    wanted = {name.strip().casefold() for name in settings.histologies}
    if wanted and not table:
        raise DataError("Histologies were asked for and there is no clinical table. Add it, or leave them out.")
    unknown = sorted(wanted - {row.histology for row in table.values()})
    if unknown and len(unknown) < len(wanted):
        findings.warn(
            f"no patient of the clinical table has {len(unknown)} of the histologies that were asked for: "
            f"{', '.join(unknown)}"
        )
    chosen = [name for name in patients if not wanted or (name in table and table[name].histology in wanted)]
    if not chosen:
        raise DataError("No patient has a histology that was asked for. Compare them with the clinical table's names.")
    if settings.patients is not None and settings.patients > len(chosen):
        findings.warn(f"{settings.patients} patients were asked for and only {len(chosen)} exist")
    return chosen[: settings.patients]


def _find_columns(head: Sequence[str]) -> dict[str, int | None]:
    """Return which column holds what."""
    plain = [cell.strip().casefold() for cell in head]
    return {
        what: next((plain.index(name) for name in names if name in plain), None) for what, names in _COLUMNS.items()
    }


def _row(
    line: Sequence[str], columns: Mapping[str, int | None], number: int, name: str, findings: Findings
) -> ClinicalRow | None:
    """Return one line of a clinical table; None where it names no patient."""

    def cell(what: str) -> str:
        at = columns[what]
        return "" if at is None or at >= len(line) else line[at].strip()

    if not cell("patient"):
        findings.pass_over_part(
            DataError(f"Line {number} of the clinical table has no patient. Fill it in or remove it.", file=name),
            "line of a clinical table without a patient",
        )
        return None
    dead = cell("dead").casefold()
    if dead not in _NOTHING and dead not in _DEAD and dead not in _LIVING:
        findings.pass_over_part(
            DataError(
                f"Line {number} of the clinical table has an outcome that is neither 0 nor 1. Correct it.", file=name
            ),
            "outcome in a clinical table that is neither 0 nor 1",
        )
    label = _DEAD.get(dead, _LIVING.get(dead, UNKNOWN))
    histology = cell("histology").casefold()
    return ClinicalRow(cell("patient"), "" if histology in _NOTHING else histology, label)


def pseudonyms(patients: Sequence[str], instances: Sequence[str]) -> dict[str, str]:
    """Return patient -> "p" and 12 hex digits, a hash of the PatientID under a key made of the data set itself.

    The key is a digest of the sorted SOPInstanceUIDs (or of file digests, where a source has none): the same data give
    the same pseudonyms in any order of files, another data set gives others, and without the data a name cannot be
    tried out.

    Raises:
        DataError: Two patients got the same pseudonym.
    """
    key = hashlib.blake2b("\n".join(sorted(set(instances))).encode(), digest_size=32).digest()
    made = {
        # a folder that names a patient need not have a UTF-8 name
        patient: "p" + hashlib.blake2b(patient.encode(errors="surrogateescape"), key=key, digest_size=6).hexdigest()
        for patient in sorted(set(patients))
    }
    if len(set(made.values())) != len(made):
        raise DataError("Two patients share a pseudonym. Leave one of them out.")
    return made
