"""Files whose reads never ask for more than there is.

Python sets aside as many bytes as a read asks for before it looks how many there are, and in a damaged file a length
may say anything up to four gigabytes.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

_TRUSTED = 1 << 16  # bytes that may be asked for without a look at the file's size


class BoundedFile(io.BufferedReader):
    """A file opened for reading."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.path = path
        self._bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most what is left of the file."""
        if size is not None and size > _TRUSTED:
            size = max(min(size, self._bytes - self.tell()), 0)
        return super().read(size)
