"""Sound files are damaged by a seeded rule and read; see `__main__.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

# The samples are written by helpers of the tests, which are no package: another one of that name may be installed.
if "pytest" not in sys.modules or "tests" not in sys.modules:
    sys.modules["tests"] = ModuleType("tests")
    sys.modules["tests"].__path__ = [str(Path(__file__).resolve().parents[2] / "tests")]
