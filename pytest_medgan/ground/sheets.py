"""Many small grey pictures as one compressed image."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from pytest_medgan.records import UInt8

QUALITY = 88  # of JPEG: a checkerboard of two grey levels is still seen


def sheet(pictures: UInt8, columns: int, gap: int = 0) -> UInt8:
    """Pictures [T,h,w] laid out row by row, `gap` black pixels between them: uint8 [H,W]."""
    count, height, width = pictures.shape
    rows = max(math.ceil(count / columns), 1)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def resized(pictures: UInt8, size: int) -> UInt8:
    """Pictures [T,h,w] to [T,size,size] by area (bilinear where that enlarges)."""
    if pictures.shape[1:] == (size, size):
        return pictures
    method = Image.Resampling.BOX if pictures.shape[1] > size else Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(picture).resize((size, size), method)) for picture in pictures]
    return np.stack(small) if small else np.empty((0, size, size), np.uint8)


def jpeg(canvas: UInt8, quality: int = QUALITY) -> str:
    """A grey image [H,W] as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def png(canvas: UInt8) -> str:
    """A grey image [H,W] as a data URI, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


def svg(text: str) -> str:
    """An SVG as a data URI."""
    return data_uri(text.encode(), "image/svg+xml")


def data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
