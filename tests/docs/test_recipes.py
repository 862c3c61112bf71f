"""The recipes of CONTRIBUTING.md are applied to a copy of the package as they stand, and the copy is run.

A block begins with the file it belongs to: a file of its own, or `FILE, after: LINE` or `FILE, in place of: LINE`.
The recipes for metrics and architectures have tests of their own in tests/metrics and tests/gan.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)}
HEAD = re.compile(r"# (?P<file>[\w/]+\.py)(?:, (?P<how>after|in place of): (?P<line>.+))?")
LONGEST = {"A metric in the package": 75, "A generator architecture": 125}  # lines; others fit on one screen
SCREEN = 80

Run = Callable[..., str]


def section(begins: str) -> str:
    """Return the section whose title begins so."""
    (found,) = [text for title, text in SECTIONS.items() if title.startswith(begins)]
    return found


def files_of(begins: str) -> set[str]:
    """Return the source files that a recipe touches beside its test; a line of CHANGELOG.md comes on top."""
    text = section(begins)
    named = set(re.findall(r"`((?:gan/|metrics/)?\w+\.py)`", text))
    blocks = {HEAD.match(block)["file"] for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)}  # type: ignore[index]
    return {file for file in named | blocks if not re.search(r"(^|/)(tests|test_\w+\.py)", file)}


def apply(begins: str, copy: Path) -> None:
    """Apply the blocks of a recipe to a copy of the package."""
    for block in re.findall(r"```python\n(.*?)```", section(begins), re.DOTALL):
        first, _, body = block.partition("\n")
        head = HEAD.fullmatch(first)
        assert head is not None, f"a block of the recipe does not say which file it belongs to: {first}"
        file = copy / head["file"]
        if head["how"] is None:
            assert not file.exists(), f"{head['file']} exists already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
            continue
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [i for i, line in enumerate(lines) if line.startswith(head["line"])]
        assert len(places) == 1, f"{head['file']} has {len(places)} lines that begin with {head['line']!r}"
        lines[places[0] + (head["how"] == "after") : places[0] + 1] = [body]
        file.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Path, Run]:
    """A copy of the package, and a function that runs Python code with it."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "pytest_medgan", copy / "pytest_medgan", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "baselines", copy / "baselines")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return copy, run


@pytest.mark.parametrize(
    ("begins", "most"),
    [
        ("A metric in the package", 3),
        ("A generator architecture", 3),
        ("A feature space", 2),
        ("An input format", 3),
        ("A field of the baseline", 3),
    ],
)
def test_recipe_touches_few_files(begins: str, most: int) -> None:
    files = files_of(begins)
    assert 1 < len(files) <= most, sorted(files)


@pytest.mark.parametrize("title", [title for title in SECTIONS if title.startswith(("A ", "An "))])
def test_recipe_fits_on_a_screen(title: str) -> None:
    most = next((lines for begins, lines in LONGEST.items() if title.startswith(begins)), SCREEN)
    assert len(SECTIONS[title].splitlines()) <= most


def test_feature_space_of_the_recipe_embeds(copied: tuple[Path, Run]) -> None:
    copy, run = copied
    apply("A feature space", copy)
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/embedding/test_thumbnail.py")
    code = "from pytest_medgan.embedding import load_extractor; print(load_extractor('thumbnail').identity)"
    assert "thumbnail;8x8" in run("-c", code)


def test_input_format_of_the_recipe_is_read(copied: tuple[Path, Run]) -> None:
    copy, run = copied
    apply("An input format", copy)
    write = """
import numpy as np
from pathlib import Path
for patient in range(8):
    rng = np.random.default_rng(patient)
    values = rng.integers(-1000, 400, (32, 24, 3)).astype(">i2")
    head = np.array([32, 24, 3, 1, 15], ">u2").tobytes().ljust(256, bytes(1))
    Path(f"studies/patient{patient}.gipl").write_bytes(head + values.tobytes(order="F"))
Path("studies/broken.gipl").write_bytes(bytes(10))
"""
    (copy / "studies").mkdir()
    run("-c", write)
    run("-m", "pytest_medgan", "prepare", "studies,crop=image,crop_size=24,size=24,slices=all", "--out", "images.npz")
    read = """
import numpy as np
from pathlib import Path
from pytest_medgan.ct.store import load_prepared
pixels = load_prepared(Path("images.npz")).pixels
assert pixels.shape == (24, 1, 24, 24), pixels.shape
values = np.random.default_rng(0).integers(-1000, 400, (32, 24, 3))
plane = values[4:28, :, 0].T
grey = np.rint(np.clip((plane + 1000) / 1400 * 255, 0, 255))
assert min(abs(image[0].astype(float) - grey).max() for image in pixels) <= 1
"""
    run("-c", read)


def test_baseline_field_of_the_recipe_is_written_read_and_sealed(copied: tuple[Path, Run]) -> None:
    copy, run = copied
    apply("A field of the baseline", copy)
    check = """
from dataclasses import replace
from types import MappingProxyType
from pathlib import Path
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import Seal

old = Path("baselines/phantom.yaml").read_text()
document = baseline.parse(old, "old.yaml")
row = document.rows["DCGAN"]
assert row.entries["fid"].unit == ""
assert canonical.text(document) == old, "a file without the field is written as it was"
entries = {**row.entries, "intensity_distance": replace(row.entries["intensity_distance"], unit="HU")}
new = canonical.text(replace(document, rows=MappingProxyType({"DCGAN": sealed(replace(row, entries=entries))})))
read = baseline.parse(new, "new.yaml").rows["DCGAN"]
assert read.entries["intensity_distance"].unit == "HU"
assert read.seal is Seal.VALID
line = '        unit: "HU"\\n'
assert line in new
for other in ('        unit: "mm"\\n', ""):
    assert baseline.parse(new.replace(line, other), "edited.yaml").rows["DCGAN"].seal is Seal.BROKEN
print("old seal", row.seal)
"""
    assert "old seal valid" in run("-c", check), "CONTRIBUTING.md says that older files keep their seals"
