"""Read one picture (PNG, JPEG, BMP or TIFF) as grey values or in colour, with the meaning that the file gives them.

Where grey is asked for, colour modes, palettes and alpha are accepted if the picture has no colour: equal channels are
grey. `PictureKind` says what the values mean; no picture is stretched to its own range.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pytest_medgan.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_LARGEST = 8192  # pixels per side
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_NUMBERS = ("I", "F", "I;16S", "I;16BS")
_COLOURS = ("RGB", "RGBA", "RGBX", "LA", "P", "PA")
_PHOTOMETRIC = 262  # TIFF tag; 0 says that 0 is white
SAVE_GREY = "Save it in grey."
_LOSSY_GAP = 4  # grey levels by which the channels of a grey JPEG may differ


class PictureKind(enum.Enum):
    """What the values of a picture mean."""

    GREY = "grey of 8 bits"  # 0 black, 255 white
    DEEP = "grey of 16 bits"  # 0 black, 65535 white
    NUMBERS = "numbers"  # signed or floating point: HU, or what the user states


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture."""

    values: npt.NDArray[Any]  # [H,W], uint8 (GREY), uint16 (DEEP), or float64 (NUMBERS); uint8 [H,W,3] in colour
    kind: PictureKind
    lossy: bool  # compressed with loss


def read_picture(path: Path, *, name: str, channels: int = 1, action: str = SAVE_GREY) -> Picture:
    """Read one picture.

    Args:
        path: The file; its content decides on the format, not its suffix.
        name: What messages call the file.
        channels: 1 refuses a coloured picture; 3 returns red, green and blue, of a grey picture three times the same.
        action: What messages say to do about a coloured picture where there must be none.

    Raises:
        DataError: The file is damaged, coloured, transparent, has several pages or more than 8192 pixels per side, or
            holds values that are not finite.
    """
    with _opened(path, name) as image:
        return _decode(image, _kind(image, name), name, channels, action)


def holds_colour(path: Path, *, name: str) -> bool:
    """Return whether a picture is coloured: of 8 bits, its channels different. Raises DataError as `read_picture`."""
    with _opened(path, name) as image:
        if _kind(image, name) is not PictureKind.GREY or image.mode not in _COLOURS:
            return False
        return _is_coloured(_channels(image, name), lossy=image.format == "JPEG")


def picture_kind(path: Path, *, name: str) -> PictureKind:
    """Return the kind of a picture from its header only. Raises DataError as `read_picture`."""
    with _opened(path, name) as image:
        return _kind(image, name)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """Open a picture; turn any error of Pillow, also while the picture is used, into a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large_error(name) from error
    except Exception as error:  # a damaged picture can make Pillow raise anything at all
        raise DataError(
            "The picture is damaged or of another format. Copy it again, or leave it out.", file=name
        ) from error


def _too_large_error(name: str) -> DataError:
    """Return the error for a picture that is too large to decode."""
    return DataError(f"The picture has more than {_LARGEST} pixels per side. Cut it into smaller ones.", file=name)


def _kind(image: Image.Image, name: str) -> PictureKind:
    """Return the kind; raise DataError for a picture that is not read."""
    if max(image.size) > _LARGEST:
        raise _too_large_error(name)
    if getattr(image, "n_frames", 1) != 1:
        raise DataError("The picture has several pages. Save each page as a separate picture.", file=name)
    if image.mode in ("L", "1", *_COLOURS):
        if any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
            raise DataError(
                "The picture has several channels of 16 bits, of which Pillow keeps 8. Save one grey channel, "
                "or 8 bits of each.",
                file=name,
            )
        return PictureKind.GREY
    if image.mode in _SIXTEEN:
        return PictureKind.DEEP
    if image.mode in _NUMBERS:
        return PictureKind.NUMBERS
    raise DataError(f"The picture is in colour (mode {image.mode}). Save it in grey, or as RGB.", file=name)


def _decode(image: Image.Image, kind: PictureKind, name: str, channels: int, action: str) -> Picture:
    """Return the pixels of an open picture."""
    lossy = image.format == "JPEG"
    inverted = image.format == "TIFF" and _is_inverted(image)
    upright = ImageOps.exif_transpose(image) if kind is PictureKind.GREY else image
    if channels == 3:
        if kind is not PictureKind.GREY:
            raise DataError(f"The picture holds {kind.value} and no colour. Save it as RGB of 8 bits.", file=name)
        values: npt.NDArray[Any] = _channels(upright, name)
    elif kind is PictureKind.GREY:
        values = _grey(upright, name, action, lossy=lossy)
    elif kind is PictureKind.DEEP:
        values = np.asarray(image).astype(np.uint16)
        if inverted:  # Pillow inverts 8 bits itself, but not 16 bits
            values = 65535 - values
    else:
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError("The picture holds values that are not finite. Save it again without them.", file=name)
    return Picture(np.ascontiguousarray(values), kind, lossy)


def _is_inverted(image: Image.Image) -> bool:
    """Whether a TIFF says that its zero is white."""
    tags: Any = getattr(image, "tag_v2", {})
    return bool(tags.get(_PHOTOMETRIC) == 0)


def _grey(image: Image.Image, name: str, action: str, *, lossy: bool) -> npt.NDArray[np.uint8]:
    """Return 8-bit grey, [H,W], out of any mode that holds it."""
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    channels = _channels(image, name)
    if _is_coloured(channels, lossy=lossy):
        raise DataError(f"The picture is in colour: its channels differ. {action}", file=name)
    return channels[..., 1]


def _channels(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Return red, green and blue, [H,W,3], of any mode of 8 bits."""
    channels = np.asarray(image.convert("RGBA"))
    if (channels[..., 3] != 255).any():
        raise DataError("The picture has transparent pixels. Save it without an alpha channel.", file=name)
    return channels[..., :3]


def _is_coloured(channels: npt.NDArray[np.uint8], *, lossy: bool) -> bool:
    """Return whether channels differ by more than a lossy format makes them differ."""
    return bool(np.ptp(channels.astype(np.int16), axis=2).max() > (_LOSSY_GAP if lossy else 0))
