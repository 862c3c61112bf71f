"""Read folders of PNG, JPEG, BMP or TIFF pictures.

8-bit values are grey levels, or with `channels=3` red, green and blue. The user states the meaning of deeper ones:
`range=LOW:HIGH` gives the values of black and white, a table of files gives `slope` and `intercept` to HU (value *
slope + intercept). By default 16 bits are grey of full scale (65535 is white, as PNG defines it) and numbers with a
sign or a fraction are HU, each only if the values found agree with that. No image is stretched to its own range.
`patient=` (by default the topmost folder), or a table with columns `file` and `patient`, identifies the patients.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pytest_medgan.ct.cohort import ClinicalRow
from pytest_medgan.ct.file_tables import Meaning, read_meanings
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.grouping import (
    ALONE,
    GREY,
    RULES,
    finish_colours,
    finish_picture,
    natural,
    patient_of,
    plan_pictures,
)
from pytest_medgan.ct.idle_options import refuse_idle_for_pictures
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.reading import Reading
from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import scale_to_grey
from pytest_medgan.ground.listing import PICTURES
from pytest_medgan.ground.pictures import SUFFIXES, PictureKind, read_picture
from pytest_medgan.records import DataSettings, Float64, UInt8

GREY_OR_COLOUR = "Save it in grey, or add channels=3 to the data."  # what to do about a coloured picture
_AIR_AT_MOST = -200.0  # HU; numbers without any below this hold no air and no lung, so they are not chest CT in HU
_TWELVE_BITS = 4096  # 16-bit pictures that stay below it hold 12-bit values, not grey of full scale


@dataclass(frozen=True)
class PictureProperties:
    """Properties of a picture, needed before it is rendered."""

    kind: PictureKind
    shape: tuple[int, int]  # rows and columns
    low: float  # least value
    high: float  # largest value
    lossy: bool


@dataclass(frozen=True)
class RasterJob:
    """The task of making one image from one picture."""

    file: str
    digest: str
    rescale: tuple[float, float] | None  # slope, intercept to HU
    limits: tuple[float, float] | None  # values of black and white
    crop_size: int
    size: int
    window: tuple[float, float]  # HU, for values that are HU
    channels: int = 1  # 3 reads colours

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size], or in colour [1,3,size,size].

        Raises:
            DataError: The picture is damaged, coloured under channels=1, or smaller than the crop.
        """
        if self.channels == 3:
            colours = read_picture(root / self.file, name=self.file, channels=3).values
            return finish_colours(colours, crop_size=self.crop_size, size=self.size, file=self.file)
        values, grey = read_values(root, self.file, self.rescale, self.limits)
        window = GREY if grey else self.window
        return finish_picture(values, crop_size=self.crop_size, size=self.size, window=window, file=self.file)


def inspect_picture(root: Path, name: str, *, channels: int = 1) -> PictureProperties | DataError:
    """Return the properties of a picture, or the error if it cannot be read; run by a worker."""
    try:
        picture = read_picture(root / name, name=name, channels=channels, action=GREY_OR_COLOUR)
    except DataError as error:
        return error
    values = picture.values
    shape = (values.shape[0], values.shape[1])
    return PictureProperties(picture.kind, shape, float(values.min()), float(values.max()), picture.lossy)


def read_values(
    root: Path, name: str, rescale: tuple[float, float] | None, limits: tuple[float, float] | None
) -> tuple[Float64, bool]:
    """Read a picture.

    Args:
        root: The data root.
        name: The file, relative to it.
        rescale: Slope and intercept to HU.
        limits: The values of black and white.

    Returns:
        Float64 [H,W], and whether they are grey levels 0..255 rather than HU.

    Raises:
        DataError: As `read_picture`, or values beyond the limits.
    """
    picture = read_picture(root / name, name=name, action=GREY_OR_COLOUR)
    values: Float64 = picture.values.astype(np.float64)
    if rescale is not None:
        return values * rescale[0] + rescale[1], False
    if limits is not None and picture.kind is not PictureKind.GREY:
        return scale_to_grey(values, limits, name).astype(np.float64), True
    if picture.kind is PictureKind.DEEP:
        return values * (255.0 / 65535.0), True
    return values, picture.kind is PictureKind.GREY


def plan_rasters(reading: Reading, digests: dict[str, str], table: dict[str, ClinicalRow]) -> Plan:
    """Return the plan of pictures, each patient's in natural order of their names.

    Args:
        reading: The source.
        digests: Picture -> digest of its content.
        table: The clinical table.

    Raises:
        DataError: As `plan_pictures`, values that are neither grey levels nor HU under the given settings, or a
            rescale to HU of coloured pictures.
    """
    settings = reading.settings
    pictures = _inspect_pictures(reading)
    meanings = read_meanings(reading)
    unlisted = sum(name not in meanings for name in pictures)
    if meanings and unlisted:
        raise DataError(f"{unlisted} pictures are not in the table of files. Add them to it, or remove it.")
    if settings.channels != 1 and any(meaning.rescale for meaning in meanings.values()):
        raise DataError(
            "The table of files gives slope and intercept to HU, and channels=3 reads colours, which have none. Remove "
            "these columns, or leave channels= out."
        )
    hounsfield = _hold_hounsfield(pictures, meanings, settings, reading.findings)
    refuse_idle_for_pictures(
        settings,
        shapes={picture.shape for picture in pictures.values()},
        has_eight_bits=all(picture.kind is PictureKind.GREY for picture in pictures.values()),
        is_rescaled=all(_rescaled(name, meanings) for name in pictures),
        has_table=bool(meanings),
        hounsfield=hounsfield,
    )
    jobs: dict[str, list[Job]] = defaultdict(list)
    for name in pictures:
        meaning = meanings.get(name, Meaning(patient_of(name, ALONE, settings.patient), None))
        jobs[meaning.patient].append(
            RasterJob(
                name,
                digests[name],
                meaning.rescale,
                settings.range,
                settings.crop_size,
                settings.size,
                settings.window,
                settings.channels,
            )
        )
    plan = plan_pictures(
        jobs,
        reading,
        table,
        inputs=lambda job: job.digest if isinstance(job, RasterJob) else "",
        window=settings.window if hounsfield else None,
        counts={"files": len(reading.files), "pictures": len(pictures)},
        identified_by="a table of files" if meanings else RULES[settings.patient],
        guessed=not meanings,
    )
    rescales = (f"{job.digest} {job.rescale}" for job in plan.jobs if isinstance(job, RasterJob) and job.rescale)
    return replace(plan, inputs=(*plan.inputs, *rescales))


def _inspect_pictures(reading: Reading) -> dict[str, PictureProperties]:
    """Return file -> properties of the picture, in natural order; record files that are not pictures."""
    findings = reading.findings
    for file in reading.files:
        if file.kind not in PICTURES and file.suffix in SUFFIXES:
            error = DataError(
                "A file named like a picture is not a picture. Copy it again, or remove it.", file=file.name
            )
            findings.pass_over(error, "empty file" if file.size == 0 else "file named like a picture that is not one")
    named = frozenset(file.name for file in reading.files if file.suffix in SUFFIXES)
    reading.skip_others(*PICTURES, known=named)
    names = sorted(reading.names(*PICTURES), key=natural)
    inspect = partial(inspect_picture, channels=reading.settings.channels)
    seen = reading.crew.map(inspect, names, what="inspecting pictures", progress=reading.progress)
    pictures: dict[str, PictureProperties] = {}
    for name, picture in zip(names, seen, strict=True):
        if isinstance(picture, PictureProperties):
            pictures[name] = picture
        else:
            findings.pass_over(picture, "picture that cannot be read")
    if not pictures:
        raise next(picture for picture in seen if isinstance(picture, DataError))
    return pictures


def _hold_hounsfield(
    pictures: dict[str, PictureProperties], meanings: dict[str, Meaning], settings: DataSettings, findings: Findings
) -> bool:
    """Return whether the values are HU; raise DataError if this is a guess, or differs between pictures."""
    plain = {name: picture for name, picture in pictures.items() if not _rescaled(name, meanings)}
    deep = {name: picture for name, picture in plain.items() if picture.kind is PictureKind.DEEP}
    numbers = {name: picture for name, picture in plain.items() if picture.kind is PictureKind.NUMBERS}
    if settings.range is None:
        if numbers:
            _check_numbers(numbers)
        if deep:
            _check_deep(deep, findings)
    hounsfield = {
        _rescaled(name, meanings) or (picture.kind is PictureKind.NUMBERS and settings.range is None)
        for name, picture in pictures.items()
    }
    if len(hounsfield) > 1:
        raise DataError("Some pictures hold grey levels and some HU. Give slope and intercept in a table of files.")
    lossy = sum(picture.lossy for picture in pictures.values())
    if lossy:
        findings.warn(f"{lossy} pictures were compressed with loss")
    return hounsfield == {True}


def _rescaled(name: str, meanings: dict[str, Meaning]) -> bool:
    """Return whether a table gives slope and intercept of a picture."""
    return name in meanings and meanings[name].rescale is not None


def _check_numbers(pictures: dict[str, PictureProperties]) -> None:
    """Raise DataError for numbers that are not chest CT in HU."""
    low, high = min(picture.low for picture in pictures.values()), max(picture.high for picture in pictures.values())
    if low > _AIR_AT_MOST:
        raise DataError(
            f"The pictures hold numbers from {low:.4g} to {high:.4g}, which are not HU of a chest: no value is "
            f"air. State black and white, as in range={low:.4g}:{high:.4g}, or give slope and intercept in a table of "
            "files.",
            file=next(iter(pictures)),
        )


def _check_deep(pictures: dict[str, PictureProperties], findings: Findings) -> None:
    """Raise DataError if most 16-bit pictures hold 12-bit values; a few may be brighter, by metal or by a mark."""
    low = {name: picture.high for name, picture in pictures.items() if picture.high < _TWELVE_BITS}
    if 2 * len(low) > len(pictures):
        some = "The" if len(low) == len(pictures) else f"{len(low)} of {len(pictures)}"
        raise DataError(
            f"{some} 16-bit pictures hold values of at most {max(low.values()):.0f}, so 65535 may not be their white. "
            "State black and white: range=0:4095 for 12 bits, range=0:65535 for full scale. Or give slope and "
            "intercept to HU in a table of files.",
            file=next(iter(low)),
        )
    findings.warn(
        "16-bit pictures are taken as grey of full scale; range= or a table with slope and intercept says otherwise"
    )
