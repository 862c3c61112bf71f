"""Procedural thorax studies, written as genuine DICOM: the data a gate runs on when a project has none at hand.

`write_studies` makes any number of patients from a seed. The files hold what NSCLC-Radiomics holds (a CT series and an
RTSTRUCT with GTV-1 a patient, one clinical table) and come back through the reader that reads a hospital's studies.
Equal arguments give equal bytes, on every machine and with any number of processes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

from pytest_medgan.errors import DataError, SettingsError
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
    """Writes `patients` studies of `slices` images each, and their clinical table, under `root`.

    The layout is TCIA's: PHANTOM-001/<study UID>/<series UID>/1-001.dcm. Images are 512x512, 16 bit, Explicit VR Little
    Endian, 5 mm apart (3 mm from 80 slices on) and lie round the tumour. Large tumours kill more often than small ones,
    so that the survival label can be learned. Patient N is the same however many others are asked for.

    Raises SettingsError for counts below one or a negative seed, DataError where the files cannot be written.
    """
    for name, value, least in (("patients", patients, 1), ("slices", slices, 1), ("seed", seed, 0)):
        if value < least:
            raise SettingsError(f"phantom {name} is {value}; give {least} or more")
    try:
        root.mkdir(parents=True, exist_ok=True)
        progress(_WHAT, 0, patients)
        workers = min(_cores(), patients, patients * slices // _WORTH_A_PROCESS)
        if workers < 1:
            for number in range(patients):
                write_patient(root, number, slices, seed)
                progress(_WHAT, number + 1, patients)
        else:
            _write_in_processes((str(root), str(slices), str(seed)), patients, workers, progress)
        rows = [_COLUMNS, *(_table_row(seed, number) for number in range(patients))]
        (root / TABLE).write_bytes(("\n".join(rows) + "\n").encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"phantom studies cannot be written ({reason}); free space or choose another folder") from error


def version() -> str:
    """Return a digest of the code that draws phantoms, 12 hex digits; other code may draw other studies."""
    digest = hashlib.blake2b(digest_size=6)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def write_patient(root: Path, number: int, slices: int, seed: int) -> None:
    """One patient's study, number counted from 0."""
    write_study(root, draw_anatomy(seed, number), slices)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _table_row(seed: int, number: int) -> str:
    """The clinical table's row: the wider the tumour, the higher its stage and the surer the death."""
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


# A plain child process rather than multiprocessing: spawning the latter runs the user's __main__ again, and forking is
# not safe once torch has started its threads.
_CHILD = """
import sys
from pathlib import Path
from pytest_medgan.phantom.studies import write_patient
root, slices, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for line in sys.stdin:
    write_patient(root, int(line), slices, seed)
    sys.stdout.write("done\\n")
    sys.stdout.flush()
"""


def _write_in_processes(arguments: tuple[str, str, str], patients: int, workers: int, progress: Progress) -> None:
    """Child processes take patients from one queue; which child paints which patient changes nothing in the files."""
    waiting: SimpleQueue[int] = SimpleQueue()
    finished: SimpleQueue[bool] = SimpleQueue()
    for number in range(patients):
        waiting.put(number)
    stop = threading.Event()
    threads = [threading.Thread(target=_serve, args=(arguments, waiting, finished, stop)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for done in range(1, patients + 1):
            if not finished.get():
                raise DataError("a process that paints phantom studies ended early; check free memory and disk space")
            progress(_WHAT, done, patients)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _serve(
    arguments: tuple[str, str, str], waiting: SimpleQueue[int], finished: SimpleQueue[bool], stop: threading.Event
) -> None:
    """Feeds one child until the queue is empty; says False once if the child fails."""
    paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {**os.environ, **_ALLOCATOR, "PYTHONPATH": paths}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        ) as child:
            _feed(child, waiting, finished, stop)
    except OSError:  # it could not be started, or its pipe broke
        finished.put(False)


def _feed(
    child: subprocess.Popen[str], waiting: SimpleQueue[int], finished: SimpleQueue[bool], stop: threading.Event
) -> None:
    if child.stdin is None or child.stdout is None:
        finished.put(False)
        return
    while not stop.is_set():
        try:
            number = waiting.get_nowait()
        except Empty:
            return
        child.stdin.write(f"{number}\n")
        child.stdin.flush()
        ended_well = child.stdout.readline() == "done\n"
        finished.put(ended_well)
        if not ended_well:
            return
