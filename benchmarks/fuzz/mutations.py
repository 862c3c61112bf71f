"""Seeded damage: to raw bytes, or to what lies below a checksum, so that not the checksum alone is tested."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBERS = ("0", "-1", "1e308", "1e999", "nan", "inf", "99999999999999999999", "0.0001", "", "x", "[]", "null")
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "\x1b]0;x\x07", [], {}, [[]], {"": 0})
_TEXTS = ("", "x", "0", "-1", "1e30", "nan", "1\\2", "\\", "99999999", "0.00001", "1.2.3", "\x1b[2J", "é" * 40)


def raw(data: bytes, random: Random) -> bytes:
    """Damage bytes anywhere, the first 4096 as often as all others."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if not changed:
            break
        at = random.randrange(min(len(changed), 4096) if random.random() < 0.5 else len(changed))
        count = random.choice((1, 2, 4, 8, 64, 512))
        match random.randrange(9):
            case 0 | 1 | 2:
                changed[at] ^= 1 << random.randrange(8)
            case 3:
                changed[at] = random.randrange(256)
            case 4:
                size = random.choice((2, 4))
                number = random.choice(_WORDS) & (256**size - 1)
                changed[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))
            case 5:
                del changed[at : at + count]
            case 6:
                changed[at:at] = changed[at : at + count]
            case 7:
                changed[at : at + count] = bytes(random.choice((0, 255)) for _ in changed[at : at + count])
            case _:
                del changed[at:]
    return bytes(changed)


def in_zip(data: bytes, random: Random) -> bytes:
    """Damage, leave out, double or rename a member of a zip, and write it with sound checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(item, archive.read(item)) for item in archive.infolist()]
    at = random.randrange(len(members))
    item, content = members[at]
    match random.randrange(8):
        case 0:
            del members[at]
        case 1:
            members.append((zipfile.ZipInfo(item.filename), raw(content, random)))
        case 2:
            other = zipfile.ZipInfo(random.choice(("pixels.npy", "groups.npy", "x", "0/x.npy", "../x.npy", "x/0.npy")))
            members[at] = (other, content)
        case 3:
            swapped = random.randrange(len(members))
            members[at], members[swapped] = (item, members[swapped][1]), (members[swapped][0], content)
        case _:
            members[at] = (item, raw(content, random))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name are meant
        for item, content in members:
            archive.writestr(item.filename, content, item.compress_type)
    return written.getvalue()


def in_gzip(data: bytes, random: Random) -> bytes:
    """Damage what a gzip holds."""
    return gzip.compress(raw(gzip.decompress(data), random), mtime=0)


def in_png(data: bytes, random: Random) -> bytes:
    """Damage one chunk of a PNG, its pixels below their compression, and write sound checksums."""
    chunks = []
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    place = random.randrange(len(chunks))
    kind, content = chunks[place]
    changed = zlib.compress(raw(zlib.decompress(content), random)) if kind == b"IDAT" else raw(content, random)
    chunks[place] = (kind, changed)
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def in_text(data: bytes, random: Random) -> bytes:
    """Damage a line or a number of a text."""
    lines = data.decode("latin-1").splitlines(keepends=True)
    at = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[random.randrange(len(lines))])
        case 2:
            lines[at] = raw(lines[at].encode("latin-1"), random).decode("latin-1")
        case _:
            numbers = list(re.finditer(r"-?\d[\d.e+-]*", lines[at]))
            if numbers:
                chosen = random.choice(numbers)
                lines[at] = lines[at][: chosen.start()] + random.choice(_NUMBERS) + lines[at][chosen.end() :]
    return "".join(lines).encode("latin-1")


def in_json(data: bytes, random: Random) -> bytes:
    """Remove, replace or double one node of a JSON document."""
    return json.dumps(_changed(json.loads(data), random)).encode()


def _changed(document: Any, random: Random) -> Any:
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(document)
    holder, key = random.choice(places)
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1:
            other, name = random.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        case _:
            holder[key] = random.choice(_VALUES)
    return document


def in_safetensors(data: bytes, random: Random) -> bytes:
    """Damage the JSON header of a safetensors file, its length kept true."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    key = "__metadata__"
    name = next(iter(header.get(key, {})), None)
    if name is not None and random.random() < 0.5:
        header[key][name] = in_json(header[key][name].encode(), random).decode()
        changed = json.dumps(header).encode()
    else:
        changed = in_json(json.dumps(header).encode(), random)
    return struct.pack("<Q", len(changed)) + changed + data[8 + length :]


def in_dicom(data: bytes, random: Random) -> bytes:
    """Remove, empty or replace one element of a DICOM data set, at any depth."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data))
        elements = []

        def walk(node: pydicom.Dataset) -> None:
            for element in node:
                elements.append((node, element))
                if element.VR == "SQ":
                    for item in element.value:
                        walk(item)

        walk(dataset)
        holder, element = random.choice(elements)
        try:
            _change_element(holder, element, random)
            written = io.BytesIO()
            dataset.save_as(written)
        except Exception:  # a value that pydicom does not write
            return raw(data, random)
    return written.getvalue()


def _change_element(holder: Any, element: Any, random: Random) -> None:
    value = element.value
    numbers = [value] if isinstance(value, (int, float)) else value
    match random.randrange(5):
        case 0:
            del holder[element.tag]
        case 1:
            element.value = [] if element.VR == "SQ" else None
        case 2 if element.VR == "SQ":
            element.value = [*value, *value[:1]] if random.random() < 0.5 else value[1:]
        case 3 if isinstance(value, bytes):
            element.value = value[: random.randrange(len(value) + 1) // 2 * 2]
        case 3 if not isinstance(value, str) and element.VR != "SQ":
            factor = random.choice((0, -1, 10, 0.1, 1.01, 1e9))
            changed = [type(number)(number * factor) for number in numbers]
            element.value = changed[0] if len(changed) == 1 else changed
        case _ if element.VR == "SQ":
            random.shuffle(element.value)
        case _:
            text = random.choice(_TEXTS)
            element._value = text.encode("latin-1") if isinstance(value, bytes) else text
