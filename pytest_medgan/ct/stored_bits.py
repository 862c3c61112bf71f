"""What stored values hold beside measurements: padding, and overlays in bits that the values do not use."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.tag import Tag

_GROUPS = range(0x6000, 0x6020, 2)
_BITS_ALLOCATED, _BIT_POSITION = 0x0100, 0x0102
OVERLAY_TAGS = [Tag(group, element) for group in _GROUPS for element in (_BITS_ALLOCATED, _BIT_POSITION)]


def overlay_bits(dataset: Dataset, allocated: int, stored: int) -> int:
    """Return a mask of the bits of a stored value that hold overlays, as the standard allowed until 2004; 0 for none.

    PS3.3 C.9.2 of 2003: such an overlay has as many OverlayBitsAllocated as pixels have BitsAllocated, and its
    OverlayBitPosition is that of an unused bit.

    Args:
        dataset: The header.
        allocated: Bits of a value in the file.
        stored: Bits that the pixel's value takes, from the lowest on.
    """
    mask = 0
    for group in _GROUPS:
        bits, place = (dataset.get(Tag(group, element)) for element in (_BITS_ALLOCATED, _BIT_POSITION))
        if bits is None or place is None or bits.value != allocated:
            continue
        if isinstance(place.value, int) and stored <= place.value < allocated:
            mask |= 1 << place.value
    return mask


def padding_range(dataset: Dataset, *, signed: bool, allocated: int, stored: int) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that stands for no measurement; None for none.

    Args:
        dataset: The header.
        signed: Whether stored values are signed.
        allocated: Bits of a value in the file.
        stored: Bits that the pixel's value takes.
    """
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [_as_stored(int(value), signed, allocated, stored)]
    if limit is not None and limit != "":
        ends.append(_as_stored(int(limit), signed, allocated, stored))
    return min(ends), max(ends)


def _as_stored(value: int, signed: bool, allocated: int, stored: int) -> int:
    """Return a padding value as pixels hold it. Writers give -2000 as it is, as 63536, or of 12 bits as 2096."""
    span = 1 << allocated
    value %= span
    if not signed:
        return value
    if value < 1 << stored:  # zeros in the unused bits: the highest stored bit is the sign
        span = 1 << stored
    return value - span if value >= span // 2 else value
