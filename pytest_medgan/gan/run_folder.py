"""The folder of one training run: its lock, its checkpoints, its history and its sample grids.

run.lock                       held by whoever trains here
checkpoint-00004000.safetensors  the last few, each enough to resume from
generator.safetensors          the finished generator alone, small
history.csv                    losses and metrics by step
samples-00004000.png           grids of the same 64 latents
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import numpy as np

from pytest_medgan.errors import CheckpointError, TrainingError
from pytest_medgan.gan.checkpoint import SUFFIX, Checkpoint, load, save, write_atomically
from pytest_medgan.records import Progress, UInt8

FINISHED = f"generator{SUFFIX}"


class RunFolder:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Holds the folder, with `wait` once it is free; the lock goes with the process, however that ends.

        Raises
        ------
        TrainingError
            Another run holds it, or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "run.lock", timeout=-1 if wait else 0)
            lock.acquire()
        except filelock.Timeout as error:
            raise TrainingError(
                "another run is writing this folder; wait for it or choose another --out", file=self.folder.name
            ) from error
        except OSError as error:
            raise TrainingError(f"the folder cannot be used: {error.strerror}", file=self.folder.name) from error
        try:
            yield
        finally:
            lock.release()

    def checkpoints(self) -> list[Path]:
        """The files to resume from, the latest last."""
        return sorted(self.folder.glob(f"checkpoint-*{SUFFIX}"))

    def latest(self, progress: Progress) -> Checkpoint | None:
        """The latest checkpoint that can be read; None in a fresh folder.

        Raises
        ------
        CheckpointError
            There are checkpoints and none can be read.
        """
        problem: CheckpointError | None = None
        for path in reversed(self.checkpoints()):
            try:
                return load(path)
            except CheckpointError as error:
                problem = error
                progress("skipping a checkpoint that cannot be read", 0, 0)
        if problem is not None:
            raise problem
        return None

    def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        """Writes a checkpoint to resume from and removes all but the last `keep`."""
        save(checkpoint, self.folder / f"checkpoint-{checkpoint.step:08d}{SUFFIX}")
        for path in self.checkpoints()[:-keep]:
            with suppress(OSError):
                path.unlink()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Writes the generator alone."""
        save(checkpoint, self.folder / FINISHED)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """The history as comma-separated values, one row a logged step."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.folder / "history.csv", text.getvalue().encode())

    def write_grid(self, pixels: UInt8, step: int) -> None:
        """Images [N,C,H,W] as one picture."""
        write_png(grid(pixels), self.folder / f"samples-{step:08d}.png")


def grid(pixels: UInt8, columns: int = 8) -> UInt8:
    """uint8 [N,C,H,W] -> uint8 [rows*H, columns*W, C], row by row, black where images are missing."""
    n, channels, height, width = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, channels, height, width), np.uint8)
    sheet[:n] = pixels
    sheet = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return sheet.reshape(rows * height, columns * width, channels)


def write_png(picture: UInt8, path: Path) -> None:
    """uint8 [H,W,1] or [H,W,3] as a PNG file, written whole or not at all."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(content, "PNG")
    write_atomically(path, content.getvalue())
