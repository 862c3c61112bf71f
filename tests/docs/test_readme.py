"""README.md is short, and what it shows is so."""

from __future__ import annotations

import re

import pytest

from pytest_medgan.cli import COMMANDS
from pytest_medgan.plugin.options import FLAGS, SETTINGS
from tests.docs.blocks import ROOT, blocks_of

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = [block for block in blocks_of(ROOT / "README.md") if block.language == "text"]


def test_readme_is_short_and_leads_with_the_two_commands() -> None:
    assert len(TEXT.splitlines()) <= 120
    assert TEXT.index("make gate") < TEXT.index("make test") < TEXT.index("## ")
    verdicts = TEXT.split("## How a verdict is reached\n")[1].split("\n## ")[0]
    assert len(verdicts.strip().splitlines()) <= 15


def test_links_lead_to_files_and_headings_that_exist() -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        if target.startswith("https:"):
            continue
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {title.lower().replace(" ", "-") for title in titles}, target


def test_options_and_commands_that_are_named_exist() -> None:
    options = {f"--medgan-{name}" for name, *_ in (*SETTINGS, *FLAGS)}
    assert set(re.findall(r"--medgan-[\w-]+\w", TEXT)) <= options
    assert set(re.findall(r"\bmedgan (\w+) (?:dcgan|accept|--)", TEXT)) <= set(COMMANDS)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`?make (gate[\w-]*|test|docs)", TEXT)) <= set(targets)


def test_shown_limits_are_those_of_the_example() -> None:
    """The tables were printed by the example; its row must be the one that they name."""
    lines = (ROOT / "examples/retrained/medgan-baseline.yaml").read_text(encoding="utf-8").splitlines()
    found = re.findall(r"^  limits: DCGAN \(medgan-baseline\.yaml:(\d+)-(\d+)\)$", TEXT, re.MULTILINE)
    assert found
    for first, last in found:
        assert [lines[int(line) - 1].strip() for line in (first, last)] == ["fid:", "ms_ssim:"]
    assert {
        len(re.findall(rf"^  {label} ↓ .*<= [\d.]+ ", TEXT, re.MULTILINE)) for label in ("FID", "KID", "MS-SSIM")
    } == {2}


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"line {block.line}")
def test_shown_block_is_a_command_or_a_table(block) -> None:
    first = block.source.split()[0]
    assert first in {"make", "git", "pytest", "metric"}
