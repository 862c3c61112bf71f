"""The pictures of the concepts show what the package does."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import DOCS


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
