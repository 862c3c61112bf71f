"""How fast studies become images, and in how much memory.

    python benchmarks/ct_throughput.py --slices 2048
    python benchmarks/ct_throughput.py --slices 12160 --studies FOLDER

Studies (phantoms unless a folder is named) are repeated under new identifiers until there are enough slices, read once
so that the page cache holds them, and prepared from an empty store. Prints one line of figures for each repeat.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from pytest_medgan.ct.load import prepare
from pytest_medgan.ground.listing import list_files
from pytest_medgan.phantom import write_studies
from pytest_medgan.records import DataSettings

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def repeat_studies(source: Path, target: Path, slices: int) -> int:
    """Copies of the CT slices under `source` as new patients, at least `slices` of them; how many there are."""
    datasets: list[tuple[pydicom.Dataset, dict[str, str]]] = []
    for file in list_files(source):
        if file.kind == "dicom":
            dataset = pydicom.dcmread(source / file.name)
            if dataset.Modality == "CT":
                # copies share their elements, so the names that they are made from are noted first
                datasets.append((dataset, {keyword: str(dataset[keyword].value) for keyword in (*_UIDS, "PatientID")}))
    written = 0
    copy = 0
    while written < slices:
        for number, (dataset, names) in enumerate(datasets):
            patient = f"{names['PatientID']}-{copy}"
            renamed = pydicom.Dataset()
            renamed.update(dataset)
            renamed.file_meta = dataset.file_meta
            renamed.PatientID = patient
            for keyword in _UIDS:
                setattr(renamed, keyword, generate_uid(entropy_srcs=[names[keyword], str(copy)]))
            folder = target / patient
            folder.mkdir(parents=True, exist_ok=True)
            renamed.save_as(folder / f"{number:05d}.dcm")
            written += 1
        copy += 1
    return written


class Memory(threading.Thread):
    """The most memory this process and its children held together (Linux: proportional share), in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.05):
            self.peak = max(self.peak, sum(_share(pid) for pid in [os.getpid(), *_children()]))


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # the thread has ended meanwhile
    return found


def _share(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=2048)
    parser.add_argument("--studies", type=Path, help="a folder of studies to repeat; phantoms by default")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ct-throughput-"))
    try:
        source = arguments.studies
        if source is None:
            source = folder / "phantom"
            write_studies(source, patients=2, slices=64)
        data = folder / "data"
        total = repeat_studies(source, data, arguments.slices)
        for file in list_files(data):
            (data / file.name).read_bytes()
        for number in range(arguments.repeats):
            memory = Memory()
            memory.start()
            ready = []  # when a worker answered for the first time: from then on all of them work

            def progress(what: str, done: int, total: int, ready: list[float] = ready) -> None:
                if done and not ready:
                    ready.append(time.perf_counter())

            start, worked = time.perf_counter(), sum(os.times()[:4])
            prepared = prepare(
                DataSettings(source=str(data), slices=None), cache_dir=folder / f"cache-{number}", progress=progress
            )
            end = time.perf_counter()
            seconds, started = end - start, end - ready[0]
            worked = sum(os.times()[:4]) - worked
            memory.stop.set()
            memory.join()
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{total} slices in {seconds:.2f} s: {total / seconds:.0f} slices/s, {total / started:.0f} once the "
                "workers have started; processor time for "
                f"{2 * total / worked:.0f} slices/s on two idle cores; most memory held: "
                f"{memory.peak:.0f} MiB with workers, {most:.0f} MiB in this process; digest {prepared.digest[:12]}"
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
