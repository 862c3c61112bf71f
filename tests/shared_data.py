"""Find the real data that some tests run on.

They lie in the folder that MEDGAN_SHARED_DATA names, or in `shared/data` beside the project or any folder above it.
A test that needs them is skipped where they are not there, and says why.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def find_shared_data(*parts: str) -> Path | None:
    """Return a file or folder of the shared data; None where it is not on this machine."""
    named = os.environ.get("MEDGAN_SHARED_DATA")
    places = [Path(named)] if named else [above / "shared" / "data" for above in Path(__file__).resolve().parents]
    return next((place.joinpath(*parts) for place in places if place.joinpath(*parts).exists()), None)


def shared_data(*parts: str) -> Path:
    """Return a file or folder of the shared data; skip the test where it is not on this machine."""
    found = find_shared_data(*parts)
    if found is None:
        pytest.skip(f"needs {'/'.join(parts) or 'the shared data'}: set MEDGAN_SHARED_DATA to its folder")
    return found
