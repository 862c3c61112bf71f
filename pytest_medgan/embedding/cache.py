"""Features on disk, found by content: the pixels of each image, the extractor's identity and the numeric class.

A set is computed in blocks, but found image by image: the first eighth of a set is a hit for all of it, in any order,
and one changed pixel costs one image. Many processes, on one machine or several, may share a folder. Each block is
computed under a lock; a process that finds a block locked goes on with another and comes back. A lock dies with the
process that held it. A folder that cannot be written, or is full, makes the cache say so in `trouble` and step aside.
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
    write_atomically,
    write_block,
)
from pytest_medgan.embedding.housekeeping import ABOUT, make_room
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, UInt8

# (rows of the set to compute, rows of the set that are done) -> their features and probabilities
Compute = Callable[[list[int], int], tuple[Float32, Float32 | None]]

LIMIT = 4 * 2**30  # bytes of stored blocks
LOCKS = 256  # lock files; two blocks that share one only wait for each other
PATIENCE = 600.0  # seconds to wait for another process's block before computing it anyway


@dataclass
class Counts:
    """What became of the images asked for."""

    found: int = 0  # read from the folder
    computed: int = 0  # embedded
    damaged: int = 0  # blocks that were not what was written, and were thrown away

    def __str__(self) -> str:
        damaged = f", {self.damaged} damaged blocks recomputed" if self.damaged else ""
        return f"{self.computed} images embedded, {self.found} from the cache{damaged}"


@dataclass
class Cache:
    """A folder of stored features, bounded in size; the oldest go first."""

    folder: Path
    limit: int = LIMIT  # bytes
    patience: float = PATIENCE
    counts: Counts = field(default_factory=Counts)
    trouble: str | None = None  # why nothing is stored, in words without a path; None while all is well

    def space(self, identity: str, numeric_class: str) -> Space:
        """The part of the folder that belongs to one feature space."""
        return Space(self, identity, numeric_class)

    def step_aside(self, error: OSError) -> None:
        """Stores nothing from now on, and says why."""
        reason = error.strerror or type(error).__name__
        self.trouble = f"features are not stored: {reason}; free space or give another --medgan-cache-dir"


def image_digests(pixels: UInt8) -> list[str]:
    """A digest of each image of uint8 [N,C,H,W], its shape included."""
    shape = str(pixels.shape[1:]).encode()
    return [hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest()[:32] for image in pixels]


@dataclass(frozen=True)
class _Place:
    file: Path
    row: int


class Space:
    """The stored features of one feature space in one numeric class."""

    def __init__(self, cache: Cache, identity: str, numeric_class: str) -> None:
        self.cache = cache
        self.about = {"identity": identity, "numeric_class": numeric_class}
        self.key = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()[:24]
        self.folder = cache.folder / self.key
        self._headers: dict[Path, Header] = {}
        self._places: dict[str, _Place] = {}
        self._wrote = False

    # ------------------------------------------------------------------------------------------------------- gather

    def gather(self, images: Sequence[str], compute: Compute, block: int) -> tuple[Float32, Float32 | None]:
        """Features and probabilities of every image, in order: read where they are stored, else computed and stored.

        Raises ExtractorError where the extractor's width has changed under one identity.
        """
        rows: dict[str, tuple[Float32, Float32 | None]] = {}
        first: dict[str, int] = {}  # where in the set an image first stands; a duplicate is embedded once
        for index, image in enumerate(images):
            first.setdefault(image, index)
        wanted = list(first)
        self._read(wanted, rows)
        self.cache.counts.found += sum(image in rows for image in images)
        pending = [wanted[i : i + block] for i in range(0, len(wanted), block)]
        pending = [part for part in pending if any(image not in rows for image in part)]
        while pending:
            later = []
            for part in pending:
                if not self._settle(part, rows, first, compute, wait=False):
                    later.append(part)
            if len(later) == len(pending):  # all are locked by others: wait for the first of them
                self._settle(later.pop(0), rows, first, compute, wait=True)
            pending = later
        self._make_room()
        return _stack(images, rows)

    def _settle(
        self,
        part: Sequence[str],
        rows: dict[str, tuple[Float32, Float32 | None]],
        first: dict[str, int],
        compute: Compute,
        *,
        wait: bool,
    ) -> bool:
        """Reads or computes one part of the set; False where another process has it in hand and `wait` is off."""
        with self._locked(part, wait=wait) as mine:
            if not mine:
                return False
            before = len(rows)
            self._read([image for image in part if image not in rows], rows)  # another may have stored them meanwhile
            self.cache.counts.found += len(rows) - before
            missing = [image for image in part if image not in rows]
            if missing:
                features, probabilities = compute([first[image] for image in missing], len(rows))
                self.cache.counts.computed += len(missing)
                for i, image in enumerate(missing):
                    rows[image] = features[i], None if probabilities is None else probabilities[i]
                self._write(Block(tuple(missing), features, probabilities))
        return True

    @contextlib.contextmanager
    def _locked(self, part: Sequence[str], *, wait: bool) -> Iterator[bool]:
        """The lock of a part: True when held, or when nothing can be locked here and we go on without."""
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
                self.cache.step_aside(error if isinstance(error, OSError) else OSError(str(error)))
        try:
            yield True
        finally:
            if lock is not None:
                lock.release()

    # -------------------------------------------------------------------------------------------------- read, write

    def _read(self, images: Sequence[str], rows: dict[str, tuple[Float32, Float32 | None]]) -> None:
        """Fills `rows` with those of `images` that are stored."""
        self._scan()
        wanted = set(images)
        for file in {place.file for image in images if (place := self._places.get(image)) is not None}:
            try:
                block = read_block(file)
            except DamagedBlockError:
                self._throw_away(file)
                continue
            except OSError:  # pruned by another process, or not ours to read
                self._forget(file)
                continue
            with contextlib.suppress(OSError):  # a folder shared for reading only
                os.utime(file)  # the oldest by use go first
            for i, image in enumerate(block.images):
                if image in wanted:
                    rows[image] = block.features[i], None if block.probabilities is None else block.probabilities[i]

    def _scan(self) -> None:
        """Learns of the blocks that have appeared, and forgets those that are gone."""
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
                self._throw_away(file)
                continue
            except OSError:
                continue
            self._headers[file] = header
            for row, image in enumerate(header.images):
                self._places.setdefault(image, _Place(file, row))

    def _forget(self, file: Path) -> None:
        header = self._headers.pop(file, None)
        for image in header.images if header else ():
            if image in self._places and self._places[image].file == file:
                del self._places[image]

    def _throw_away(self, file: Path) -> None:
        self.cache.counts.damaged += 1
        self._forget(file)
        with contextlib.suppress(OSError):
            file.unlink()

    def _write(self, block: Block) -> None:
        """Stores the block, and makes room; a folder that will not have it is no reason to stop."""
        if self.cache.trouble is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            about = self.folder / ABOUT
            if not about.exists():
                write_atomically(about, [json.dumps(self.about, indent=1).encode()])
            write_block(self.folder, block)
            self._wrote = True
        except OSError as error:
            self.cache.step_aside(error)

    def _make_room(self) -> None:
        """Keeps the whole folder within its limit, once a set, if this process wrote to it."""
        if self._wrote:
            make_room(self.cache.folder, self.cache.limit)
            self._wrote = False


def _stack(images: Sequence[str], rows: dict[str, tuple[Float32, Float32 | None]]) -> tuple[Float32, Float32 | None]:
    """Rows as arrays, in the order of `images`. Raises ExtractorError where they do not have one width."""
    if len({(f.shape, None if p is None else p.shape) for f, p in rows.values()}) != 1:
        raise ExtractorError("stored and computed features have different widths; give the extractor another identity")
    chances = [p for image in images if (p := rows[image][1]) is not None]
    return np.stack([rows[image][0] for image in images]), np.stack(chances) if chances else None
