"""The pages in a real browser: Debian's Chromium, driven by playwright. Skipped where either is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report import ModelRecord, ReportRun, render, write_run
from pytest_medgan.report.turing import TuringPage, make_page
from pytest_medgan.report.turing_score import turing_accuracy

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAME = "<script>document.title='run'</script><img src=x onerror=alert(1)>"
EXTRA = "<script>document.title='run'</script><p style='color:red' onclick='x()'>x</p><img src='https://example.org/x'>"
FOCUSABLE = "a[href], summary, button, input, [tabindex='0']"

Draw = Callable[..., Evidence]
Visit = Callable[..., "Watched"]
Made = tuple[Path, TuringPage]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@dataclass
class Watched:
    """A page, and everything it said or asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def js(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens a file in a fresh profile and listens from before the first byte."""
    contexts = []

    def opened(path: Path, *, width: int = 1200, scheme: str = "light", **options: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.on("console", lambda message: watched.said.append(f"{message.type}: {message.text}"))
        watched.page.on("pageerror", lambda error: watched.said.append(f"error: {error}"))
        watched.page.on("dialog", lambda dialog: watched.said.append(f"dialog: {dialog.message}") or dialog.dismiss())
        watched.page.on("request", lambda request: watched.asked.append(request.url))
        watched.page.goto(path.as_uri())
        watched.page.wait_for_function("[...document.images].every((image) => image.complete)")
        return watched

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def report(folder: Path, make_model: Callable[..., ModelRecord], draw: Draw) -> Path:
    """A red run of two models, one of them named to do harm, with every picture there is; drawn once."""
    path = folder / "report.html"
    if not path.exists():
        red = make_model(past=False, improved_recall=80.0, coverage=20.0, duplicate_rate=9.0, intensity_distance=9.0)
        models = (red, make_model(NAME, past=False, copy_rate=9.0))
        pictures = {"PGGAN": draw("broken", include_real=True), NAME: draw("fair", include_real=True)}
        write_run(folder, ReportRun(models, warnings=("a warning",)), pictures, include_real=True)
        render(folder, ["html"], include_real=True)
    return path


def no_sideways_scroll(watched: Watched) -> bool:
    return bool(watched.js("document.documentElement.scrollWidth <= window.innerWidth"))


def test_the_report_opens_in_silence_and_asks_for_nothing(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.page.mouse.wheel(0, 20000)
    watched.page.wait_for_timeout(200)
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith("data:")] == [report.as_uri()]


def test_a_script_in_a_models_name_stays_text(report: Path, visit: Visit) -> None:
    watched = visit(report)
    assert watched.page.title() == "FAIL · medgan report"
    assert watched.js("document.querySelector('#m1-title').firstChild.textContent.trim()") == NAME
    assert watched.js("document.scripts.length") == 2
    assert watched.said == []


def test_the_policy_would_stop_what_escaping_missed(report: Path, visit: Visit, tmp_path: Path) -> None:
    """A script and a style put into the page by force do nothing."""
    harmed = tmp_path / "harmed.html"
    text = report.read_text(encoding="utf-8")
    harmed.write_text(text.replace("</main>", f"{EXTRA}</main>"), encoding="utf-8")
    watched = visit(harmed)
    assert watched.page.title() == "FAIL · medgan report"
    assert any("Content Security Policy" in line for line in watched.said)
    assert watched.js("[...document.images].find((image) => image.src.startsWith('https')).naturalWidth") == 0


def test_the_tab_key_reaches_everything_and_shows_where_it_is(report: Path, visit: Visit) -> None:
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


def test_a_details_element_opens_by_keyboard(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.page.locator("summary").first.focus()
    watched.page.keyboard.press("Enter")
    assert watched.js("document.querySelector('details').open")


def test_every_picture_shows(report: Path, visit: Visit) -> None:
    watched = visit(report)
    watched.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    sizes = watched.js(
        """[...document.images].filter((e) => !e.hidden)
           .map((e) => [e.alt || e.className, e.naturalWidth, e.getBoundingClientRect().width])"""
    )
    assert len(sizes) > 60
    assert [alt for alt, natural, width in sizes if natural < 8 or width < 20] == []


def lens(watched: Watched, box: str) -> dict[str, Any]:
    """What the lens of a plane shows."""
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


def test_the_plane_shows_its_images_to_mouse_and_keyboard(report: Path, visit: Visit) -> None:
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


def test_the_arrow_keys_reach_nearly_every_point(report: Path, visit: Visit) -> None:
    """Walking over the plane visits most of it; what the keys cannot reach would not exist for their user."""
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


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_is_cut_off_on_any_screen(report: Path, visit: Visit, width: int) -> None:
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


def test_dark_is_dark_in_the_page_and_in_its_figures(report: Path, visit: Visit) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        watched = visit(report, scheme=scheme)
        back = watched.js("getComputedStyle(document.body).backgroundColor")
        chart = watched.page.locator(".chart img").first.screenshot()
        shades[scheme] = (luminance(back), chart)
    assert shades["light"][0] > 0.9
    assert shades["dark"][0] < 0.05
    assert shades["light"][1] != shades["dark"][1]


def test_print_is_light_and_without_controls(report: Path, visit: Visit) -> None:
    watched = visit(report, scheme="dark")
    watched.page.emulate_media(media="print", color_scheme="dark")
    assert luminance(watched.js("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert luminance(watched.js("getComputedStyle(document.body).color")) < 0.05
    assert not watched.js("document.querySelector('nav').checkVisibility()")
    assert len(watched.page.pdf()) > 50_000


def test_motion_is_still_for_who_asks_for_it(report: Path, visit: Visit) -> None:
    watched = visit(report, reduced_motion="reduce")
    assert watched.js("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


# ---------------------------------------------------------------------------------------------- the visual Turing test


@pytest.fixture(scope="module")
def turing_page(folder: Path, images: dict[str, Any]) -> tuple[Path, TuringPage]:
    made = make_page(real=images["real"], fake=images["broken"], count=6, seed=5, window=(-1000.0, 400.0))
    path = folder / "turing.html"
    path.write_text(made.html, encoding="utf-8")
    return path, made


def begin(watched: Watched, reader: str = "reader 1") -> None:
    """From the address bar to the first image, by keyboard alone."""
    watched.page.keyboard.press("Tab")
    assert watched.js("document.activeElement.id") == "reader"
    watched.page.keyboard.type(reader)
    watched.page.keyboard.press("Enter")


def press(watched: Watched, *keys: str) -> None:
    for key in keys:
        watched.page.keyboard.press(key)


def heading(watched: Watched) -> str:
    return str(watched.page.locator("#place").text_content())


def test_a_whole_test_by_keyboard_reloaded_half_way_saved_and_scored(
    turing_page: Made, visit: Visit, tmp_path: Path
) -> None:
    path, made = turing_page
    watched = visit(path, accept_downloads=True)
    calls = [i in (0, 1, 2, 5, 8, 9) for i in range(12)]
    begin(watched)
    for i in range(6):
        assert heading(watched) == f"Image {i + 1} of 12"
        press(watched, "r" if calls[i] else "g", str(1 + i % 5), "Enter")

    watched.page.reload()
    watched.page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert "6 of 12 images are answered already" in str(watched.page.locator("#resumed").text_content())
    press(watched, "Tab", "Enter")  # the reader's name is still there
    for i in range(6, 12):
        assert heading(watched) == f"Image {i + 1} of 12"
        press(watched, "r" if calls[i] else "g", str(1 + i % 5), "Enter")

    assert watched.js("document.activeElement.id") == "end-title"
    press(watched, "Tab")
    assert watched.js("document.activeElement.id") == "save"
    with watched.page.expect_download() as download:
        press(watched, "Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == f"answers-reader-1-{made.identity[:6]}.json"
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()] * 2

    data = json.loads(saved.read_text(encoding="utf-8"))
    assert [a["answer"] == "real" for a in data["answers"]] == calls
    assert [a["confidence"] for a in data["answers"]] == [1 + i % 5 for i in range(12)]
    assert data["started"] < data["finished"]
    (reader,) = turing_accuracy([saved]).readers
    right = sum(call == is_real for call, is_real in zip(calls, made.key, strict=True))
    assert (reader.reader, reader.right, reader.answered) == ("reader 1", right, 12)
    assert reader.seconds > 0


def test_no_answer_is_taken_by_mistake(turing_page: Made, visit: Visit) -> None:
    """Enter alone confirms nothing; an answer can be changed; going back shows what was said."""
    watched = visit(turing_page[0])
    begin(watched)
    press(watched, "Enter")
    assert heading(watched) == "Image 1 of 12"
    assert "real (R) or generated (G)" in str(watched.page.locator("#said").text_content())
    press(watched, "r", "Enter")
    assert heading(watched) == "Image 1 of 12"
    press(watched, "g", "4", "Enter")
    assert heading(watched) == "Image 2 of 12"
    press(watched, "Backspace")
    assert heading(watched) == "Image 1 of 12"
    assert watched.js("document.querySelector('input[name=answer]:checked').value") == "generated"
    assert watched.js("document.querySelector('input[name=confidence]:checked').value") == "4"
    press(watched, "r", "Enter")
    assert heading(watched) == "Image 2 of 12"
    kept = watched.js("JSON.parse(localStorage.getItem(Object.keys(localStorage)[0])).answers")
    assert list(kept) == ["0"]
    assert kept["0"]["answer"] == "real"


def test_every_control_is_reached_by_tab(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    watched.js("document.querySelector('details').open = true")
    seen = []
    for _ in range(12):
        press(watched, "Tab")
        seen.append(watched.js("(({ id, name, tagName }) => id || name || tagName)(document.activeElement)"))
    assert {"answer", "confidence", "SUMMARY", "centre", "width", "zoom", "reset", "save-early"} <= {*seen}


def view_of(watched: Watched) -> tuple[float, float]:
    """Mean and spread of what the canvas shows."""
    mean, spread = watched.js(
        """() => {
          const data = document.getElementById("view").getContext("2d").getImageData(0, 0, 512, 512).data;
          let sum = 0, square = 0, n = 0;
          for (let i = 0; i < data.length; i += 4) { sum += data[i]; square += data[i] * data[i]; n += 1; }
          return [sum / n, Math.sqrt(square / n - (sum / n) ** 2)];
        }"""
    )
    return float(mean), float(spread)


def test_window_and_zoom(turing_page: Made, visit: Visit, images: dict[str, Any]) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    first = view_of(watched)
    known = [float(p.mean()) for side in ("real", "broken") for p in images[side]]
    assert min(abs(first[0] - mean) for mean in known) < 0.7, "at first the grey levels are those of the file"
    assert watched.page.locator("#centre-is").text_content() == "-300 HU"
    press(watched, "[", "[", "[")
    assert view_of(watched)[0] < first[0] - 3
    press(watched, "0")
    assert view_of(watched) == first
    press(watched, ",", ",", ",", ",", ",", ",")
    assert view_of(watched)[1] > first[1] * 1.1
    press(watched, "0", "+", "+", "+", "+")
    assert watched.page.locator("#zoom-is").text_content() == "3×"
    enlarged = view_of(watched)
    press(watched, "ArrowLeft", "ArrowLeft")
    assert view_of(watched) != enlarged
    press(watched, "0")
    assert view_of(watched) == first


def test_the_key_is_not_in_plain_sight(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    text = str(watched.js("document.documentElement.outerHTML.replace(/base64,[^\"]*/, '')"))
    made = turing_page[1]
    for plain in ("".join("10"[not k] for k in made.key), json.dumps([int(k) for k in made.key]).replace(" ", "")):
        assert plain not in text
    names = watched.js("[...document.images].map((image) => image.id + image.alt + image.className)")
    assert names == ["slices"]


@pytest.mark.parametrize("width", [390, 1200])
def test_the_test_fits_any_screen(turing_page: Made, visit: Visit, width: int) -> None:
    watched = visit(turing_page[0], width=width)
    assert no_sideways_scroll(watched)
    begin(watched)
    assert no_sideways_scroll(watched)
    assert watched.js("document.getElementById('view').getBoundingClientRect().width") >= 300


def test_a_tired_touch_is_enough(turing_page: Made, visit: Visit) -> None:
    """The whole test by pointer, on a phone's width."""
    watched = visit(turing_page[0], width=390)
    watched.page.fill("#reader", "reader 2")
    watched.page.click("#begin")
    for _ in range(12):
        watched.page.click("#answer label:nth-of-type(2)")
        watched.page.click("#confidence label:nth-of-type(3)")
        watched.page.click("#confirm")
    assert watched.page.locator("#end").is_visible()
    assert watched.said == []
