"""Features on disk, found by content: the pixels of each image, the extractor's identity and the numeric class.

A set is computed in blocks but found image by image. So the first eighth of a set is found when all of it was stored,
in any order, and one changed pixel costs one image. Many processes, on one machine or several, may share a folder. Each
block is computed under a lock; a process that finds a block locked goes on with another block and comes back. A lock
ends with the process that held it. Where the folder cannot be written or is full, nothing more is stored and `trouble`
says why.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from pytest_medgan.embedding.blocks import (
    SUFFIX,
    Block,
    DamagedBlockError,
    Header,
    read_block,
    read_header,
    write_block,
)
from pytest_medgan.embedding.housekeeping import ABOUT, make_room
from pytest_medgan.errors import ExtractorError, OutputError
from pytest_medgan.ground.files import write_text
from pytest_medgan.records import Float32, UInt8

# (rows of the set to compute, rows of the set that are done) -> their features and probabilities
Compute = Callable[[list[int], int], tuple[Float32, Float32 | None]]

LIMIT = 4 * 10**9  # bytes of stored blocks
LOCKS = 256  # lock files; two blocks that share one wait for each other
PATIENCE = 600.0  # seconds to wait for another process's block before computing it anyway


@dataclass
class Counts:
    """Images found and images computed."""

    found: int = 0  # read from the folder
    computed: int = 0  # embedded
    damaged: int = 0  # blocks that were not what was written, and were removed

    def __str__(self) -> str:
        damaged = f", {self.damaged} damaged blocks recomputed" if self.damaged else ""
        return f"{self.computed} images embedded, {self.found} from the cache{damaged}"


@dataclass
class Cache:
    """A folder of stored features, bounded in size; those unused for longest are removed first."""

    folder: Path
    limit: int = LIMIT  # bytes
    patience: float = PATIENCE
    counts: Counts = field(default_factory=Counts)
    trouble: str | None = None  # why nothing is stored, in words without a path; None while all is well
    # (identity, numeric class) of spaces that compute something else than what is stored -> the error, in words
    moved: dict[tuple[str, str], str] = field(default_factory=dict)

    def space(self, identity: str, numeric_class: str, *, counted: bool = True) -> Space:
        """Return the part of the folder that belongs to one feature space; `counted` adds to `counts`."""
        return Space(self, identity, numeric_class, self.counts if counted else Counts())

    def stop_storing(self, error: Exception) -> None:
        """Store nothing from now on, and keep the reason in `trouble`."""
        cause = error.__cause__ if isinstance(error, OutputError) else error
        reason = (getattr(cause, "strerror", None) or "the system gave no reason").lower()
        self.trouble = f"Features are not stored ({reason}). Free space or give another --medgan-cache-dir."


def image_digests(pixels: UInt8) -> list[str]:
    """Return a digest of each image of uint8 [N,C,H,W], its shape included."""
    shape = str(pixels.shape[1:]).encode()
    return [hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest()[:32] for image in pixels]


@dataclass(frozen=True)
class _Place:
    """Where an image's features are stored."""

    file: Path
    row: int


class Rows:
    """Features of a set's images, filled in as they become known; equal images become known together."""

    def __init__(self, images: Sequence[str]) -> None:
        self.places: dict[str, list[int]] = {}  # image -> where in the set it stands
        for index, image in enumerate(images):
            self.places.setdefault(image, []).append(index)
        self.known: set[str] = set()
        self._count = len(images)
        self._features: Float32 | None = None
        self._probabilities: Float32 | None = None

    def missing(self, images: Sequence[str]) -> list[str]:
        """Return those of `images` that are not known yet."""
        return [image for image in images if image not in self.known]

    def put(self, block: Block) -> None:
        """Take what the set needs of a block.

        Raises:
            ExtractorError: Its width is not that of the others.
        """
        classes = None if block.probabilities is None else block.probabilities.shape[1]
        if self._features is None:
            self._features = np.empty((self._count, block.features.shape[1]), np.float32)
            self._probabilities = None if classes is None else np.empty((self._count, classes), np.float32)
        ours = None if self._probabilities is None else self._probabilities.shape[1]
        if (self._features.shape[1], ours) != (block.features.shape[1], classes):
            raise ExtractorError(
                "The extractor computes features of another width than those stored under the same identity. Change "
                "its identity, or remove the stored ones by `medgan cache prune --all`."
            )
        for row, image in enumerate(block.images):
            if image not in self.known and image in self.places:
                self._features[self.places[image]] = block.features[row]
                if self._probabilities is not None and block.probabilities is not None:
                    self._probabilities[self.places[image]] = block.probabilities[row]
                self.known.add(image)

    def whole(self) -> tuple[Float32, Float32 | None]:
        """Return features and probabilities of all images, in the order of the set."""
        if self._features is None or len(self.known) < len(self.places):
            raise ValueError("not all images are known")
        return self._features, self._probabilities


class Space:
    """The stored features of one feature space in one numeric class."""

    def __init__(self, cache: Cache, identity: str, numeric_class: str, counts: Counts) -> None:
        self.cache = cache
        self.counts = counts
        self.about = {"identity": identity, "numeric_class": numeric_class}
        self.key = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()[:24]
        self.folder = cache.folder / self.key
        self._headers: dict[Path, Header] = {}
        self._places: dict[str, _Place] = {}
        self._wrote = False

    # ------------------------------------------------------------------------------------------------------- gather

    def gather(self, images: Sequence[str], compute: Compute, block: int) -> tuple[Float32, Float32 | None]:
        """Return features and probabilities of every image, in order: read where stored, else computed and stored.

        Args:
            images: Digests of the images.
            compute: (rows of the set to compute, rows that are done) -> their features and probabilities.
            block: Images to compute and store together.

        Raises:
            ExtractorError: The extractor's width has changed under one identity.
        """
        rows = Rows(images)
        wanted = list(rows.places)
        self._read(wanted, rows)
        self.counts.found += sum(len(rows.places[image]) for image in rows.known)
        pending = [wanted[i : i + block] for i in range(0, len(wanted), block)]
        pending = [part for part in pending if rows.missing(part)]
        while pending:
            later = []
            for part in pending:
                if not self._settle(part, rows, compute, wait=False):
                    later.append(part)
            if len(later) == len(pending):  # all are locked by others: wait for the first of them
                self._settle(later.pop(0), rows, compute, wait=True)
            pending = later
        self._make_room()
        return rows.whole()

    def lacks(self, images: Sequence[str]) -> bool:
        """Whether at least one of the images is not stored."""
        self._scan()
        return any(image not in self._places for image in images)

    def _settle(self, part: Sequence[str], rows: Rows, compute: Compute, *, wait: bool) -> bool:
        """Read or compute one part of the set; return False where another process holds its lock and `wait` is off."""
        with self._locked(part, wait=wait) as held:
            if not held:
                return False
            before = len(rows.known)
            self._read(rows.missing(part), rows)  # another may have stored them meanwhile
            self.counts.found += len(rows.known) - before
            missing = rows.missing(part)
            if missing:
                features, probabilities = compute([rows.places[image][0] for image in missing], len(rows.known))
                self.counts.computed += len(missing)
                block = Block(tuple(missing), features, probabilities)
                rows.put(block)
                self._write(block)
        return True

    @contextlib.contextmanager
    def _locked(self, part: Sequence[str], *, wait: bool) -> Iterator[bool]:
        """Hold the lock of a part. Yields False where another process holds it, True also where no lock can be made."""
        lock = None
        if self.cache.trouble is None:
            slot = int(hashlib.sha256((self.key + part[0]).encode()).hexdigest(), 16) % LOCKS
            try:
                (self.cache.folder / "locks").mkdir(parents=True, exist_ok=True)
                lock = FileLock(self.cache.folder / "locks" / f"{slot:02x}.lock")
                lock.acquire(timeout=self.cache.patience if wait else 0)
            except Timeout:
                lock = None
                if not wait:
                    yield False
                    return
            except (OSError, NotImplementedError) as error:
                lock = None
                self.cache.stop_storing(error)
        try:
            yield True
        finally:
            if lock is not None:
                lock.release()

    # -------------------------------------------------------------------------------------------------- read, write

    def _read(self, images: Sequence[str], rows: Rows) -> None:
        """Fill `rows` with those of `images` that are stored."""
        self._scan()
        for file in {place.file for image in images if (place := self._places.get(image)) is not None}:
            try:
                block = read_block(file)
            except DamagedBlockError:
                self._remove(file)
                continue
            except OSError:  # removed by another process, or not readable for us
                self._forget(file)
                continue
            with contextlib.suppress(OSError):  # a folder shared for reading only
                os.utime(file)  # those unused for longest are removed first
            rows.put(block)

    def _scan(self) -> None:
        """Learn of the blocks that have appeared, and forget those that are gone."""
        try:
            files = {Path(entry.path) for entry in os.scandir(self.folder) if entry.name.endswith(SUFFIX)}
        except OSError:
            files = set()
        for file in set(self._headers) - files:
            self._forget(file)
        for file in files - set(self._headers):
            try:
                header = read_header(file)
            except DamagedBlockError:
                self._remove(file)
                continue
            except OSError:
                continue
            self._headers[file] = header
            for row, image in enumerate(header.images):
                self._places.setdefault(image, _Place(file, row))

    def _forget(self, file: Path) -> None:
        """Forget what a block holds."""
        header = self._headers.pop(file, None)
        for image in header.images if header else ():
            if image in self._places and self._places[image].file == file:
                del self._places[image]

    def _remove(self, file: Path) -> None:
        """Remove a damaged block."""
        self.counts.damaged += 1
        self._forget(file)
        with contextlib.suppress(OSError):
            file.unlink()

    def _write(self, block: Block) -> None:
        """Store a block. A folder that cannot be written is no reason to stop."""
        if self.cache.trouble is not None:
            return
        try:
            about = self.folder / ABOUT
            if not about.exists():
                write_text(about, json.dumps(self.about, indent=1))
            write_block(self.folder, block)
            self._wrote = True
        except OutputError as error:
            self.cache.stop_storing(error)

    def _make_room(self) -> None:
        """Keep the whole folder within its limit, once per set, if this process wrote to it."""
        if self._wrote:
            make_room(self.cache.folder, self.cache.limit)
            self._wrote = False
