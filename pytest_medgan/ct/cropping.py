"""Where the crop lies: on the tumour that a structure set names, or on the image's middle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pytest_medgan.ct.choice import patient_or_study
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.regions import StructureFile, choose_file, choose_region
from pytest_medgan.ct.series import Series
from pytest_medgan.ct.slices import Faulty, Header
from pytest_medgan.ct.tumour import Tumour, sum_masks
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings


def sound_structures(
    structures: Sequence[StructureFile | Faulty], headers: Sequence[Header], findings: Findings
) -> list[StructureFile]:
    """Return the structure sets that can be used: readable, and of the patient on whose images they were drawn."""
    owners: dict[str, set[str]] = defaultdict(set)  # of a series or an image
    for header in headers:
        for uid in (header.series, *header.references):
            owners[uid].add(patient_or_study(header))
    present = set().union(*owners.values())
    sound, lost = [], []
    for item in structures:
        if isinstance(item, Faulty):
            findings.pass_over_part(item.error(), "damaged RTSTRUCT or SEG")
            continue
        drawn_on = set().union(*(owners[uid] for uid in (item.series | item.images) & owners.keys()))
        if item.patient and drawn_on and item.patient not in drawn_on:
            findings.pass_over_part(
                DataError("A structure set names another patient than its images. Correct one.", file=item.file),
                "structure set of another patient than its images",
            )
            continue
        if not drawn_on and (item.series or item.images):
            lost.append(item)
        sound.append(item)
    used = {item.patient for item in sound if item not in lost}
    for item in lost:
        if item.patient in present - used:
            findings.pass_over_part(
                DataError(
                    f"An {item.kind} was drawn on another series. Add that series, or use crop=image.", file=item.file
                ),
                "structure set of a series that is not here",
            )
    if lost:
        findings.warn(f"{len(lost)} structure sets were drawn on series that are not here")
    return sound


def find_tumour(
    series: Series, structures: Sequence[StructureFile], settings: DataSettings, findings: Findings
) -> Tumour | None:
    """Return where the tumour lies; None where no region of the series' structure set is one."""
    file = choose_file(structures, series)
    if file is None:
        return None
    choice = choose_region(file, series, settings.roi)
    for error in choice.faults:
        findings.pass_over_part(error, "GTV that does not fit its series")
    return sum_masks(choice.name, choice.masks) if choice.name else None


def effective_crop(
    settings: DataSettings,
    tumours: Mapping[str, Tumour | None],
    structures: Sequence[StructureFile],
    findings: Findings,
) -> str:
    """Return the crop in effect: auto takes the tumour only where every patient has one.

    It says so where only some have one, or where there are structure sets and none of them names a tumour.
    """
    without = sum(tumour is None for tumour in tumours.values())
    if settings.crop == "image" or (not without and tumours):
        return settings.crop if settings.crop != "auto" else "tumour"
    if structures:
        findings.add_names("regions of the structure sets", (name for file in structures for name in file.names))
    if settings.crop == "tumour":
        raise DataError(
            f"{without} of {len(tumours)} patients have no GTV contour, which crop=tumour needs. Add their structure "
            "sets, name the region with roi=NAME, or use crop=image."
        )
    if settings.roi is not None:
        raise DataError(
            f"{without} of {len(tumours)} patients have no contour of the region that roi= names. Correct roi=, or "
            "leave it out to crop on the image."
        )
    if structures:
        findings.warn(
            f"{without} of {len(tumours)} patients have no GTV contour: all are cropped on the image; roi=NAME picks a "
            "region by its name"
        )
    return "image"
