"""Files that hold the values of a volume whose header is a file of its own: .raw of .mhd and .nhdr, .img of .hdr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_medgan.ct.metaimage import LOCAL, read_fields
from pytest_medgan.ct.nifti import image_of_header
from pytest_medgan.ct.nrrd_file import detached_name
from pytest_medgan.ct.volume_file import plain_name
from pytest_medgan.ground.listing import VOLUMES, SourceFile


def companions(root: Path, files: Sequence[SourceFile]) -> dict[str, str]:
    """Return header -> the file next to it that holds its values; both relative to the data root.

    A volume whose header cannot be read has none here: `inspect_volume` reports it.
    """
    found = {}
    for file in files:
        if file.kind in VOLUMES:
            named = _named_by(root / file.name, file.kind, file.name)
            if named is not None:
                found[file.name] = f"{file.folder}/{named}" if file.folder else named
    return found


def companion_stamps(root: Path, files: Sequence[SourceFile]) -> list[tuple[str, int, int, int]]:
    """Return name, size and times of the files that hold values and are not among `files`; missing ones are left out.

    They are hidden, or lie beside a single header that is the whole source.
    """
    listed = {file.name for file in files}
    stamps = []
    for name in sorted(set(companions(root, files).values()) - listed):
        try:
            stat = (root / name).stat()
        except OSError:
            continue  # reported where the volume is read
        stamps.append((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return stamps


def _named_by(path: Path, kind: str, name: str) -> str | None:
    """Return the name of the file in the same folder that holds the values of a volume; None where it does itself."""
    try:
        if kind == "metaimage":
            fields, _ = read_fields(path, name)
            return None if fields["ElementDataFile"] == LOCAL else plain_name(fields["ElementDataFile"])
        if kind == "nrrd":
            named = detached_name(path)
            return None if named is None else plain_name(named)
        image = image_of_header(path)
        return None if image is None else image.name
    except Exception:  # a damaged header can make the readers raise anything at all
        return None
