"""The folder of one training run: its lock, its checkpoints, its history and its sample grids.

run.lock                         held by the process that trains here
checkpoint-00004000.safetensors  the last few, each enough to resume from
generator.safetensors            the finished generator alone, small
history.csv                      losses and metrics by step
options.json                     what was typed after `medgan train`, written before the first step, for --resume
samples-00004000.png             grids of the same 64 latents
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
from pytest_medgan.gan.checkpoint import SUFFIX, Checkpoint, load, save
from pytest_medgan.ground.files import cannot_write, write_bytes, write_text
from pytest_medgan.records import Progress, UInt8

FINISHED = f"generator{SUFFIX}"


class RunFolder:
    """Read and write the files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder; the lock is released with the process, however that ends.

        Args:
            wait: Wait while another run holds the folder, instead of raising.

        Raises:
            TrainingError: Another run holds the folder.
            OutputError: The folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "run.lock", timeout=-1 if wait else 0)
            lock.acquire()
        except filelock.Timeout as error:
            raise TrainingError(
                "Another run is writing this folder. Wait for it, or choose another --out.", file=self.folder.name
            ) from error
        except OSError as error:
            raise cannot_write(error, self.folder) from error
        try:
            yield
        finally:
            lock.release()

    def checkpoints(self) -> list[Path]:
        """Return the files to resume from, the latest last."""
        return sorted(self.folder.glob(f"checkpoint-*{SUFFIX}"))

    def latest(self, progress: Progress) -> Checkpoint | None:
        """Return the latest checkpoint that can be read; None in a new folder.

        Raises:
            CheckpointError: The folder holds checkpoints, and none can be read.
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
        """Write a checkpoint to resume from, and remove all but the last `keep`."""
        save(checkpoint, self.folder / f"checkpoint-{checkpoint.step:08d}{SUFFIX}")
        for path in self.checkpoints()[:-keep]:
            with suppress(OSError):
                path.unlink()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Write the finished generator alone."""
        save(checkpoint, self.folder / FINISHED)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the history as comma-separated values, one row for each logged step."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "history.csv", text.getvalue())

    def write_grid(self, pixels: UInt8, step: int) -> None:
        """Write images [N,C,H,W] as one picture."""
        write_png(grid(pixels), self.folder / f"samples-{step:08d}.png")


def grid(pixels: UInt8, columns: int = 8) -> UInt8:
    """Return images laid out row by row, black where the last row is not full.

    Args:
        pixels: uint8 [N,C,H,W].
        columns: Images in a row, at least 1.

    Returns:
        uint8 [rows*H, columns*W, C].
    """
    n, channels, height, width = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, channels, height, width), np.uint8)
    sheet[:n] = pixels
    sheet = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return sheet.reshape(rows * height, columns * width, channels)


def write_png(picture: UInt8, path: Path) -> None:
    """Write uint8 [H,W,1] or [H,W,3] as a PNG file in one step."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(content, "PNG")
    write_bytes(path, content.getvalue())
