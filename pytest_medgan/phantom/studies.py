"""Procedural thorax studies, written as genuine DICOM: the data for a gate if a project has no data of its own.

`write_studies` makes any number of patients from a seed. The files hold what NSCLC-Radiomics holds (a CT series and an
RTSTRUCT with GTV-1 per patient, one clinical table) and are read by the same reader as real studies.
Equal arguments give equal bytes, on every machine and with any number of processes.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.files import cannot_write
from pytest_medgan.ground.pool import WorkerLostError, map_in_processes
from pytest_medgan.ground.processes import available_cores
from pytest_medgan.phantom.dicom import patient_id, write_study
from pytest_medgan.phantom.field import Draws
from pytest_medgan.phantom.paint import draw_anatomy, draw_disease
from pytest_medgan.records import Progress, no_progress

TABLE = "NSCLC Radiomics Lung1.clinical-version3-Oct-2019.csv"
_COLUMNS = (
    "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,"
    "deadstatus.event"
)
_WORTH_A_PROCESS = 60  # slices; starting one costs as much as painting a few dozen
_WHAT = "painting phantom studies"
# glibc then keeps the pages of freed arrays, which halves the time a slice takes; other libraries ignore it
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}


def write_studies(
    root: Path, *, patients: int, slices: int = 40, seed: int = 0, progress: Progress = no_progress
) -> None:
    """Write studies and their clinical table.

    The layout is TCIA's: PHANTOM-001/<study UID>/<series UID>/1-001.dcm. Images are 512x512, 16 bit, Explicit VR Little
    Endian, 5 mm apart (3 mm from 80 slices on) and lie round the tumour. Patients with
    large tumours die more often, so that the survival label can be learned. Patient N does not depend on the number of
    patients.

    Args:
        root: The folder; it is made where it does not exist.
        patients: Number of patients, at least 1.
        slices: Images per patient, at least 1.
        seed: Seed of the patients, at least 0.
        progress: Called with the number of patients done.

    Raises:
        SettingsError: A count is below one, or the seed is negative.
        OutputError: The files cannot be written.
        DataError: A process that paints ended early.
    """
    for name, value, least in (("patients", patients, 1), ("slices", slices, 1), ("seed", seed, 0)):
        if value < least:
            raise SettingsError(f"phantom {name} is {value}; give {least} or more")
    write = partial(write_patient, root, slices=slices, seed=seed)
    workers = min(available_cores(), patients, patients * slices // _WORTH_A_PROCESS)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if workers < 1:
            progress(_WHAT, 0, patients)
            for number in range(patients):
                write(number)
                progress(_WHAT, number + 1, patients)
        else:
            map_in_processes(
                write, range(patients), workers=workers, what=_WHAT, progress=progress, environment=_ALLOCATOR
            )
        rows = [_COLUMNS, *(_table_row(seed, number) for number in range(patients))]
        (root / TABLE).write_bytes(("\n".join(rows) + "\n").encode())
    except OSError as error:
        raise cannot_write(error, root) from error
    except WorkerLostError as error:
        raise DataError(
            "A process that paints phantom studies ended early. Check free memory and run again."
        ) from error


def version() -> str:
    """Return a digest of the code that draws phantoms, 12 hex digits; other code may draw other studies."""
    digest = hashlib.blake2b(digest_size=6)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def write_patient(root: Path, number: int, *, slices: int, seed: int) -> None:
    """Write one patient's study; `number` counts from 0."""
    write_study(root, draw_anatomy(seed, number), slices)


def _table_row(seed: int, number: int) -> str:
    """Return a row of the clinical table: a wider tumour has a higher stage and a higher probability of death."""
    draws = Draws(seed, number, 7)
    body, tumour = draw_disease(seed, number)
    radius = tumour.radius
    dead = radius + draws.between(-5.0, 5.0) > 15.5
    days = int(draws.between(120.0, 900.0) if dead else draws.between(1200.0, 3600.0))
    t_stage = 1 + sum(radius > limit for limit in (10.0, 17.0, 25.0))
    n_stage = draws.whole(4) if t_stage > 1 else draws.whole(2)
    stage = "IIIb" if n_stage == 3 or t_stage == 4 else "IIIa" if n_stage == 2 else "II" if n_stage else "I"
    histology = "squamous cell carcinoma" if tumour.squamous else "adenocarcinoma"
    gender = "female" if body.person.female else "male"
    age = f"{draws.between(45.0, 86.0):.4f}"
    fields = (patient_id(number), age, t_stage, n_stage, 0, stage, histology, gender, days, int(dead))
    return ",".join(str(field) for field in fields)
