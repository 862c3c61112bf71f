"""Contact sheets of small grey pictures, and images as data URIs."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from pytest_medgan.records import UInt8

QUALITY = 88  # of JPEG: keeps a checkerboard of four grey levels visible


def sheet(pictures: UInt8, columns: int, gap: int = 0) -> UInt8:
    """Return pictures laid out row by row.

    Args:
        pictures: uint8 [T,h,w].
        columns: Pictures in a row, at least 1.
        gap: Black pixels between pictures.

    Returns:
        uint8 [H,W], at least one row high.
    """
    count, height, width = pictures.shape
    rows = max(math.ceil(count / columns), 1)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def resized(pictures: UInt8, size: int) -> UInt8:
    """Return pictures resized to squares.

    Args:
        pictures: uint8 [T,h,w].
        size: Width and height in pixels.

    Returns:
        uint8 [T,size,size], by area where that makes them smaller, else bilinear.
    """
    if pictures.shape[1:] == (size, size):
        return pictures
    method = Image.Resampling.BOX if pictures.shape[1] > size else Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(picture).resize((size, size), method)) for picture in pictures]
    return np.stack(small) if small else np.empty((0, size, size), np.uint8)


def jpeg(canvas: UInt8, quality: int = QUALITY) -> str:
    """Return a grey image, uint8 [H,W], as the data URI of a JPEG of the given quality (1 to 95)."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def png(canvas: UInt8) -> str:
    """Return a grey image, uint8 [H,W], as the data URI of a PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


def svg(text: str) -> str:
    """Return the text of an SVG as a data URI."""
    return data_uri(text.encode(), "image/svg+xml")


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes of a media type such as "image/png" as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
