"""A generator by name that hangs: its test ends with one line, and the run goes on."""

from __future__ import annotations

import pytest

HANGS = """
import time
from toy import blobs

END = time.monotonic() + 20

def hangs(count, seed):
    while time.monotonic() < END:
        pass
    return blobs(count, seed)
"""


def test_hanging_generator_fails_its_test_and_the_run_goes_on(project: pytest.Pytester) -> None:
    project.makepyfile(hanging=HANGS)
    with (project.path / "test_gate.py").open("a") as file:
        file.write("\ndef test_of_something_else():\n    pass\n")
    result = project.runpytest("--medgan-generator=hanging:hangs,seconds=1", "--medgan-samples=24", "--medgan-seeds=0")
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["*'hanging:hangs' gave no images within * s. Correct it, or allow more time*"])
