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

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.pictures import with_pictures
from pytest_medgan.records import Evidence, ImageSet, Outcome, TrainingRun, VerdictCause
from pytest_medgan.report import ReportRun, render, write_run
from pytest_medgan.report.accepted import with_accepted, worth_keeping
from pytest_medgan.report.causes import _WORDS
from pytest_medgan.report.evidence_file import without_real
from pytest_medgan.report.folder import read_run
from pytest_medgan.report.html import page
from pytest_medgan.report.view import LINKS

MakeRun = Callable[..., ReportRun]
Draw = Callable[..., Evidence]


class Page(HTMLParser):
    """Parser that gathers elements with their attributes, and the text of scripts and styles."""

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
    """Page of a failed run with pictures of everything, drawn once."""
    if "red" not in pages:
        run = make_run("PGGAN", improved_recall=80.0, coverage=20.0, copy_rate=9.0, intensity_distance=9.0)
        pages["red"] = page(run, {"PGGAN": draw("broken", include_real=True)})
    return pages["red"]


def test_page_makes_no_request(red: str) -> None:
    """Every address in the page is a fragment or a data URI, and no style or script fetches anything."""
    parsed = Page(red)
    for _, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), value
    assert not any(tag in ("iframe", "object", "embed", "base") for tag, _ in parsed.elements)
    for text in (*parsed.raw["style"], parsed.raw["script"][-1]):
        assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttpRequest|import\(", text)


def test_policy_names_the_digests_of_style_and_script(red: str) -> None:
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
def test_model_name_stays_text(make_run: MakeRun, name: str) -> None:
    text = page(make_run(name, past=False), {})
    parsed = Page(text)
    assert len(parsed.all("script")) == 2
    assert not parsed.all("b")
    assert not any(a.get("src") == "x" for a in parsed.all("img"))
    assert html.unescape(re.findall(r"<h2 id=\"m0-title\">(.*?) <span", text)[0]) == name


def test_page_has_what_screen_readers_need(red: str) -> None:
    parsed = Page(red)
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("h1") == tags.count("main") == tags.count("footer") == 1
    assert tags.count("table") == tags.count("caption") == 1
    assert {a.get("scope") for a in parsed.all("th")} == {"col", "row"}
    for image in parsed.all("img"):
        assert "alt" in image
        if not image["alt"]:  # described by another element, or filled by the script
            assert image.get("class") == "points" or "hidden" in image or "src" not in image
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids, href
    assert next(a for tag, a in parsed.elements if tag == "html")["lang"] == "en"
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_real_images_are_shown_only_when_asked_for(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
    write_run(tmp_path, make_run(past=False), {"PGGAN": draw("fair", include_real=True)}, include_real=True)
    render(tmp_path, ["html"])
    closed = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "shows no real image" in closed
    assert 'id="m0-sprite-real"' not in closed
    assert "Real: 48 real images" not in closed
    render(tmp_path, ["html"], include_real=True)
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Handle it as patient data" in shown
    assert 'id="m0-sprite-real"' in shown
    assert "Real: 48 real images" in shown


def test_baseline_samples_come_from_the_accepted_run_by_row(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
    """The models are called differently; both are compared with the row PGGAN."""
    write_run(tmp_path / "old", make_run("old name", past=False), {"old name": draw("fair")})
    write_run(tmp_path / "new", make_run("new name", past=False, fid=9.0), {"new name": draw("broken")})
    render(tmp_path / "new", ["html"])
    alone = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "Baseline: 48 generated images" not in alone
    assert "--against" in alone
    render(tmp_path / "new", ["html"], against=tmp_path / "old")
    both = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert both.index("Baseline: 48 generated images") < both.index("This run: 48 generated images")
    assert "--against" not in both


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
@pytest.mark.parametrize("known", ["checkpoint", "name", "neither"])
def test_baseline_samples_are_those_of_the_accepted_one_of_several_models(
    tmp_path: Path, make_run: MakeRun, draw: Draw, order: tuple[str, str], known: str
) -> None:
    """Of models that shared a row the last one was shown as the baseline, whichever it was."""
    alike = make_run(past=False).models[0]
    drawn = {"first": draw("fair"), "second": draw("broken")}
    old = [replace(alike, name=name, checkpoint=f"digest of {name}") for name in order]
    write_run(tmp_path / "old", replace(make_run(), models=tuple(old)), drawn)
    assert alike.baseline is not None
    runs = (TrainingRun("digest of first"),) if known == "checkpoint" else ()
    name = "first" if known == "name" else "new name"
    new = replace(alike, name=name, checkpoint="new", baseline=replace(alike.baseline, runs=runs))
    write_run(tmp_path / "new", replace(make_run(), models=(new,)), {name: draw("broken")})
    render(tmp_path / "new", ["html"], against=tmp_path / "old")
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    expected = with_accepted(draw("broken"), worth_keeping(draw("fair")))
    if known == "neither":
        assert "Baseline: 48 generated images" not in text
    else:
        assert text == page(read_run(tmp_path / "new").run, {name: without_real(expected)})


def test_run_without_evidence_has_a_page(make_run: MakeRun) -> None:
    text = page(make_run(fid=9.0, past=False), {})
    assert f"FAIL: 1 of {len(NAMES)} metrics" in text
    assert 'class="plane"' not in text
    assert "What got worse" in text


def test_first_screen_has_verdict_losses_cause_pictures_and_next_step_in_order(red: str) -> None:
    order = [
        'class="verdict bad"',
        "What got worse",
        "<strong>Improved Recall</strong> 0.873 to 0.393",
        "Probably: <strong>",
        'class="telling"',
        "What to do next",
        "<table>",
    ]
    places = [red.index(part) for part in order]
    assert places == sorted(places)
    assert red[red.index('class="telling"') : red.index("What to do next")].count("<figure>") == 3


@pytest.mark.parametrize(
    ("errors", "titles", "count"),
    [
        ({"improved_recall": 80.0, "coverage": 20.0}, ["Baseline", "This run", "Repeated"], 12),
        ({"improved_precision": 9.0}, ["Baseline", "This run", "Least realistic"], 4),
        ({"copy_rate": 9.0}, ["Suspected copies", "Baseline", "This run"], 12),
        ({"intensity_distance": 9.0}, ["Baseline", "This run", "Grey levels"], 12),
        ({"fid": 9.0}, ["Baseline", "This run", "Real"], 4),
        ({"anomaly_rate": 9.0}, ["Looking wrong", "Baseline", "This run"], 12),
        ({"implausible_rate": 9.0}, ["Implausible", "Baseline", "This run"], 12),
    ],
)
def test_three_pictures_show_the_cause(
    *, make_run: MakeRun, draw: Draw, errors: dict[str, float], titles: list[str], count: int
) -> None:
    evidence = draw("broken", include_real=True)
    flagged = np.array([[0, 0], [1, 0]])
    known = replace(evidence, thumbnails_baseline=evidence.thumbnails_fake, anomalies=flagged, implausible=flagged)
    text = page(make_run(past=False, **errors), {"PGGAN": known})
    telling = text[text.index('class="telling"') : text.index("What to do next")]
    assert re.findall("<figcaption>(.*?)</figcaption>", telling) == titles
    assert f'alt="This run: {count} generated images' in telling


def test_every_section_that_a_cause_points_to_has_a_link() -> None:
    assert {look_at for _, _, look_at in _WORDS.values()} <= LINKS.keys()


def test_caption_says_why_metrics_are_undecided_after_a_failure(make_run: MakeRun) -> None:
    run = make_run(fid=9.0)
    (model,) = run.models
    note = "left open at this number of images, since another metric of the same test had failed"
    assert note not in page(run, {})
    left = [
        replace(c, verdict=replace(c.verdict, outcome=Outcome.UNDECIDED, cause=VerdictCause.STOPPED))
        if c.metric == "recall"
        else c
        for c in model.comparisons
    ]
    assert note in page(replace(run, models=(replace(model, comparisons=tuple(left)),)), {})


def test_pass_shows_no_pictures_of_causes_and_no_advice(make_run: MakeRun, draw: Draw) -> None:
    text = page(make_run(past=False), {"PGGAN": draw("fair")})
    for absent in ("What got worse", 'class="telling"', "What to do next", "medgan baseline accept"):
        assert absent not in text


def test_first_run_is_neutral(make_run: MakeRun, draw: Draw) -> None:
    run = make_run(past=False)
    model = run.models[0]
    missing = [replace(c, verdict=replace(c.verdict, outcome=Outcome.MISSING)) for c in model.comparisons]
    text = page(
        replace(run, models=(replace(model, comparisons=tuple(missing), baseline=None),)), {"PGGAN": draw("fair")}
    )
    assert 'class="verdict neutral"' in text
    assert "No baseline yet: look at the samples, then accept them" in text


def test_causes_link_only_to_sections_that_exist(make_run: MakeRun) -> None:
    text = page(make_run(improved_recall=9.0, improved_precision=9.0, copy_rate=9.0, past=False), {})
    assert "#m0-samples" not in text
    assert "#m0-copies" not in text


def test_gallery_links_to_the_row_of_its_metric(red: str) -> None:
    for metric in ("copy_rate", "duplicate_rate", "improved_precision"):
        assert f'href="#m0-row-{metric}"' in red
        assert f'<tr id="m0-row-{metric}"' in red


def test_curves_show_run_real_images_and_baseline(make_run: MakeRun, draw: Draw) -> None:
    found = draw("fair")
    accepted = worth_keeping(found)
    text = page(
        make_run(past=False), {"PGGAN": with_accepted(replace(found, prd_curve_real=found.prd_curve), accepted)}
    )
    alternatives = html.unescape(text)
    for label in ("this run: ", "Real: ", "baseline: "):
        assert re.search(rf"Density against k\.[^\"]*{label}", alternatives)
        assert re.search(rf"over all trade-offs\.[^\"]*{label}", alternatives)


def test_page_holds_no_path_and_no_patient(tmp_path: Path, make_run: MakeRun, draw: Draw) -> None:
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


def test_equal_runs_give_equal_pages(make_run: MakeRun, draw: Draw) -> None:
    pages = {page(make_run(past=False), {"PGGAN": draw("fair")}) for _ in range(2)}
    assert len(pages) == 1


def test_unknown_format_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    write_run(tmp_path, make_run())
    with pytest.raises(SettingsError, match="Report format 'pdf' is unknown"):
        render(tmp_path, ["pdf"])


def page_of_noise(folder: Path, run: ReportRun, count: int) -> int:
    """Return the bytes of a page of noisy images, the worst case for compression, with real images."""
    rng = np.random.default_rng(0)
    pixels: npt.NDArray[np.uint8] = rng.integers(0, 256, (count, 1, 128, 128), dtype=np.uint8)
    features = rng.normal(size=(count, 64)).astype(np.float32)
    images = ImageSet(pixels, np.array([f"{i // 50}" for i in range(count)]), "noise")
    drawn = with_pictures(
        Evidence(realism=rng.random(count, np.float32), fake_in_real=np.zeros(count, bool)),
        real=images,
        fake=images,
        real_features=features,
        fake_features=features + 1,
        include_real=True,
    )
    write_run(folder, run, {"PGGAN": drawn}, include_real=True)
    (path,) = render(folder, ["html"], include_real=True)
    return path.stat().st_size


@pytest.mark.slow
def test_page_of_6080_images_is_below_10_mb(tmp_path: Path, make_run: MakeRun) -> None:
    assert page_of_noise(tmp_path, make_run(), 6080) < 10_000_000


def test_page_grows_less_than_its_images(tmp_path: Path, make_run: MakeRun) -> None:
    """A page shows a bounded number of images, however many there are."""
    small, large = (page_of_noise(tmp_path / str(n), make_run(past=False, fid=9.0), n) for n in (100, 300))
    assert large < 2 * small
