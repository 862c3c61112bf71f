"""paired=True in a user's project: the candidate is compared with the accepted model image by image."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

GATE = """
from pytest_medgan import assert_no_regression

def test_it(medgan_scores, medgan_baseline):
    for verdict in assert_no_regression(medgan_scores, medgan_baseline.row("TOY"), paired=True):
        print("SAID", verdict.n_fake, verdict.reason)
"""
RUNTIME = """
def runtime(count, seed):
    images = model(count, seed)
    images[::7, :, 0, 0] += 1
    return images

runtime.identity = "another runtime"
"""


def printed_errors(result: pytest.RunResult) -> list[str]:
    return [line.split("SAID ")[1] for line in result.outlines if "SAID" in line]


def test_paired_gate_compares_image_by_image(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.makepyfile(test_gate=GATE)
    module = project.path / "toy.py"
    module.write_text(module.read_text() + RUNTIME)
    project.runpytest("--medgan-full")
    assert accept() == 0
    alone = printed_errors(project.runpytest("-s", "--medgan-generator=toy:runtime"))
    assert len(alone) == 3
    assert all("pairing does not help, since paired_with names no model" in line for line in alone)
    paired = printed_errors(project.runpytest("-s", "--medgan-generator=toy:runtime", "--medgan-paired-with=toy:model"))
    assert len(paired) == 3
    pattern = re.compile(r"(paired image by image|pairing does not help): error (\S+), unpaired (\S+)")
    found = [match for line in paired if (match := pattern.search(line))]
    assert len(found) == 3, paired
    assert found[0][1].startswith("paired")  # FID
    assert all(match[1].startswith("paired") is (float(match[2]) < 0.8 * float(match[3])) for match in found)
    assert max(int(line.split()[0]) for line in paired) <= max(int(line.split()[0]) for line in alone)
