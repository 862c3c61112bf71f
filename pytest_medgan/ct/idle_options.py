"""Refuse options of the data that cannot change the images of the source they are given for.

An option that is ignored would still be part of a data set's name, and its user would believe that it had an effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from pytest_medgan.ct.planes import WHOLE
from pytest_medgan.ct.store import ImageSettings
from pytest_medgan.errors import SettingsError
from pytest_medgan.records import DataSettings

_DEFAULTS = DataSettings()


def is_given(settings: DataSettings, option: str) -> bool:
    """Return whether somebody chose an option: it was written, or it differs from its default."""
    return option in settings.given or getattr(settings, option) != getattr(_DEFAULTS, option)


def refuse_idle(settings: DataSettings, reasons: Mapping[str, str]) -> None:
    """Raise SettingsError for an option that was given and has no effect.

    Args:
        settings: What was asked for. Generated volumes are read with the settings of real images, and never refused.
        reasons: Option -> why it has no effect on this source and what to do, as it follows "has no effect ".

    Raises:
        SettingsError: One of them was given.
    """
    for option, reason in reasons.items():
        if not settings.generated and is_given(settings, option):
            raise SettingsError(f"{option}= has no effect {reason}")


def refuse_idle_combinations(settings: DataSettings) -> None:
    """Raise SettingsError for an option that another one leaves without effect, whatever the source is."""
    if settings.split == "slice":
        refuse_idle(
            settings,
            {"fractions": "with split=slice, which makes two halves. Leave fractions= out, or give split=patient."},
        )
    if settings.planes == WHOLE:
        refuse_idle(
            settings,
            {"slices": "with planes=volume, which takes whole cubes. Leave slices= out."},
        )
    if settings.crop == "image":
        refuse_idle(
            settings,
            {"roi": "with crop=image, which looks for no region. Leave roi= out, or give crop=tumour."},
        )


def refuse_idle_crop_size(settings: DataSettings, shapes: set[tuple[int, int]], what: str) -> None:
    """Raise SettingsError for a crop_size where all pictures have the finished size, so that none is cropped.

    Args:
        settings: What was asked for.
        shapes: Rows and columns of the pictures.
        what: What the pictures are, in the plural.
    """
    size = settings.size
    if shapes == {(size, size)} and settings.crop_size != size:
        refuse_idle(
            settings,
            {
                "crop_size": f"on {what} of {size}x{size} pixels, which size={size} takes whole. Leave crop_size= out, "
                "or give another size=."
            },
        )


def refuse_idle_for_pictures(
    settings: DataSettings,
    *,
    shapes: set[tuple[int, int]],
    has_eight_bits: bool,
    is_rescaled: bool,
    has_table: bool,
    hounsfield: bool,
) -> None:
    """Raise SettingsError for an option that has no effect on pictures.

    Args:
        settings: What was asked for.
        shapes: Rows and columns of the pictures.
        has_eight_bits: All have 8 bits.
        is_rescaled: A table gives slope and intercept of all.
        has_table: A table names their patients.
        hounsfield: Their values are HU.
    """
    reasons = {"roi": "on pictures, which have no structure sets. Leave roi= out."}
    if has_table:
        reasons["patient"] = "where a table of files names the patients. Leave patient= out, or remove the table."
    if is_rescaled:
        reasons["range"] = "on pictures whose slope and intercept a table gives. Leave range= out, or remove these."
    elif has_eight_bits:
        reasons["range"] = "on pictures of 8 bits, whose black is 0 and white 255. Leave range= out."
    if settings.channels != 1:
        reasons["window"] = "on pictures in colour. Leave window= out."
    elif not hounsfield:
        reasons["window"] = (
            "on pictures of grey levels. Leave window= out, or give slope and intercept to HU in a table of files."
        )
    refuse_idle(settings, reasons)
    refuse_idle_crop_size(settings, shapes, "pictures")


def refuse_other_settings(settings: DataSettings, own: ImageSettings) -> None:
    """Raise SettingsError for an option that asks for other images than a prepared set holds.

    Args:
        settings: What was asked for.
        own: What the set was prepared with.
    """
    for field in fields(own):
        option = field.name
        wanted, found = getattr(settings, option), getattr(own, option)
        if wanted != found and not (option == "crop" and wanted == "auto"):
            reason = (
                f"on a set that medgan prepare wrote, which was made with {option}={_written(found, option)}. "
                f"Leave {option}= out, or prepare the set again."
            )
            refuse_idle(settings, {option: reason})


def _written(value: object, option: str) -> str:
    """Return a value as it is written behind `=`."""
    if isinstance(value, tuple):
        return ":".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value) or "all"
    if value is None:
        return "all" if option in ("slices", "patients") else "none"
    return str(value)
