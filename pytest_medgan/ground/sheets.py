"""Contact sheets of small pictures, grey or in colour, and images as data URIs."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from pytest_medgan.records import UInt8

QUALITY = 88  # of JPEG: keeps a checkerboard of four grey levels visible


def as_pictures(images: UInt8) -> UInt8:
    """Return images as pictures.

    Args:
        images: uint8 [N,1,H,W] or [N,3,H,W].

    Returns:
        uint8 [N,H,W], or in colour [N,H,W,3].
    """
    return images[:, 0] if images.shape[1] == 1 else np.ascontiguousarray(np.moveaxis(images, 1, -1))


def sheet(pictures: UInt8, columns: int, gap: int = 0) -> UInt8:
    """Return pictures laid out row by row.

    Args:
        pictures: uint8 [T,h,w], or in colour [T,h,w,3].
        columns: Pictures in a row, at least 1.
        gap: Black pixels between pictures.

    Returns:
        uint8 [H,W] or [H,W,3], at least one row high.
    """
    count, height, width, *colours = pictures.shape
    rows = max(math.ceil(count / columns), 1)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, *colours), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def resized(pictures: UInt8, size: int) -> UInt8:
    """Return pictures resized to squares.

    Args:
        pictures: uint8 [T,h,w], or in colour [T,h,w,3].
        size: Width and height in pixels.

    Returns:
        uint8 [T,size,size] or [T,size,size,3], by area where that makes them smaller, else bilinear.
    """
    if pictures.shape[1:3] == (size, size):
        return pictures
    method = Image.Resampling.BOX if pictures.shape[1] > size else Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(picture).resize((size, size), method)) for picture in pictures]
    return np.stack(small) if small else np.empty((0, size, size, *pictures.shape[3:]), np.uint8)


def jpeg(canvas: UInt8, quality: int = QUALITY) -> str:
    """Return an image, uint8 [H,W] or [H,W,3], as the data URI of a JPEG of the given quality (1 to 95)."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def png(canvas: UInt8) -> str:
    """Return an image, uint8 [H,W] or [H,W,3], as the data URI of a PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


def svg(text: str) -> str:
    """Return the text of an SVG as a data URI."""
    return data_uri(text.encode(), "image/svg+xml")


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes of a media type such as "image/png" as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
