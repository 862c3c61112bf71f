"""Which patient a volume is of: the topmost folder's, or the file's where few folders hold many volumes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.grouping import RULES, patient_of, stem_of
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

_BY_NAME = "the files' names"
_COLLECTION = 3  # volumes per folder, on average, from which folders may be collections and not patients
_FEW = 3  # folders that may be collections with so few volumes, such as imagesTr and imagesTs
_MANY = 20  # volumes per folder, on average, that nobody has: then any number of folders are collections
_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
_SCANS = 5  # of one patient, at most, in a set where patients were scanned several times


def patients_of(names: Sequence[str], settings: DataSettings, findings: Findings) -> tuple[dict[str, str], str]:
    """Return file -> patient, and in words how patients were identified.

    A folder of a few volumes is taken as one patient, although that may be wrong: it is an error where it has several,
    and the other mistake would put scans of one patient on two sides of a split without a word.

    Args:
        names: The files, relative to the data root.
        settings: `patient` and `split`, and whether the volumes are generated.
        findings: Where it is noted that the names look like several scans of each patient.
    """
    stems = {name: stem_of(name.rpartition("/")[2]) for name in names}
    tops = Counter(name.partition("/")[0] for name in names if "/" in name)
    uses_default_rule = settings.patient == "top" and "patient" not in settings.given
    if settings.patient == "file" or not tops or (uses_default_rule and _are_collections(tops, settings)):
        if settings.split == "patient" and not settings.generated:
            _note_scans(list(stems.values()), findings)
        return stems, _BY_NAME
    return {name: patient_of(name, stems[name], settings.patient) for name in names}, RULES[settings.patient]


def second_volume_error(name: str, patients: Mapping[str, str], rule: str) -> DataError:
    """Return the error for `name`, a volume of a patient who has another one; the rest is what `patients_of` found."""
    if rule == _BY_NAME:
        counts = f"{len(patients)} volumes have {len(set(patients.values()))} names"
        action = "Rename the files so that each patient has another name"
    else:
        inside = [patient for file, patient in patients.items() if "/" in file]
        counts = f"{len(inside)} volumes lie in {len(set(inside))} folders"
        action = "Set patient=file where each file is one patient"
    return DataError(f"{counts}. {action}, or keep one volume of each patient.", file=name)


def _are_collections(tops: Counter[str], settings: DataSettings) -> bool:
    """Return whether topmost folders, folder -> volumes in it, hold volumes of many patients each."""
    volumes = sum(tops.values())
    if volumes < _COLLECTION * len(tops):
        return False
    return settings.generated or len(tops) <= _FEW or volumes >= _MANY * len(tops)


def _note_scans(stems: Sequence[str], findings: Findings) -> None:
    """Warn if the names look like several scans of each patient, such as P1_t0, P1_t1, P2_t0 and P2_t1."""
    groups = Counter(_LAST_NUMBER.sub("", stem) for stem in stems)
    repeated = sum(count > 1 for count in groups.values())
    if len(groups) >= _FEW and 2 * repeated >= len(groups) and len(stems) <= _SCANS * len(groups):
        findings.warn(
            f"{len(stems)} volumes are taken as {len(set(stems))} patients, and without their last numbers they have "
            f"{len(groups)} names: if a patient has several scans, keep one of each"
        )
