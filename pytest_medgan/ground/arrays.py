"""Read .npy and .npz files without pickles, with limits on size, and with one error message for damaged files.

A few bytes can state a size, or unpack to a size, that exceeds the memory. So the size of every array is read from its
header and compared with the file before anything is unpacked.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pytest_medgan.errors import DataError
from pytest_medgan.records.arrays import UInt8

ALONE = "pixels"  # the name of the one array of an .npy file
_ALWAYS = 1 << 30  # bytes that any file may unpack to
_RATIO = 100  # beyond that, how many times larger than the file the arrays may be; images shrink less


def read_arrays(path: Path, *, name: str, only: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a file.

    Args:
        path: An .npy or .npz file; its content decides, not its suffix.
        name: What messages call the file.
        only: Names of the arrays to unpack; None for all.

    Returns:
        Name -> array. The array of an .npy file is named `pixels`.

    Raises:
        DataError: The file cannot be read, is damaged, holds Python objects, or unpacks to far more than its own size.
    """
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            if stream.read(6) == b"\x93NUMPY":
                stream.seek(0)
                return {ALONE: _read_array(stream, size, name)}
            with zipfile.ZipFile(stream) as archive:
                return _read_members(archive, size, name, only)
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"The array file cannot be read ({error.strerror or 'no reason given'}). Check its name and permissions.",
            file=name,
        ) from error
    except MemoryError as error:
        raise DataError("The array file does not fit into memory. Split it.", file=name) from error
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged input
        raise DataError(
            "The array file is damaged or of another format. Write it again with numpy.save or numpy.savez.", file=name
        ) from error


def _read_members(
    archive: zipfile.ZipFile, size: int, name: str, only: Collection[str] | None
) -> dict[str, npt.NDArray[Any]]:
    """Read the wanted arrays of an .npz."""
    members = [item for item in archive.infolist() if item.filename.endswith(".npy")]
    wanted = [item for item in members if only is None or item.filename[:-4] in only]
    if len({item.filename for item in wanted}) < len(wanted):
        raise DataError("The array file holds two arrays of one name. Write it again with numpy.savez.", file=name)
    if sum(item.file_size for item in wanted) > max(_ALWAYS, _RATIO * size):
        raise DataError(
            f"The array file unpacks to more than {_RATIO} times its size. If that is meant, write it with numpy.savez "
            "instead of savez_compressed.",
            file=name,
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    for item in wanted:
        with archive.open(item) as stream:
            arrays[item.filename[:-4]] = _read_array(stream, item.file_size, name)
    return arrays


def _read_array(stream: IO[bytes], size: int, name: str) -> npt.NDArray[Any]:
    """Read one array; `size` is how many bytes the stream holds from its start."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise DataError("The array file holds Python objects. Save plain numbers.", file=name)
    if math.prod(shape) * dtype.itemsize > size - stream.tell():
        raise DataError(
            "The array file is damaged: its header states more data than the file holds. Copy it again.", file=name
        )
    stream.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def picture_images(
    pixels: npt.NDArray[Any], *, name: str, limits: tuple[float, float] | None = None, channels: int = 1
) -> UInt8:
    """Return an array of pictures as images of one channel or of three.

    Args:
        pixels: [N,H,W], [N,1,H,W], [N,3,H,W] or [N,H,W,3]; uint8, or any numbers where `limits` is given.
        name: What messages call the file.
        limits: The values that black and white stand for; None takes uint8 as it is.
        channels: 1 refuses coloured pictures; 3 takes them, and repeats the channel of grey ones.

    Returns:
        uint8 [N,H,W], or [N,3,H,W] for three channels.

    Raises:
        DataError: The array has another shape or type, coloured pixels, or values outside of `limits`.
    """
    images = _channels_first(pixels, name, channels)
    if images.dtype == np.uint8 and limits is None:
        return images
    if images.dtype.kind not in "uif":
        raise DataError(f"The pixels are {images.dtype}. Save uint8 grey levels 0..255.", file=name)
    if not np.isfinite(images).all():
        raise DataError("The pixels hold NaN or infinity. Save grey levels 0..255.", file=name)
    low, high = float(images.min()), float(images.max())
    if limits is None:
        raise DataError(
            f"The pixels are {images.dtype} from {low:.4g} to {high:.4g}. Save uint8 grey levels 0..255, or say what "
            "black and white are, as in range=0:1.",
            file=name,
        )
    return scale_to_grey(images, limits, name)


def scale_to_grey(values: npt.NDArray[Any], limits: tuple[float, float], name: str) -> UInt8:
    """Return numbers as grey levels, `limits` being black and white: uint8 of the same shape.

    Raises:
        DataError: A value lies outside of the limits by more than a grey level.
    """
    low, high = limits
    level = (high - low) / 255.0
    least, most = float(values.min()), float(values.max())
    if least < low - level or most > high + level:
        raise DataError(
            f"The pixels go from {least:.4g} to {most:.4g}, beyond the range {low:g} to {high:g}. Correct range=.",
            file=name,
        )
    grey = np.rint((np.clip(values.astype(np.float64), low, high) - low) / level)
    return np.ascontiguousarray(grey.astype(np.uint8))


def _channels_first(pixels: npt.NDArray[Any], name: str, wanted: int) -> npt.NDArray[Any]:
    """Return images [N,H,W], whose channels must be equal if there are any, or [N,3,H,W]."""
    shape = list(pixels.shape)
    images = pixels[:, None] if pixels.ndim == 3 else pixels
    axis = None
    if images.ndim == 4 and images.size:
        axis = next((axis for count in (1, 3) for axis in (1, 3) if images.shape[axis] == count), None)
    if axis is None:
        raise DataError(f"The pixels have the shape {shape}. Save [N,H,W], [N,1,H,W] or [N,3,H,W].", file=name)
    images = np.moveaxis(images, axis, 1)
    if wanted == 3:
        return np.ascontiguousarray(np.broadcast_to(images, (len(images), 3, *images.shape[2:])))
    if images.shape[1] > 1 and (images != images[:, :1]).any():
        raise DataError(
            "The pixels are coloured: their channels differ. Save one grey channel, or add channels=3 to the data.",
            file=name,
        )
    return np.ascontiguousarray(images[:, 0])
