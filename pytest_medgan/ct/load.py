"""A source of real images to the three sets of the protocol, prepared once and kept."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np

from pytest_medgan.ct.cohort import pseudonyms
from pytest_medgan.ct.files import SourceFile, list_files
from pytest_medgan.ct.images import check_geometry
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.roles import divide, sha256
from pytest_medgan.ct.sources import plan_source
from pytest_medgan.ct.store import (
    ImageSettings,
    Prepared,
    load_prepared,
    locked,
    make_folder,
    recall,
    remember,
    save_prepared,
)
from pytest_medgan.ct.workers import Crew, worker_count
from pytest_medgan.errors import SettingsError
from pytest_medgan.records import DataSettings, Progress, RealSets, UInt8, no_progress

RECIPE = 1  # raised whenever the same files would give other images


def load_real(settings: DataSettings, *, cache_dir: Path, progress: Progress = no_progress) -> RealSets:
    """The training, reference and held-out images of a source (PROTOCOL: the paper, sections 2 and 3.1).

    The finished images are stored once under `cache_dir`, by the content of the files and the settings that shape them;
    a second call reads them back. `RealSets.digest` is a SHA-256 over the digests of the files used (content, not
    names), the settings and the patients; an ImageSet's recipe adds its role. `RealSets.settings` are those that took
    effect: the crop that `auto` came to, and a prepared file's own.

    Raises DataError for a source that cannot be read as asked (LeakageError where a patient would stand on two sides
    of split="patient") and SettingsError for settings that make no data set.
    """
    return divide(prepare(settings, cache_dir=cache_dir, progress=progress), settings)


def prepare(
    settings: DataSettings, *, cache_dir: Path, root: Path | None = None, progress: Progress = no_progress
) -> Prepared:
    """Every image of the source, from the store or made now; see `load_real`.

    `root` is where the source lies on disk if `settings.source` is a name rather than a path.
    """
    check_settings(settings)
    root = root or Path(settings.source).expanduser()
    if root.is_file() and (given := load_prepared(root)) is not None:
        return given
    files = list_files(root)
    folder = cache_dir / "prepared"
    make_folder(folder)
    listing = folder / f"listing-{_listing_key(root, files, settings)}"
    with locked(listing):  # other processes wait here rather than read the same files
        known = recall(listing)
        if known and (stored := load_prepared(folder / f"{known}.npz")) is not None:
            return stored
        base = root if root.is_dir() else root.parent
        with Crew(base, worker_count(len(files))) as crew:
            plan = plan_source(base, files, settings, crew, progress)
            digest = _digest(plan, settings)
            with locked(folder / digest):
                made = load_prepared(folder / f"{digest}.npz")
                if made is None:
                    made = _render(plan, settings, digest, crew, progress)
                    save_prepared(folder / f"{digest}.npz", made)
        remember(listing, digest)
    return made


def check_settings(settings: DataSettings) -> None:
    """Raise SettingsError for settings that make no data set."""
    check_geometry(settings.crop_size, settings.size, settings.window)
    if settings.crop not in ("auto", "tumour", "image"):
        raise SettingsError(f"crop is {settings.crop!r}; give tumour, image or auto")
    for name, value in (("slices", settings.slices), ("patients", settings.patients)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} is {value}; give 1 or more, or none for all")


def render_job(root: Path, job: Job) -> UInt8:
    """What a worker does with one job."""
    return job.render(root)


def _render(plan: Plan, settings: DataSettings, digest: str, crew: Crew, progress: Progress) -> Prepared:
    names = pseudonyms(plan.patients, plan.instances)
    images = crew.map(render_job, plan.jobs, what="preparing images", progress=progress, apart=plan.compressed)
    return Prepared(
        pixels=np.stack(images)[:, None],
        groups=np.array([names[plan.patients[owner]] for owner in plan.owners], np.str_),
        labels=np.array([plan.labels[owner] for owner in plan.owners], np.int8),
        window=plan.window,
        settings=ImageSettings.of(settings, plan.crop),
        digest=digest,
        warnings=plan.warnings,
        counts=plan.counts,
    )


def _listing_key(root: Path, files: list[SourceFile], settings: DataSettings) -> str:
    """Names a folder in the state it was seen in, so that an unchanged one need not be read again."""
    return sha256(
        {
            "recipe": RECIPE,
            "root": str(root.resolve()),
            "files": [(file.name, file.kind, file.size, file.stamp) for file in files],
            "settings": ImageSettings.of(settings, settings.crop).as_fields(),
            "split": settings.split,  # an unknown patient is an error under one and none under the other
        }
    )


def _digest(plan: Plan, settings: DataSettings) -> str:
    names = pseudonyms(plan.patients, plan.instances)
    return sha256(
        {
            "recipe": RECIPE,
            "files": plan.inputs,
            "settings": ImageSettings.of(settings, plan.crop).as_fields(),
            "patients": [(names[patient], label) for patient, label in zip(plan.patients, plan.labels, strict=True)],
            "images": [len(list(own)) for _, own in groupby(plan.owners)],
        }
    )
