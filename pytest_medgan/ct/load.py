"""A source of real images to the three sets of the protocol, prepared once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from pytest_medgan.ct.cohort import pseudonyms
from pytest_medgan.ct.companions import companion_stamps
from pytest_medgan.ct.crew import Crew, worker_count
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.grouping import RULES
from pytest_medgan.ct.idle_options import refuse_idle_combinations, refuse_other_settings
from pytest_medgan.ct.images import check_geometry
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.planes import PLANES, WHOLE
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.roles import divide, sha256
from pytest_medgan.ct.sources import plan_source
from pytest_medgan.ct.store import (
    CHANNELS,
    ImageSettings,
    Note,
    Prepared,
    load_prepared,
    recall,
    remember,
    save_prepared,
)
from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.files import make_private_folder, remove_leftovers
from pytest_medgan.ground.listing import SourceFile, list_files
from pytest_medgan.ground.locks import locked
from pytest_medgan.records import DataSettings, Progress, RealSets, UInt8, no_progress

RECIPE = 1  # raised whenever the same files would give other images
_READING = 2  # raised whenever other files would be chosen, or read in another way: they are then looked through again
_WHITE = 0.5  # share of white pixels beyond which the window or the rescale is probably wrong
_FEW_LEVELS = 64  # grey levels below which range= or the scale of pictures is probably wrong


def load_real(settings: DataSettings, *, cache_dir: Path, progress: Progress = no_progress) -> RealSets:
    """Return the training, reference and held-out images of a source.

    The finished images are stored once under `cache_dir`, by the content of the files and the settings that shape them;
    a second call reads them back.

    Args:
        settings: Which images; `source` is a folder or file.
        cache_dir: Where prepared images are kept.
        progress: Called with what is done, how far, and of how much.

    Returns:
        The three roles. `digest` is a SHA-256 over the digests of the files used (content, not names), the settings and
        the patients; an ImageSet's recipe adds its role. `settings` are those that took effect: the crop that `auto`
        came to, and a prepared file's own.

    Raises:
        DataError: The source cannot be read as asked (LeakageError where a patient would be in two roles of
            split="patient").
        SettingsError: The settings make no data set.
        OutputError: The cache cannot be written.
    """
    return divide(prepare(settings, cache_dir=cache_dir, progress=progress), settings)


def prepare(
    settings: DataSettings,
    *,
    cache_dir: Path,
    root: Path | None = None,
    reread: bool = False,
    progress: Progress = no_progress,
) -> Prepared:
    """Return every image of a source before the split, from the store or made now.

    Args:
        settings: As for `load_real`.
        cache_dir: As for `load_real`.
        root: Where the source lies on disk if `settings.source` is a name rather than a path.
        reread: Read every header again even if nothing changed, so that the result lists the files passed over.
        progress: As for `load_real`.

    Raises:
        MedganError: As `load_real` raises.
    """
    check_settings(settings)
    root = root or Path(settings.source).expanduser()
    if root.is_file() and (given := load_prepared(root)) is not None:
        refuse_other_settings(settings, given.settings)
        return given
    files = list_files(root)
    make_private_folder(cache_dir)
    folder = cache_dir / "prepared"
    base = root if root.is_dir() else root.parent
    listing = folder / f"listing-{_listing_key(root, files, companion_stamps(base, files), settings)}"
    with locked(listing):  # other processes wait here and do not read the same files
        note = None if reread else recall(listing)
        if note is not None and (stored := load_prepared(folder / f"{note.digest}.npz")) is not None:
            return replace(stored, warnings=note.warnings, counts=note.counts)
        with Crew(base, worker_count(len(files))) as crew:
            findings = Findings(strict=settings.strict)
            plan = plan_source(Reading(base, tuple(files), settings, findings, crew, progress))
            digest = _digest(plan, settings)
            kept = folder / f"{digest}.npz"
            with locked(kept):
                made = load_prepared(kept)
                if made is None:
                    made = _render(plan, settings, digest, crew, progress)
                    remove_leftovers(kept)
                    save_prepared(kept, made)
        # equal images may come from an earlier reading with other warnings, so these warnings are stored apart
        warnings = (*plan.warnings, *_grey_levels(made.pixels, plan.window))
        remember(listing, Note(digest, warnings, plan.counts))
    return replace(made, warnings=warnings, counts=plan.counts, named=plan.named)


def check_settings(settings: DataSettings) -> None:
    """Raise SettingsError for settings that make no data set."""
    check_geometry(settings.crop_size, settings.size, settings.window)
    if settings.crop not in ("auto", "tumour", "image"):
        raise SettingsError(f"crop is {settings.crop!r}. Give tumour, image or auto.")
    if settings.patient not in RULES:
        raise SettingsError(f"patient is {settings.patient!r}. Give {', '.join(RULES)}.")
    if settings.range is not None and not settings.range[0] < settings.range[1]:
        raise SettingsError("range does not ascend. Give the values of black and white, the lower first, as in 0:1.")
    if settings.planes not in PLANES:
        raise SettingsError(f"planes is {settings.planes!r}. Give {' or '.join(PLANES)}.")
    if settings.channels not in CHANNELS:
        raise SettingsError(f"channels is {settings.channels}. Give 1 for grey or 3 for colour.")
    if settings.channels != 1 and settings.planes == WHOLE:
        raise SettingsError("channels=3 is of images, and planes=volume of grey volumes. Leave one of them out.")
    for name, value in (("slices", settings.slices), ("patients", settings.patients)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} is {value}. Give 1 or more, or all.")
    refuse_idle_combinations(settings)


def render_job(root: Path, job: Job) -> UInt8:
    """Return the images of one job, uint8 [N,C,size,size], or a volume [1,1,D,H,W]; what a worker does with it."""
    made = job.render(root)
    if made.ndim >= 4:
        return made
    return made[None, None] if made.ndim == 2 else made[:, None]


def _render(plan: Plan, settings: DataSettings, digest: str, crew: Crew, progress: Progress) -> Prepared:
    """Return the images that a plan names."""
    names = pseudonyms(plan.patients, plan.instances)
    images = crew.map(render_job, plan.jobs, what="preparing images", progress=progress, apart=plan.compressed)
    pixels = np.concatenate(images)
    if pixels.shape[1] < settings.channels:  # grey images, asked for in colour
        pixels = np.repeat(pixels, settings.channels, axis=1)
    owners = np.repeat(plan.owners, [len(made) for made in images]).tolist()
    return Prepared(
        pixels=pixels,
        groups=np.array([names[plan.patients[owner]] for owner in owners], np.str_),
        labels=np.array([plan.labels[owner] for owner in owners], np.int8),
        window=plan.window,
        settings=ImageSettings.of(settings, plan.crop),
        digest=digest,
        warnings=(*plan.warnings, *_grey_levels(pixels, plan.window)),
        counts=plan.counts,
        named=plan.named,
    )


def _grey_levels(pixels: UInt8, window: tuple[float, float] | None) -> list[str]:
    """Return a warning if most pixels are white, or without a window of HU all of nearly one grey."""
    share, low, high = float(np.mean(pixels == 255)), int(pixels.min()), int(pixels.max())
    if share > _WHITE:
        return [f"{100 * share:.0f}% of the pixels are white: the window or the rescale is wrong"]
    if window is None and high - low < _FEW_LEVELS:
        return [f"the images hold only grey levels {low} to {high}: range= or their scale is wrong"]
    return []


def _listing_key(
    root: Path, files: Sequence[SourceFile], beside: Sequence[tuple[str, int, int, int]], settings: DataSettings
) -> str:
    """Return a key of a folder's present state, so that an unchanged folder need not be read again."""
    return sha256(
        {
            "recipe": RECIPE,
            "reading": _READING,
            "root": str(root.resolve()),
            "files": [(file.name, file.kind, file.size, file.stamp) for file in files],
            **({"beside": list(beside)} if beside else {}),
            "settings": ImageSettings.of(settings, settings.crop).as_fields(),
            "split": settings.split,  # unknown patients are an error under split=patient only
            "strict": settings.strict,
            "given": sorted(settings.given),  # an option without effect is an error only where it was given
            **({"generated": True} if settings.generated else {}),
        }
    )


def _digest(plan: Plan, settings: DataSettings) -> str:
    """Return the name of a data set: its files' content, the settings, the patients."""
    names = pseudonyms(plan.patients, plan.instances)
    return sha256(
        {
            "recipe": RECIPE,
            "files": plan.inputs,
            "settings": ImageSettings.of(settings, plan.crop).as_identity(),
            "patients": [(names[patient], label) for patient, label in zip(plan.patients, plan.labels, strict=True)],
            "images": [len(list(own)) for _, own in groupby(plan.owners)],
        }
    )
