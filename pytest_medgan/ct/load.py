"""A source of real images to the three sets of the protocol, prepared once and kept."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filelock import FileLock

from pytest_medgan.ct.cohort import pseudonyms, split_images
from pytest_medgan.ct.files import SourceFile, list_files
from pytest_medgan.ct.headers import read_header
from pytest_medgan.ct.images import check_geometry
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.store import Prepared, load_prepared, recall, remember, save_prepared
from pytest_medgan.ct.studies import plan_studies
from pytest_medgan.ct.workers import Crew, worker_count
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.records import DataSettings, ImageSet, Progress, RealSets, UInt8, no_progress

RECIPE = 1  # raised whenever the same files would give other images
PHANTOM = re.compile(r"phantom(?::(?P<patients>\d{1,5})(?:x(?P<slices>\d{1,4}))?)?")
PHANTOM_PATIENTS, PHANTOM_SLICES = 24, 40


def load_real(settings: DataSettings, *, cache_dir: Path, progress: Progress = no_progress) -> RealSets:
    """The training, reference and held-out images of a source (PROTOCOL: the paper, sections 2 and 3.1).

    The finished images are stored once under `cache_dir`, by the content of the files and the settings that shape them;
    a second call reads them back. `RealSets.digest` is a SHA-256 over the digests of the files used (content, not
    names), the settings and the patients; an ImageSet's recipe adds its role.

    Raises DataError for a source that cannot be read as asked (LeakageError where a patient would stand on two sides
    of split="patient") and SettingsError for settings that make no data set.
    """
    check_geometry(settings.crop_size, settings.size, settings.window)
    root = _phantom(settings.source, cache_dir, progress) or Path(settings.source).expanduser()
    prepared = prepare(root, settings, cache_dir=cache_dir, progress=progress)
    return divide(prepared, settings)


def prepare(root: Path, settings: DataSettings, *, cache_dir: Path, progress: Progress = no_progress) -> Prepared:
    """Every image of the source under `root`, from the store or made now."""
    files = list_files(root)
    folder = cache_dir / "prepared"
    listing = folder / f"listing-{_listing_key(root, files, settings)}"
    _make_folder(folder)
    with FileLock(f"{listing}.lock"):  # other processes wait here rather than read the same files
        known = recall(listing)
        if known and (stored := load_prepared(folder / f"{known}.npz")) is not None:
            return stored
        base = root if root.is_dir() else root.parent
        with Crew(base, worker_count(len(files))) as crew:
            plan = _plan(base, files, settings, crew, progress)
            digest = _digest(plan, settings)
            with FileLock(folder / f"{digest}.lock"):
                made = load_prepared(folder / f"{digest}.npz")
                if made is None:
                    made = _render(plan, digest, crew, progress)
                    save_prepared(folder / f"{digest}.npz", made)
        remember(listing, digest)
    return made


def divide(prepared: Prepared, settings: DataSettings) -> RealSets:
    """The three roles of a prepared set."""
    split = split_images(prepared.groups, settings)
    whole = _sha256(
        {"images": prepared.digest, "split": settings.split, "seed": settings.seed}
        | ({"fractions": settings.fractions} if settings.split == "patient" else {})
    )
    everything = ImageSet(prepared.pixels, prepared.groups, "", prepared.labels, prepared.window)

    def role(name: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> ImageSet:
        taken = everything.take(rows)
        return ImageSet(taken.pixels, taken.groups, _sha256({"set": whole, "role": name}), taken.labels, taken.window)

    warnings = list(prepared.warnings)
    if settings.split == "slice":
        warnings.append(
            "split=slice: slices of one patient stand on both sides, so the Real row is flattered; "
            "split=patient avoids it"
        )
    return RealSets(
        training=role("training", split.training),
        reference=role("reference", split.reference),
        held_out=role("held out", split.held_out),
        settings=settings,
        digest=whole,
        warnings=tuple(warnings),
        counts=dict(prepared.counts),
    )


def _phantom(source: str, cache_dir: Path, progress: Progress) -> Path | None:
    """The folder of phantom studies that `source` names, written now if need be; None for another source."""
    match = PHANTOM.fullmatch(source)
    if match is None:
        if source.startswith("phantom:"):
            raise SettingsError(f"{source!r} names no phantoms; write phantom, phantom:24 or phantom:24x40")
        return None
    from pytest_medgan.ct.phantom import write_studies

    patients = int(match["patients"] or PHANTOM_PATIENTS)
    slices = int(match["slices"] or PHANTOM_SLICES)
    parent = cache_dir / "phantom"
    _make_folder(parent)
    root = parent / f"{patients}x{slices}"
    with FileLock(parent / f"{patients}x{slices}.lock"):
        if not root.is_dir():
            fresh = parent / f".partial-{patients}x{slices}"
            _remove(fresh)
            write_studies(fresh, patients=patients, slices=slices, seed=0, progress=progress)
            fresh.rename(root)
    return root


def _remove(folder: Path) -> None:
    import shutil

    if folder.is_dir():
        shutil.rmtree(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache folder cannot be made ({error.strerror}); name another one") from error


def _plan(root: Path, files: list[SourceFile], settings: DataSettings, crew: Crew, progress: Progress) -> Plan:
    dicom = [file.name for file in files if file.kind == "dicom"]
    if not dicom and not any(file.suffix == ".dcm" for file in files):
        raise DataError("the folder holds no DICOM file; give --medgan-data a folder of CT studies, or phantom")
    found = crew.map(read_header, dicom, what="reading headers", progress=progress)
    return plan_studies(root, files, found, settings)


def render_job(root: Path, job: Job) -> UInt8:
    """What a worker does with one job."""
    return job.render(root)


def _render(plan: Plan, digest: str, crew: Crew, progress: Progress) -> Prepared:
    names = pseudonyms(plan.patients, plan.instances)
    images = crew.map(render_job, plan.jobs, what="preparing images", progress=progress)
    return Prepared(
        pixels=np.stack(images)[:, None],
        groups=np.array([names[plan.patients[owner]] for owner in plan.owners], np.str_),
        labels=np.array([plan.labels[owner] for owner in plan.owners], np.int8),
        window=plan.window,
        crop=plan.crop,
        digest=digest,
        warnings=plan.warnings,
        counts=plan.counts,
    )


def _shape_settings(settings: DataSettings) -> dict[str, object]:
    """The settings that decide which images there are and how they look."""
    fields = asdict(settings)
    return {name: fields[name] for name in ("crop", "crop_size", "size", "window", "slices", "patients")}


def _listing_key(root: Path, files: list[SourceFile], settings: DataSettings) -> str:
    """Names a folder in the state it was seen in, so that an unchanged one need not be read again."""
    listing = [(file.name, file.kind, file.size, file.stamp) for file in files]
    return _sha256(
        {"recipe": RECIPE, "root": str(root.resolve()), "files": listing, "settings": _shape_settings(settings)}
    )


def _digest(plan: Plan, settings: DataSettings) -> str:
    names = pseudonyms(plan.patients, plan.instances)
    return _sha256(
        {
            "recipe": RECIPE,
            "files": plan.inputs,
            "settings": _shape_settings(settings) | {"crop": plan.crop},
            "patients": [(names[patient], label) for patient, label in zip(plan.patients, plan.labels, strict=True)],
        }
    )


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
