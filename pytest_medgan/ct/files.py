"""What lies in a folder: every file, told apart by its content rather than its name."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.errors import DataError

_PREAMBLE = 128  # bytes before "DICM" (PS3.10)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"NRRD000", "nrrd"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
)


@dataclass(frozen=True)
class SourceFile:
    """One file of the source."""

    name: str  # relative to the data root, with forward slashes
    kind: str  # "dicom", "png", "tiff", "nrrd", "nifti", "npy", "npz", "csv" or "other"
    size: int  # bytes
    stamp: tuple[int, int]  # st_mtime_ns, st_ctime_ns

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()


def list_files(root: Path) -> list[SourceFile]:
    """Every file under `root` (or `root` itself, a file), ordered by name; hidden files and folders are left out.

    Links to folders are followed, each folder being read once; pipes and devices, which can block, are no files.

    Raises DataError where there is no such folder or a file cannot be opened.
    """
    if root.is_file():
        return [_look_at(root, root.name)]
    if not root.is_dir():
        raise DataError("no such folder or file; name an existing one, or phantom", file=str(root))
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
                found.append(_look_at(path, path.relative_to(root).as_posix()))
    return sorted(found, key=lambda file: file.name)


def _refuse(error: OSError) -> None:
    raise DataError(f"a folder of the source cannot be listed ({error.strerror}); grant read access", file=None)


def _look_at(path: Path, name: str) -> SourceFile:
    try:
        stat = path.stat()
        with path.open("rb") as stream:
            head = stream.read(_PREAMBLE + 4)
    except OSError as error:
        raise DataError(f"cannot be opened ({error.strerror}); grant read access or remove it", file=name) from error
    return SourceFile(name, _kind(head, name.lower()), stat.st_size, (stat.st_mtime_ns, stat.st_ctime_ns))


def _kind(head: bytes, name: str) -> str:
    if head[_PREAMBLE:] == b"DICM" or _bare_dicom(head):
        return "dicom"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            if kind == "zip":
                return "npz" if name.endswith(".npz") else "other"
            if kind == "gzip":
                return "nifti" if name.endswith(".nii.gz") else "other"
            return kind
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"):  # sizeof_hdr 348 or 540
        return "nifti"
    return "csv" if name.endswith((".csv", ".tsv")) else "other"


def _bare_dicom(head: bytes) -> bool:
    """A data set without preamble begins with an element of group 0002 or 0008, as written before PS3.10."""
    group, element = head[:2], head[2:4]
    if group not in (b"\x02\0", b"\x08\0") or len(head) < 12:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    return group == b"\x08\0" and element in (b"\0\0", b"\x01\0", b"\x05\0", b"\x08\0") and head[6:8] == b"\0\0"


def content_digest(path: Path, *, skip: int = 0) -> str:
    """Hex digest of a file's bytes from `skip` on."""
    digest = hashlib.blake2b(digest_size=32)
    buffer = memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as stream:
        stream.seek(skip)
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
