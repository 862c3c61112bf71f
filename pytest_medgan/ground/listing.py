"""List the files of a folder, with the kind of each by its content, not by its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.errors import DataError

_PREAMBLE = 128  # bytes before "DICM" (PS3.10)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"NRRD000", "nrrd"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
)
_BY_NAME = {"zip": (".npz", "npz"), "gzip": (".nii.gz", "nifti"), "bmp": (".bmp", "bmp")}  # what only a name tells
PICTURES = ("png", "jpeg", "bmp", "tiff")
VOLUMES = ("nifti", "nrrd", "metaimage")


@dataclass(frozen=True)
class SourceFile:
    """One file of the source."""

    name: str  # relative to the data root, with forward slashes
    kind: str  # "dicom", one of PICTURES or VOLUMES, "npy", "npz", "csv", or "other"
    size: int  # bytes
    stamp: tuple[int, int]  # st_mtime_ns, st_ctime_ns

    @property
    def folder(self) -> str:
        """The folder it lies in, relative to the data root; "" for the root itself."""
        return self.name.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        """The end of its name from the last dot on, in lower case."""
        return Path(self.name).suffix.lower()


def list_files(root: Path) -> list[SourceFile]:
    """Return every file under a folder, ordered by name, or the one file that `root` is.

    Hidden files and folders are left out. Links to folders are followed, each folder being read once; pipes and
    devices, which can block, are left out.

    Raises:
        DataError: There is no such folder, or a file cannot be opened.
    """
    if root.is_file():
        return [_inspect(root, root.name)]
    if not root.is_dir():
        raise DataError("The data source is not a folder or file. Name an existing one, or phantom.", file=str(root))
    found = []
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, onerror=_refuse, followlinks=True):
        own = os.path.realpath(folder)
        if own in seen:  # a link in a circle, or a second link to one folder
            inner.clear()
            continue
        seen.add(own)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and (path.is_file() or not path.exists()):
                found.append(_inspect(path, path.relative_to(root).as_posix()))
    return sorted(found, key=lambda file: file.name)


def _refuse(error: OSError) -> None:
    """Raise DataError for a folder that cannot be listed."""
    raise DataError(f"A folder of images cannot be listed ({error.strerror or 'no reason given'}). Grant read access.")


def _inspect(path: Path, name: str) -> SourceFile:
    """Return what a file is by its first bytes."""
    try:
        stat = path.stat()
        with path.open("rb") as stream:
            head = stream.read(_PREAMBLE + 4)
    except OSError as error:
        raise DataError(
            f"A file among the images cannot be opened ({error.strerror or 'no reason given'}). Grant read access or "
            "remove it.",
            file=name,
        ) from error
    return SourceFile(name, _kind(head, name.lower()), stat.st_size, (stat.st_mtime_ns, stat.st_ctime_ns))


def _kind(head: bytes, name: str) -> str:
    """Return the kind of a file."""
    if head[_PREAMBLE:] == b"DICM" or _bare_dicom(head):
        return "dicom"
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
    if kind in _BY_NAME:
        suffix, meant = _BY_NAME[kind]
        return meant if name.endswith(suffix) else "other"
    if kind:
        return kind
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"):  # sizeof_hdr 348 or 540
        return "nifti"
    if name.endswith((".mhd", ".mha")) and b"=" in head:
        return "metaimage"
    return "csv" if name.endswith((".csv", ".tsv")) else "other"


def _bare_dicom(head: bytes) -> bool:
    """Whether a file without preamble begins with an element of group 0002 or 0008, as written before PS3.10."""
    group, element = head[:2], head[2:4]
    if group not in (b"\x02\0", b"\x08\0") or len(head) < 12:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    return group == b"\x08\0" and element in (b"\0\0", b"\x01\0", b"\x05\0", b"\x08\0") and head[6:8] == b"\0\0"
