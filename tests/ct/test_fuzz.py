"""Damaged files: whatever bytes are flipped, the reader ends, stays small, and never gives other images without a word.

What a flip may change in silence is what nothing else in the series reveals: the flipped pixels themselves, by less
than a lone pixel's worth (in a lossless JPEG, the rest of their row), where a contour lies, and elements that play no
part.
"""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from pytest_medgan.ct.crew import Crew
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.load import render_job
from pytest_medgan.ct.plan import Job
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.slices import Skipped
from pytest_medgan.ct.sources import read_structure_file
from pytest_medgan.ct.studies import SliceJob, plan_studies
from pytest_medgan.errors import DataError
from pytest_medgan.ground.listing import list_files
from pytest_medgan.records import DataSettings, no_progress

MEMORY = 64 << 20  # bytes that Python and numpy may hold at once while one small series is read


@dataclass
class Bench:
    """A copy of a series whose files are damaged one at a time and restored."""

    root: Path
    names: list[str]
    expected: dict[str, Any] = field(default_factory=dict)
    traced: bool = False  # count every allocation, which is slow
    read_before: dict[str, Any] = field(default_factory=dict)
    crew: Crew | None = None

    def read(self, damaged: str = "") -> dict[str, Any]:
        """What the reader makes of the folder: everything that an image's identity hangs on. Only the damaged file
        is read anew."""
        files = list_files(self.root)
        found = []
        structures = []
        for file in files:
            if file.kind == "dicom":
                if file.name == damaged or file.name not in self.read_before:
                    items = read_headers(self.root, file.name)
                    drawn = [item for item in items if isinstance(item, Skipped) and item.reason in ("RTSTRUCT", "SEG")]
                    result = (items, [read_structure_file(self.root, (item, None)) for item in drawn])
                    if not damaged:
                        self.read_before[file.name] = result
                else:
                    result = self.read_before[file.name]
                found += result[0]
                structures += result[1]
        settings = DataSettings(slices=None, crop_size=512, size=512)
        reading = Reading(self.root, tuple(files), settings, Findings(), Crew(self.root, 0), no_progress)
        plan = plan_studies(reading, found, structures, {})
        jobs = [job for job in plan.jobs if isinstance(job, SliceJob)]
        return {
            "patients": plan.patients,
            "owners": plan.owners,
            "warnings": plan.warnings,
            "crop": plan.crop,
            "files": [job.header.file for job in jobs],
            "geometry": [(job.header.position, job.header.orientation, job.header.spacing) for job in jobs],
            "meaning": [(job.header.pixels.slope, job.header.pixels.intercept) for job in jobs],
            "centres": [job.centre for job in jobs],
            "jobs": plan.jobs,
        }

    def render(self, job: Job) -> np.ndarray:
        """Compressed pixels in a worker, since a decoder may crash; others here."""
        if isinstance(job, SliceJob) and job.header.offset >= 0:
            return job.render(self.root)
        if self.crew is None:
            self.crew = Crew(self.root, 1)
        try:
            (image,) = self.crew.map(render_job, [job], what="", progress=no_progress, apart=True)
        except DataError:
            self.close()  # the worker may have crashed
            raise
        return image

    def close(self) -> None:
        if self.crew is not None:
            self.crew.__exit__(None, None, None)
            self.crew = None

    @contextmanager
    def damaged(self, name: str, damage: Callable[[bytearray], bytearray]) -> Iterator[None]:
        good = (self.root / name).read_bytes()
        (self.root / name).write_bytes(damage(bytearray(good)))
        try:
            yield
        finally:
            (self.root / name).write_bytes(good)


def check(bench: Bench, name: str, damage: Callable[[bytearray], bytearray]) -> str:
    """Damages one file and asserts that the reader refuses, warns, or gives the same images; says which."""
    if not bench.expected:
        bench.expected = bench.read()
        bench.expected["image"] = {job.file: bench.render(job) for job in bench.expected["jobs"]}
    expected = bench.expected
    with bench.damaged(name, damage):
        if bench.traced:
            tracemalloc.start()
        try:
            found = bench.read(name)
            image = next((bench.render(job) for job in found["jobs"] if job.file == name), None)
        except DataError as error:
            told = str(error)
            found = {"told": told, "discreet": expected["patients"][0] not in told, "file": error.file or ""}
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < MEMORY
    if "told" in found:
        assert found["discreet"]
        assert "\n" not in found["told"]
        assert not found["file"].startswith("/")
        return "refused"
    if found["warnings"] != expected["warnings"]:
        return "warned"
    for what in ("patients", "owners", "crop", "files", "geometry", "meaning", "centres"):
        # nothing else in a study says where a contour ought to lie
        if what != "centres" or "structures" not in name:
            assert found[what] == expected[what], what
    if image is not None:
        differs = image != expected["image"][name]
        # a lossless JPEG predicts along the row, so that one flipped bit may shift the rest of its own row
        assert differs.sum() <= 64 or differs.any(axis=-1).sum() <= 2, f"{differs.sum()} pixels changed without a word"
    return "same"


def flips(length: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Up to four flipped bytes, mostly in the header, which a random place in half a megabyte would hardly meet."""
    place = st.one_of(
        st.integers(0, min(length, 4096) - 1), st.integers(0, min(length, 4096) - 1), st.integers(0, length - 1)
    )
    return st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=4)


@st.composite
def damages(draw: st.DrawFn, length: int) -> Callable[[bytearray], bytearray]:
    kind = draw(st.sampled_from(["flip"] * 8 + ["cut", "zero", "swap"]))
    if kind == "flip":
        chosen = draw(flips(length))
        note(f"flip {chosen}")

        def damage(data: bytearray) -> bytearray:
            for place, mask in chosen:
                data[place] ^= mask
            return data

    else:
        start = draw(st.integers(0, length - 1))
        size = draw(st.integers(1, 64))
        note(f"{kind} {start} {size}")

        def damage(data: bytearray) -> bytearray:
            if kind == "cut":
                return data[:start]
            if kind == "zero":
                data[start : start + size] = bytes(len(data[start : start + size]))
            else:
                data[start : start + size] = data[start : start + size][::-1]
            return data

    return damage


def fuzz(bench: Bench, examples: int) -> dict[str, int]:
    outcomes: dict[str, int] = {}

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # the first failure is told as found: shrinking would take minutes
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(bench.names))
        damage = data.draw(damages((bench.root / name).stat().st_size))
        outcome = check(bench, name, damage)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    try:
        run()
    finally:
        bench.close()
    return outcomes


@pytest.fixture
def small_bench(tmp_path: Path, study_class: Any) -> Bench:
    study = study_class(tmp_path / "data", slices=6).write()
    study.draw({"GTV-1": {2: (20, 25, 30, 41), 3: (20, 25, 30, 41)}})
    return Bench(study.root, [file.name for file in list_files(study.root)])


@pytest.fixture
def real_bench(tmp_path: Path, shared_data: Path, request: pytest.FixtureRequest) -> Bench:
    pattern, first, count = request.param
    root = tmp_path / "data"
    paths = sorted(shared_data.glob(pattern))[first : first + count]
    for path in paths:
        target = root / path.relative_to(shared_data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return Bench(root, [path.relative_to(shared_data).as_posix() for path in paths])


REAL = [
    pytest.param(("NSCLC-Radiomics/LUNG1-001/*/*298991*/*.dcm", 60, 5), id="explicit"),
    pytest.param(("NSCLC-Radiomics/LUNG1-002/*/*2329880*/*.dcm", 60, 5), id="implicit"),
    pytest.param(("mixed-scanners/MIDRC-RICORD-1A-419639-001012/*/*/*.dcm", 2, 5), id="JPEG Lossless"),
    pytest.param(("mixed-scanners/1.3.6.1.4.1.9328.50.1.0117/*/*/*.dcm", 3, 5), id="overlapping"),
]


def test_read_damaged_small_study_refuses_warns_or_gives_the_same(small_bench: Bench) -> None:
    outcomes = fuzz(small_bench, 200)
    assert outcomes["refused"] > 20
    assert outcomes["warned"] > 20
    assert outcomes["same"] > 10


@pytest.mark.parametrize("real_bench", REAL, indirect=True)
def test_read_damaged_real_study_refuses_warns_or_gives_the_same(real_bench: Bench) -> None:
    outcomes = fuzz(real_bench, 25)
    assert outcomes.get("refused", 0) + outcomes.get("same", 0) > 0


@pytest.mark.slow
@pytest.mark.parametrize("real_bench", REAL, indirect=True)
def test_read_much_damaged_real_study_refuses_warns_or_gives_the_same(real_bench: Bench) -> None:
    real_bench.traced = True
    outcomes = fuzz(real_bench, 300)
    assert outcomes["refused"] > 50
    assert outcomes["same"] > 50


@pytest.mark.slow
def test_read_much_damaged_small_study_refuses_warns_or_gives_the_same(small_bench: Bench) -> None:
    small_bench.traced = True
    assert sum(fuzz(small_bench, 3000).values()) >= 3000


@pytest.mark.parametrize("name", [0, 5], ids=["first", "last"])
def test_read_slice_under_another_class_and_series_is_warned_of(small_bench: Bench, name: int) -> None:
    """A slice at an end that says it is something else, elsewhere: only its own contradiction reveals it."""

    def damage(data: bytearray) -> bytearray:
        data[data.rindex(b"1.2.840.10008.5.1.4.1.1.2\0") + 24] ^= 252
        data[data.index(b"\x20\0\x0e\0UI") + 12] ^= 1
        return data

    assert check(small_bench, small_bench.names[name], damage) == "warned"


def test_read_flipped_byte_of_a_header_refuses_warns_or_gives_the_same(small_bench: Bench) -> None:
    """One bit of every twelfth byte of the header of one slice in the middle and of one at the end."""
    for name in (small_bench.names[2], small_bench.names[5]):
        for place in range(132, 1200, 12):

            def damage(data: bytearray, place: int = place) -> bytearray:
                data[place] ^= 1 << place % 8
                return data

            check(small_bench, name, damage)


def test_read_contour_file_of_an_unknown_class_is_warned_of(small_bench: Bench) -> None:
    """A contour file without its preamble whose class is damaged: its modality alone says what it was."""

    def damage(data: bytearray) -> bytearray:
        data[132] ^= 135
        data[data.rindex(b"1.2.840.10008.5.1.4.1.1.481.3")] ^= 103
        return data

    assert check(small_bench, "PAT-001/study/structures/1-1.dcm", damage) == "warned"
