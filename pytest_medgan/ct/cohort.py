"""Who is in the data set: the clinical table, the patients it makes eligible, and the splits.

Chance comes from hashes of (seed, row), not from a library's generator, so that a split is the same on every machine
and under every version of anything.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_medgan.errors import DataError, LeakageError, SettingsError
from pytest_medgan.records import DataSettings, Int64, Names

DECEASED, ALIVE, UNKNOWN = 1, 0, -1
LEAK = "possible leakage"  # how a warning begins that split=patient turns into a LeakageError
PROTOCOL_HISTOLOGIES = ("adenocarcinoma", "squamous cell carcinoma")  # the paper's
_COLUMNS = {
    "patient": ("patientid", "patient", "patient_id", "case", "subject", "subjectid"),
    "histology": ("histology",),
    "dead": ("deadstatus.event", "deadstatus", "dead", "deceased", "event", "vital.status", "vitalstatus"),
}
_DEAD = {"1": DECEASED, "1.0": DECEASED, "dead": DECEASED, "deceased": DECEASED, "yes": DECEASED, "true": DECEASED}
_LIVING = {"0": ALIVE, "0.0": ALIVE, "alive": ALIVE, "no": ALIVE, "false": ALIVE}


@dataclass(frozen=True)
class ClinicalRow:
    """One patient of the clinical table."""

    patient: str
    histology: str  # lower case; "" where unknown
    label: int  # 1 deceased, 0 alive, -1 unknown


@dataclass(frozen=True)
class Split:
    """Row numbers of images, each role in ascending order."""

    training: Int64
    reference: Int64
    held_out: Int64


def read_table(path: Path, name: str) -> dict[str, ClinicalRow] | None:
    """The clinical table, patient -> row; None for a table that names no patients and no outcome.

    Raises DataError for a table that cannot be read, or that names a patient twice with different content.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"is no readable table ({type(error).__name__}); save it as UTF-8 CSV", file=name) from error
    separator = "\t" if name.lower().endswith(".tsv") else ("," if text.partition("\n")[0].count(",") else ";")
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise DataError("is no readable table; save it as UTF-8 CSV", file=name) from error
    if not lines:
        return None
    columns = _find_columns(lines[0])
    if columns["patient"] is None or (columns["dead"] is None and columns["histology"] is None):
        return None
    rows: dict[str, ClinicalRow] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        row = _row(line, columns, number, name)
        if rows.setdefault(row.patient, row) != row:
            raise DataError(f"line {number} contradicts an earlier line on the same patient; remove one", file=name)
    return rows


def read_tables(root: Path, names: Sequence[str]) -> dict[str, ClinicalRow]:
    """All clinical tables of a source together. Raises DataError where two of them contradict each other."""
    rows: dict[str, ClinicalRow] = {}
    for name in names:
        for patient, row in (read_table(root / name, name) or {}).items():
            if rows.setdefault(patient, row) != row:
                raise DataError("contradicts another clinical table; remove one", file=name)
    return rows


def choose_patients(
    patients: Sequence[str], table: Mapping[str, ClinicalRow], settings: DataSettings, warnings: list[str]
) -> list[str]:
    """Who takes part, in PatientID order: those of the wanted histologies, and of them the first N.

    Adds to `warnings` how many have no row or no images. Raises DataError where the histology cannot be told.
    """
    if table:
        unlisted = sum(patient not in table for patient in patients)
        absent = len(set(table) - set(patients))
        if unlisted:
            warnings.append(f"{unlisted} of {len(patients)} patients are not in the clinical table: label unknown")
        if absent:
            warnings.append(f"{absent} patients of the clinical table have no images")
    wanted = {name.strip().casefold() for name in settings.histologies}
    if wanted and not table:
        raise DataError("histologies were asked for but there is no clinical table; add it, or leave them out")
    chosen = [name for name in patients if not wanted or (name in table and table[name].histology in wanted)]
    if not chosen:
        raise DataError("no patient has a histology that was asked for; see the clinical table's names")
    if settings.patients is not None and settings.patients > len(chosen):
        warnings.append(f"{settings.patients} patients were asked for and {len(chosen)} are there")
    return chosen[: settings.patients]


def _find_columns(head: Sequence[str]) -> dict[str, int | None]:
    plain = [cell.strip().casefold() for cell in head]
    return {
        what: next((plain.index(name) for name in names if name in plain), None) for what, names in _COLUMNS.items()
    }


def _row(line: Sequence[str], columns: Mapping[str, int | None], number: int, name: str) -> ClinicalRow:
    def cell(what: str) -> str:
        at = columns[what]
        return "" if at is None or at >= len(line) else line[at].strip()

    if not cell("patient"):
        raise DataError(f"line {number} names no patient; fill it in or remove it", file=name)
    dead = cell("dead").casefold()
    if dead not in ("", "na", "nan", "unknown") and dead not in _DEAD and dead not in _LIVING:
        raise DataError(f"line {number} has an outcome that is neither 0 nor 1; correct it", file=name)
    label = _DEAD.get(dead, _LIVING.get(dead, UNKNOWN))
    histology = cell("histology").casefold()
    return ClinicalRow(cell("patient"), "" if histology in ("na", "nan") else histology, label)


def pseudonyms(patients: Sequence[str], instances: Sequence[str]) -> dict[str, str]:
    """Patient -> "p" and 12 hex digits, a hash of the PatientID under a key made of the data set's own instances.

    The key is a digest of the sorted SOPInstanceUIDs (or of file digests, where a source has none): the same data give
    the same pseudonyms in any order of files, another data set gives others, and without the data a name cannot be
    tried out.
    """
    key = hashlib.blake2b("\n".join(sorted(set(instances))).encode(), digest_size=32).digest()
    made = {
        patient: "p" + hashlib.blake2b(patient.encode(), key=key, digest_size=6).hexdigest()
        for patient in sorted(set(patients))
    }
    if len(set(made.values())) != len(made):
        raise DataError("two patients share a pseudonym; leave one out")
    return made


def split_images(groups: Names, settings: DataSettings) -> Split:
    """Training, reference and held-out rows of images whose patients are `groups` [N], in order of patient.

    split="patient": patients are shuffled by the seed and dealt by `fractions`, at least one to each role.
    split="slice" (the paper): a random half of all images is the reference, the other half is held out, and training
    is both together.

    Raises SettingsError for an unknown split or fractions that are none, DataError for too few patients or images,
    LeakageError where a patient would stand on two sides under split="patient".
    """
    if settings.split == "slice":
        return _split_slices(len(groups), settings.seed)
    if settings.split != "patient":
        raise SettingsError(f"split is {settings.split!r}; give patient or slice")
    patients = list(dict.fromkeys(groups.tolist()))
    roles = deal(len(patients), settings.fractions, settings.seed)
    members = [np.flatnonzero(np.isin(groups, [patients[at] for at in role])) for role in roles]
    split = Split(*members)
    check_disjoint(groups, split)
    return split


def deal(count: int, fractions: tuple[float, float, float], seed: int) -> tuple[list[int], list[int], list[int]]:
    """Patients 0..count shuffled by `seed` and dealt by `fractions`, at least one to each role."""
    if len(fractions) != 3 or not all(0 < part < 1 for part in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise SettingsError("fractions are not three positive parts of 1; give training, reference and held-out parts")
    if count < 3:
        raise DataError(
            f"split=patient needs at least 3 patients and the source has {count}; add patients, or use split=slice"
        )
    order = shuffled(count, seed, "patients")
    training = min(max(1, round(count * fractions[0])), count - 2)
    reference = min(max(1, round(count * fractions[1])), count - training - 1)
    return order[:training], order[training : training + reference], order[training + reference :]


def shuffled(count: int, seed: int, what: str) -> list[int]:
    """0..count in an order that only `seed` and `what` decide."""
    return sorted(range(count), key=lambda at: hashlib.sha256(f"{what}/{seed}/{at}".encode()).digest())


def _split_slices(count: int, seed: int) -> Split:
    if count < 2:
        raise DataError(f"split=slice needs at least 2 images and the source has {count}; add studies")
    order = shuffled(count, seed, "slices")
    half = count // 2
    return Split(
        np.arange(count, dtype=np.int64),
        np.array(sorted(order[:half]), np.int64),
        np.array(sorted(order[half:]), np.int64),
    )


def check_disjoint(groups: Names, split: Split) -> None:
    """Raises LeakageError where a patient stands on two sides."""
    sides = [set(groups[rows].tolist()) for rows in (split.training, split.reference, split.held_out)]
    shared = (sides[0] & sides[1]) | (sides[0] & sides[2]) | (sides[1] & sides[2])
    if shared:
        raise LeakageError(f"{len(shared)} patients stand on two sides of split=patient; give each image its patient")
