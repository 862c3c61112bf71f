"""Run the code blocks of a page, in the order in which they stand, as a reader would.

sybil finds the blocks. What is done with one follows from its first line:

  ```python              executed; all blocks of a page share their names
  ```python title="F"    written to the file F of the page's folder (yaml, toml, ini and text likewise)
  ```bash                run by bash in the page's folder; must succeed
  ```bash exit="N"       must end with exit status N (1: a gate is red)
  ```text                output or a drawing: nothing to run
  ```bash slow           heavy: the page's blocks from here on run with the slow tests alone

A language that is not listed here is an error, so no block is passed over unnoticed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import yaml
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INFO = re.compile(r"(?P<language>\w*)(?P<words>[^\n]*)\n")
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
ADDRESS = "https://github.com/pytest-medgan/pytest-medgan"  # of the repository, as the pages have it


@dataclass(frozen=True)
class Block:
    """One code block."""

    example: Example
    language: str
    title: str | None  # the file it is written to
    exit: int
    slow: bool

    @property
    def source(self) -> str:
        """The text of the block."""
        return str(self.example.parsed)

    @property
    def line(self) -> int:
        """The line of the page that it begins at."""
        return int(self.example.line)


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    document = Document.parse(str(page), _parse)
    found = []
    for example in document.examples():
        attributes = dict(ATTRIBUTE.findall(example.region.lexemes["words"]))
        rest = ATTRIBUTE.sub("", example.region.lexemes["words"]).split()
        if unknown := sorted({*attributes, *rest} - {"title", "exit", "slow"}):
            raise ValueError(f"{page.name}:{example.line}: the block says {unknown[0]!r}, which means nothing here")
        found.append(
            Block(
                example,
                example.region.lexemes["language"],
                attributes.get("title"),
                int(attributes.get("exit", 0)),
                "slow" in rest,
            )
        )
    return found


def _parse(document: Document) -> Iterator[Region]:
    """Yield every fenced block of a document."""
    for region in RawFencedCodeBlockLexer(INFO)(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = PythonEvaluator()
        yield region


def run_block(block: Block, folder: Path) -> None:
    """Run one block in the page's folder.

    Raises:
        AssertionError: A command ended with another status; its output is in the message.
        ValueError: The block's language is unknown.
    """
    if block.title is not None:
        file = folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.source, encoding="utf-8")
        if file.suffix in (".yml", ".yaml"):
            yaml.safe_load(block.source)
    elif block.language == "python":
        with chdir(folder):
            block.example.evaluate()
    elif block.language == "bash":
        _run_shell(block, folder)
    elif block.language == "yaml":
        yaml.safe_load(block.source)
    elif block.language != "text":
        raise ValueError(f"line {block.line}: a block of language {block.language!r} cannot be run; name a known one")


def _run_shell(block: Block, folder: Path) -> None:
    """Run a block of commands."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.source],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    text = f"{done.stdout}\n{done.stderr}"
    (folder / "output.txt").write_text(text, encoding="utf-8")  # for whoever looks into a failed page
    assert done.returncode == block.exit, f"line {block.line}: exit status {done.returncode}, not {block.exit}\n{text}"


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of commands: this interpreter, this source tree, and the repository at its address.

    `git clone ADDRESS` clones this working copy, and `pip install` installs into a folder of its own without
    dependencies, which are installed already.
    """
    fakes = Path(__file__).parent / "commands"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI", "PYTEST_", "COV_"))}
    return {
        **inherited,
        "PATH": os.pathsep.join([str(fakes), str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "MEDGAN_INSTALLED": str(folder / "installed"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        "GIT_AUTHOR_NAME": "A reader",
        "GIT_AUTHOR_EMAIL": "reader@example.org",
        "GIT_COMMITTER_NAME": "A reader",
        "GIT_COMMITTER_EMAIL": "reader@example.org",
        "OMP_NUM_THREADS": "2",
        "COLUMNS": "100",
    }
