"""The report in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report import ModelRecord, ReportRun, render, write_run
from tests.browser import Visit, Watched, no_sideways_scroll, violations

NAME = "<script>document.title='run'</script><img src=x onerror=alert(1)>"
EXTRA = "<script>document.title='run'</script><p style='color:red' onclick='x()'>x</p><img src='https://example.org/x'>"
FOCUSABLE = "a[href], summary, button, input, [tabindex='0']"

Draw = Callable[..., Evidence]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def report(folder: Path, make_model: Callable[..., ModelRecord], draw: Draw) -> Path:
    """Page of a failed run of two models with every picture, one model named like markup; drawn once."""
    path = folder / "report.html"
    if not path.exists():
        red = make_model(past=False, improved_recall=80.0, coverage=20.0, duplicate_rate=9.0, intensity_distance=9.0)
        models = (red, make_model(NAME, past=False, copy_rate=9.0))
        pictures = {"PGGAN": draw("broken", include_real=True), NAME: draw("fair", include_real=True)}
        write_run(folder, ReportRun(models, warnings=("a warning",)), pictures, include_real=True)
        render(folder, ["html"], include_real=True)
    return path


def test_page_logs_nothing_and_makes_no_request(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.page.mouse.wheel(0, 20000)
    watched.page.wait_for_timeout(200)
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith("data:")] == [report.as_uri()]


@pytest.mark.slow
def test_script_in_a_model_name_stays_text(report: Path, visit: Visit) -> None:
    watched = visit(report)
    assert watched.page.title() == "FAIL · medgan report"
    assert watched.js("document.querySelector('#m1-title').firstChild.textContent.trim()") == NAME
    assert watched.js("document.scripts.length") == 2
    assert watched.said == []


@pytest.mark.slow
def test_policy_stops_markup_that_was_not_escaped(report: Path, visit: Visit, tmp_path: Path) -> None:
    """A script and a style inserted into the page do nothing."""
    harmed = tmp_path / "harmed.html"
    text = report.read_text(encoding="utf-8")
    harmed.write_text(text.replace("</main>", f"{EXTRA}</main>"), encoding="utf-8")
    watched = visit(harmed)
    assert watched.page.title() == "FAIL · medgan report"
    assert any("Content Security Policy" in line for line in watched.said)
    assert watched.js("[...document.images].find((image) => image.src.startsWith('https')).naturalWidth") == 0


@pytest.mark.slow
def test_tab_key_reaches_every_control_and_shows_the_focus(report: Path, visit: Visit) -> None:
    watched = visit(report)
    expected = watched.js(
        """(focusable) => [...document.querySelectorAll(focusable)].filter((e) => e.checkVisibility())
             .map((e, i) => { e.dataset.n = i; return i; })""",
        FOCUSABLE,
    )
    reached = []
    for _ in expected:
        watched.page.keyboard.press("Tab")
        place, outline = watched.js(
            "(() => { const e = document.activeElement; return [e.dataset.n, getComputedStyle(e).outlineStyle]; })()"
        )
        reached.append(place)
        assert outline != "none", f"no focus ring on element {place}"
    assert reached == [str(i) for i in range(len(expected))]
    assert len(expected) >= 15


@pytest.mark.slow
def test_details_open_by_keyboard(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.page.locator("summary").first.focus()
    watched.page.keyboard.press("Enter")
    assert watched.js("document.querySelector('details').open")


@pytest.mark.slow
def test_every_image_is_shown(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    sizes = watched.js(
        """[...document.images].filter((e) => !e.hidden && !e.closest("dialog"))
           .map((e) => [e.alt || e.className, e.naturalWidth, e.getBoundingClientRect().width])"""
    )
    assert len(sizes) > 60
    assert [alt for alt, natural, width in sizes if natural < 8 or width < 20] == []


def lens(watched: Watched, box: str) -> dict[str, Any]:
    """Return what the lens of a plane shows."""
    found: dict[str, Any] = watched.js(
        """(box) => {
          const lens = document.querySelector(box + " .lens"), canvas = lens.querySelector("canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, 128, 128).data;
          return { shown: !lens.hidden, picture: !canvas.hidden, note: lens.querySelector("p").textContent,
                   real: lens.classList.contains("real"),
                   sum: [...data].filter((_, i) => i % 4 === 0).reduce((a, b) => a + b, 0),
                   status: document.querySelector("[data-status=m0]").textContent };
        }""",
        box,
    )
    return found


def test_plane_shows_its_images_to_mouse_and_keyboard(report: Path, visit: Visit) -> None:
    watched = visit(report)
    box = "[data-plane=m0]"
    plane = watched.page.locator(box)
    plane.scroll_into_view_if_needed()
    assert not lens(watched, box)["shown"]
    frame = plane.bounding_box()
    points = json.loads(watched.page.locator("#planes").text_content())["m0"]["points"]
    for real in (0, 1):
        left, top = next((p[0], p[1]) for p in points if p[2] == real)
        watched.page.mouse.move(frame["x"] + frame["width"] * left / 100, frame["y"] + frame["height"] * top / 100)
        shown = lens(watched, box)
        assert shown["shown"]
        assert shown["picture"]
        assert shown["sum"] > 100_000, "the picture is not black"
    watched.page.mouse.move(5, 5)
    assert not lens(watched, box)["shown"]

    plane.focus()
    notes = [lens(watched, box)["status"]]
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown"):
        watched.page.keyboard.press(key)
        now = lens(watched, box)
        notes.append(now["status"])
        assert now["real"] == now["note"].startswith("real image")
    assert len(set(notes)) > 3
    watched.page.keyboard.press("Escape")
    assert not lens(watched, box)["shown"]


@pytest.mark.slow
def test_arrow_keys_reach_nearly_every_point(report: Path, visit: Visit) -> None:
    """Who uses the keyboard alone must be able to reach the images."""
    watched = visit(report)
    watched.page.locator("[data-plane=m1]").focus()
    reached = watched.js(
        """() => {
          const box = document.querySelector("[data-plane=m1]"), seen = new Set();
          const keys = ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"];
          let state = 1;
          for (let i = 0; i < 6000; i += 1) {
            state = (state * 1103515245 + 12345) % 2147483648;
            const key = keys[Math.floor(state / 65536) % 4];
            box.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
            seen.add(document.querySelector("[data-status=m1]").textContent);
          }
          return seen.size;
        }"""
    )
    points = len(json.loads(watched.page.locator("#planes").text_content())["m1"]["points"])
    assert reached > 0.9 * points


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_is_cut_off_at_any_width(report: Path, visit: Visit, width: int) -> None:
    watched = visit(report, width=width)
    assert no_sideways_scroll(watched)
    too_wide = watched.js(
        """[...document.querySelectorAll("h1, h2, h3, p, li, img, figure, .plane, dd")]
           .filter((e) => e.checkVisibility() && !e.closest(".skip, .visually-hidden")
                          && e.getBoundingClientRect().right > window.innerWidth + 1)
           .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert too_wide == []


def luminance(colour: str) -> float:
    channels = [float(c) / 255 for c in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.slow
def test_dark_scheme_changes_page_and_figures(report: Path, visit: Visit) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        watched = visit(report, scheme=scheme)
        back = watched.js("getComputedStyle(document.body).backgroundColor")
        chart = watched.page.locator(".chart img").first.screenshot()
        shades[scheme] = (luminance(back), chart)
    assert shades["light"][0] > 0.9
    assert shades["dark"][0] < 0.05
    assert shades["light"][1] != shades["dark"][1]


@pytest.mark.slow
def test_print_is_light_and_without_controls(report: Path, visit: Visit) -> None:
    watched = visit(report, scheme="dark")
    watched.page.emulate_media(media="print", color_scheme="dark")
    assert luminance(watched.js("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert luminance(watched.js("getComputedStyle(document.body).color")) < 0.05
    assert not watched.js("document.querySelector('nav').checkVisibility()")
    assert len(watched.page.pdf()) > 50_000


@pytest.mark.slow
def test_reduced_motion_is_respected(report: Path, visit: Visit) -> None:
    watched = visit(report, reduced_motion="reduce")
    assert watched.js("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_image_is_enlarged_by_click_and_by_keyboard(report: Path, visit: Visit) -> None:
    watched = visit(report)
    sheet, tile = watched.page.locator(".sheets .zoom").first, watched.page.locator(".gallery .zoom").first
    for button, key in ((sheet, ""), (tile, "Enter")):
        if key:
            button.focus()
            watched.page.keyboard.press(key)
        else:
            button.click()
        dialog = watched.page.locator("#enlarged")
        assert dialog.is_visible()
        shown, small = watched.js(
            """() => { const large = document.querySelector("#enlarged img");
                       return [large.getBoundingClientRect().width, large.alt]; }"""
        )
        assert small == button.locator("img").get_attribute("alt")
        assert shown > button.bounding_box()["width"]
        watched.page.keyboard.press("Escape")
        assert not dialog.is_visible()
    sheet.click()
    watched.page.get_by_role("button", name="Close").click()
    assert not watched.page.locator("#enlarged").is_visible()
    assert watched.said == []


@pytest.mark.slow
def test_print_opens_every_detail_and_closes_it_again(report: Path, visit: Visit) -> None:
    watched = visit(report)
    count = "document.querySelectorAll('details:not([open])').length"
    closed = watched.js(count)
    assert closed > 2
    watched.js("window.dispatchEvent(new Event('beforeprint'))")
    assert watched.js(count) == 0
    watched.js("window.dispatchEvent(new Event('afterprint'))")
    assert watched.js(count) == closed


def test_first_screen_shows_verdict_losses_cause_and_next_step(report: Path, visit: Visit) -> None:
    """Verdict, losses, pictures and the next step of the first model lie within one screen of 1200 x 900."""
    watched = visit(report)
    bottoms = watched.js(
        """() => ["h1.verdict", "#m0 .losses", "#m0 .cause", "#m0 .telling img", "#m0-next"]
                   .map((selector) => document.querySelector(selector).getBoundingClientRect().bottom)"""
    )
    assert max(bottoms) < 900
    assert bottoms[0] < bottoms[1]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_words_are_not_broken(report: Path, visit: Visit, width: int) -> None:
    """No cell or label is narrower than its longest word."""
    watched = visit(report, width=width)
    broken = watched.js(
        """[...document.querySelectorAll("#m0 th, #m0 td, #m0 h2, #m0 h3, #m0 li strong, #m0 figcaption")]
             .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
             .map((e) => e.textContent.trim().slice(0, 60))"""
    )
    assert broken == []


@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), pytest.param(390, "dark", marks=pytest.mark.slow)], ids=str
)
def test_page_is_accessible(report: Path, visit: Visit, width: int, scheme: str) -> None:
    watched = visit(report, width=width, scheme=scheme, bypass_csp=True)
    watched.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert violations(watched) == []
