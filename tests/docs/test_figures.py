"""The pictures of the concepts show what the package does."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.docs.blocks import DOCS, ROOT


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """The names of docs/figures/draw.py."""
    return runpy.run_path(str(DOCS / "figures/draw.py"))


def test_many_small_losses_end_where_the_page_says(drawing: dict[str, Any]) -> None:
    alone, anchored = (
        sum(drawing["salami"](with_anchor, seed)[-1] for seed in range(60)) / 60 for with_anchor in (False, True)
    )
    page = (DOCS / "concepts/anchors.md").read_text(encoding="utf-8")
    assert "about 65 without anchors" in page
    assert "about 6 with\nthem" in page
    assert alone == pytest.approx(65, abs=6)
    assert anchored == pytest.approx(6, abs=1)


def test_spread_of_the_example_is_what_the_page_says() -> None:
    """Standard deviation between runs over the sampling error, at 240 images a group."""
    text = (ROOT / "examples/retrained/medgan-baseline.yaml").read_text(encoding="utf-8")
    metrics = yaml.safe_load(text)["rows"]["DCGAN"]["metrics"]
    page = (DOCS / "concepts/runs.md").read_text(encoding="utf-8")
    assert "by about four times the sampling error (240 images" in page
    for name in ("fid", "kid"):
        runs = metrics[name]["at"][240]
        between = np.std([run["value"] for run in runs], ddof=1)
        assert between / np.sqrt(np.mean([run["se"] ** 2 for run in runs])) == pytest.approx(4, abs=0.7)


@pytest.mark.slow
def test_rows_of_several_runs_keep_the_promise_that_the_page_names(drawing: dict[str, Any]) -> None:
    for runs in (3, 5):
        assert drawing["share_red"](7.0, runs, trials=2000) < 0.035


@pytest.mark.slow
def test_pictures_are_drawn_and_all_are_shown(drawing: dict[str, Any], tmp_path: Path) -> None:
    drawing["main"](tmp_path)
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn == {path.name for path in (DOCS / "images").glob("*.svg")}
    for name in drawn:
        text = (DOCS / f"concepts/{Path(name).stem}.md").read_text(encoding="utf-8")
        assert f"../images/{name}" in text
        assert abs((tmp_path / name).stat().st_size / (DOCS / "images" / name).stat().st_size - 1) < 0.2
