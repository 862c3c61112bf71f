from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Evidence
from pytest_medgan.report import ReportRun, render, write_run
from pytest_medgan.report.html import page

MakeRun = Callable[..., ReportRun]
Draw = Callable[..., Evidence]


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in self.raw and data.strip():
            self.raw[self._inside].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {}


@pytest.fixture
def red(make_run: MakeRun, draw: Draw, pages: dict[str, str]) -> str:
    """The page of a run that has gone red, with pictures of everything; drawn once."""
    if "red" not in pages:
        run = make_run("PGGAN", improved_recall=80.0, coverage=20.0, copy_rate=9.0, intensity_distance=9.0)
        pages["red"] = page(run, {"PGGAN": draw("broken", include_real=True)})
    return pages["red"]


def test_nothing_is_asked_of_any_server(red: str) -> None:
    """Every address in the page is a fragment or a data URI, and no style or script fetches anything."""
    parsed = Page(red)
    for _, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), value
    assert not any(tag in ("iframe", "object", "embed", "base", "form") for tag, _ in parsed.elements)
    for text in (*parsed.raw["style"], parsed.raw["script"][-1]):
        assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttpRequest|import\(", text)


def test_the_policy_names_the_very_style_and_script(red: str) -> None:
    text, parsed = red, Page(red)
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any(name.startswith("on") or name == "style" for _, a in parsed.elements for name in a)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "{{ 7 * 7 }}", "it's & more"],
)
def test_a_name_stays_text(make_run: MakeRun, name: str) -> None:
    text = page(make_run(name, past=False), {})
    parsed = Page(text)
    assert len(parsed.all("script")) == 2
    assert not parsed.all("b")
    assert not any(a.get("src") == "x" for a in parsed.all("img"))
    assert html.unescape(re.findall(r"<h2 id=\"m0-title\">(.*?) <span", text)[0]) == name


def test_what_a_screen_reader_needs_is_there(red: str) -> None:
    parsed = Page(red)
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("h1") == tags.count("main") == tags.count("footer") == 1
    assert tags.count("table") == tags.count("caption") == 1
    assert {a.get("scope") for a in parsed.all("th")} == {"col", "row"}
    for image in parsed.all("img"):
        assert "alt" in image
        if not image["alt"]:  # only what another element describes
            assert image.get("class") == "points" or "hidden" in image
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        assert attributes.get("aria-labelledby") is None or attributes["aria-labelledby"] in ids
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids, href
    assert next(a for tag, a in parsed.elements if tag == "html")["lang"] == "en"
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_no_real_picture_without_the_word(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
    """Not from a folder that holds none, and not from one that does."""
    write_run(tmp_path, make_run(past=False), {"PGGAN": draw("fair", include_real=True)}, include_real=True)
    render(tmp_path, ["html"])
    closed = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "shows no real image" in closed
    assert 'id="m0-sprite-real"' not in closed
    assert "Real: the first" not in closed
    render(tmp_path, ["html"], include_real=True)
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Handle it as patient data" in shown
    assert 'id="m0-sprite-real"' in shown
    assert "Real: the first" in shown


def test_the_baselines_samples_come_from_the_accepted_run(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
    write_run(tmp_path / "old", make_run(past=False), {"PGGAN": draw("fair")})
    write_run(tmp_path / "new", make_run(past=False, fid=9.0), {"PGGAN": draw("broken")})
    render(tmp_path / "new", ["html"])
    alone = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "Baseline: the first" not in alone
    assert "--against" in alone
    render(tmp_path / "new", ["html"], against=tmp_path / "old")
    beside = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert beside.index("Baseline: the first") < beside.index("This run: the first")
    assert "--against" not in beside


def test_a_run_without_evidence_is_a_report_too(make_run: MakeRun) -> None:
    text = page(make_run(fid=9.0, past=False), {})
    assert "FAIL: 1 of 14 comparisons" in text
    assert 'class="plane"' not in text
    assert "Where it comes from" in text


def test_links_of_findings_lead_somewhere(make_run: MakeRun) -> None:
    """Without pictures there is nothing to look at, and no link that leads nowhere."""
    text = page(make_run(improved_recall=9.0, improved_precision=9.0, copy_rate=9.0, past=False), {})
    assert "Compare the samples" not in text
    assert "See the suspected copies" not in text


def test_no_path_of_the_machine_and_no_patient(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
    run = replace(
        make_run(past=False),
        warnings=("skipped /mnt/scans/LUNG1-001/x.dcm", "(0010,0010) is empty", "series 1.2.840.113619.2.55.3.1"),
        facts={"baseline": "/home/someone/gate/baselines/phantom.yaml"},
    )
    write_run(tmp_path, run, {"PGGAN": draw("fair")})
    for path in render(tmp_path):
        text = path.read_text(encoding="utf-8")
        for secret in ("LUNG1", "/mnt", "/home", "0010,0010", "1.2.840", str(tmp_path)):
            assert secret not in text, f"{secret} in {path.name}"
        assert "phantom.yaml" in text


def test_a_folder_written_by_other_hands_passes_the_same_filter(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run(past=False))
    file = tmp_path / "scores.json"
    file.write_text(
        file.read_text(encoding="utf-8").replace("random Inception", "/mnt/scans/LUNG1-001"), encoding="utf-8"
    )
    render(tmp_path, ["html", "md"])
    for name in ("report.html", "report.md"):
        assert "LUNG1" not in (tmp_path / name).read_text(encoding="utf-8")


def test_the_same_run_makes_the_same_page(make_run: MakeRun, draw: Draw) -> None:
    pages = {page(make_run(past=False), {"PGGAN": draw("fair")}) for _ in range(2)}
    assert len(pages) == 1


def test_an_unknown_format_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run())
    with pytest.raises(SettingsError, match=r"no report format 'pdf'"):
        render(tmp_path, ["pdf"])


@pytest.mark.slow
def test_a_page_for_the_papers_count_is_small(tmp_path: Path, make_run: MakeRun) -> None:
    """6,080 noisy slices, the worst case for compression, with real pictures as well: under 10 MB."""
    from pytest_medgan.report.pictures import with_pictures

    rng = np.random.default_rng(0)
    pixels: npt.NDArray[np.uint8] = rng.integers(0, 256, (6080, 1, 128, 128), dtype=np.uint8)
    features = rng.normal(size=(6080, 64)).astype(np.float32)
    drawn = with_pictures(
        Evidence(realism=rng.random(6080, np.float32), fake_in_real=np.zeros(6080, bool)),
        real_features=features,
        fake_features=features + 1,
        real_pixels=pixels,
        fake_pixels=pixels,
        include_real=True,
    )
    write_run(tmp_path, make_run(), {"PGGAN": drawn}, include_real=True)
    (path,) = render(tmp_path, ["html"], include_real=True)
    assert path.stat().st_size < 10_000_000
