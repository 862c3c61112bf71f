"""The example that gates retrained models: another seed passes, a worse recipe fails with its cause in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_medgan.gan import load_generator
from pytest_medgan.gate.baseline import load

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "retrained"


def gate(folder: Path, generator: str) -> subprocess.CompletedProcess[str]:
    """Run the example's gate, as `make gate-retrained` does."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--medgan-generator={generator}"]
    return subprocess.run(
        [*command, f"--medgan-cache-dir={folder / 'cache'}"],
        cwd=folder / "example",
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_another_seed_passes_and_a_worse_recipe_fails(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns(".medgan", "medgan-report"))
    passed = gate(tmp_path, "same.safetensors")
    assert passed.returncode == 0, passed.stdout
    assert len(re.findall(r"^  (?:FID|KID|MS-SSIM) .* PASS at ", passed.stdout, re.MULTILINE)) == 3
    failed = gate(tmp_path, "worse.safetensors")
    assert failed.returncode == 1, failed.stdout
    reason = re.search(r"^  \S.*: the recipe became worse by (.*) run-to-run standard deviations$", failed.stdout, re.M)
    assert reason is not None, failed.stdout
    assert 15 < float(reason[1]) < 35


def test_fixtures_have_the_recipe_of_the_row_and_another() -> None:
    row = load(EXAMPLE / "medgan-baseline.yaml").row("DCGAN")
    same, worse = (load_generator(str(EXAMPLE / f"{name}.safetensors")) for name in ("same", "worse"))
    assert [run.facts["training_seed"] for run in row.runs] == [101, 102, 103, 104, 105]
    assert {run.recipe for run in row.runs} == {same.run_recipe}
    assert same.training_seed == 106
    assert worse.run_recipe not in (same.run_recipe, None)


def test_make_names_both_gates() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, option in (("gate-retrained", ""), ("gate-worse", " --medgan-generator=worse.safetensors")):
        recipe = re.search(rf"^{target}: .*\n\tcd examples/retrained && (.*)$", makefile, re.MULTILINE)
        assert recipe is not None
        assert recipe[1] == f"../../$(PYTEST){option}"
