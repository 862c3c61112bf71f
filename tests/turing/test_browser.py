"""The page of the visual Turing test in a real browser."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pytest_medgan.turing import TuringPage, make_page, turing_accuracy, write_key
from tests.browser import Visit, Watched, no_sideways_scroll, violations

Made = tuple[Path, TuringPage]
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pools() -> dict[str, Pixels]:
    """Real and generated images: a bright ellipse on a dark ground, brighter in generated ones."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    pools = {}
    for kind, grey in (("real", 150), ("fake", 180)):
        axes = rng.uniform(0.5, 0.95, (6, 2, 1, 1))
        bodies = (x / axes[:, 0]) ** 2 + (y / axes[:, 1]) ** 2 < 1
        pictures = 20 + grey * bodies + rng.normal(0, 9, bodies.shape)
        pools[kind] = np.clip(pictures, 0, 255).astype(np.uint8)[:, None]
    return pools


@pytest.fixture(scope="module")
def turing_page(pools: dict[str, Pixels], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A page of twelve images with a window in HU."""
    page = make_page(**pools, count=6, randomness=random.Random(5), window=(-1000.0, 400.0))
    path = tmp_path_factory.mktemp("turing") / "page.html"
    path.write_text(page.html, encoding="utf-8")
    return path, page


def begin(watched: Watched, reader: str = "reader 1") -> None:
    """Go from the opened page to the first image by keyboard alone."""
    press(watched, "Tab")
    assert watched.js("document.activeElement.id") == "reader"
    watched.page.keyboard.type(reader)
    press(watched, "Enter")


def press(watched: Watched, *keys: str) -> None:
    for key in keys:
        watched.page.keyboard.press(key)


def reload(watched: Watched) -> None:
    watched.page.reload()
    watched.page.wait_for_function("[...document.images].every((image) => image.complete)")


def wait_for_text(watched: Watched, selector: str, expected: str) -> None:
    """Wait until an element has the text; a page that was reloaded draws its first image when it is ready."""
    watched.page.wait_for_function(
        "([selector, expected]) => document.querySelector(selector)?.textContent === expected", arg=[selector, expected]
    )


def text(watched: Watched, selector: str) -> str:
    return str(watched.page.locator(selector).text_content())


def test_test_by_keyboard_survives_a_reload_and_is_scored(turing_page: Made, visit: Visit, tmp_path: Path) -> None:
    path, made = turing_page
    watched = visit(path, accept_downloads=True)
    calls = [i in (0, 1, 2, 5, 8, 9) for i in range(12)]
    begin(watched)
    for i in range(6):
        assert text(watched, "#place") == f"Image {i + 1} of 12"
        press(watched, "r" if calls[i] else "g", str(1 + i % 5), "Enter")

    reload(watched)
    assert text(watched, "#progress-note") == "6 of 12 images are answered."
    assert text(watched, "#begin") == "Continue"
    press(watched, "Tab", "Enter")  # the pseudonym is filled in
    for i in range(6, 12):
        assert text(watched, "#place") == f"Image {i + 1} of 12"
        press(watched, "r" if calls[i] else "g", str(1 + i % 5), "Enter")

    assert watched.js("document.activeElement.id") == "end-title"
    press(watched, "Tab")
    assert watched.js("document.activeElement.id") == "save"
    with watched.page.expect_download() as download:
        press(watched, "Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == f"answers-reader-1-{made.key.page[:6]}.json"
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()] * 2

    data = json.loads(saved.read_text(encoding="utf-8"))
    assert [a["answer"] == "real" for a in data["answers"]] == calls
    assert [a["confidence"] for a in data["answers"]] == [1 + i % 5 for i in range(12)]
    assert data["started"] < data["finished"]
    write_key(tmp_path / "page.key.json", made.key)
    (reader,) = turing_accuracy([saved]).readers
    right = sum(call == is_real for call, is_real in zip(calls, made.key.is_real, strict=True))
    assert (reader.reader, reader.right, reader.answered) == ("reader 1", right, 12)
    assert reader.seconds > 0


def test_answer_needs_both_choices_and_can_be_changed(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    press(watched, "Enter")
    assert text(watched, "#place") == "Image 1 of 12"
    assert "real (R) or generated (G)" in text(watched, "#spoken")
    press(watched, "r", "Enter")
    assert text(watched, "#place") == "Image 1 of 12"
    press(watched, "g", "4", "Enter")
    assert text(watched, "#place") == "Image 2 of 12"
    press(watched, "Backspace")
    assert text(watched, "#place") == "Image 1 of 12"
    assert watched.js("document.querySelector('input[name=answer]:checked').value") == "generated"
    assert watched.js("document.querySelector('input[name=confidence]:checked').value") == "4"
    press(watched, "r", "Enter")
    assert text(watched, "#place") == "Image 2 of 12"
    kept = watched.js("JSON.parse(localStorage.getItem(Object.keys(localStorage)[0])).readers['reader 1'].answers")
    assert list(kept) == ["0"]
    assert kept["0"]["answer"] == "real"


def test_second_reader_in_one_browser_begins_at_the_first_image(turing_page: Made, visit: Visit) -> None:
    """Answers of one pseudonym must not be saved under another."""
    watched = visit(turing_page[0])
    begin(watched, "A")
    press(watched, "r", "1", "Enter")
    reload(watched)
    assert text(watched, "#begin") == "Continue"
    watched.page.fill("#reader", "B")
    assert text(watched, "#begin") == "Begin"
    assert not watched.page.locator("#progress-note").is_visible()
    watched.page.click("#begin")
    assert text(watched, "#place") == "Image 1 of 12"
    press(watched, "g", "2", "Enter")
    kept = watched.js("JSON.parse(localStorage.getItem(Object.keys(localStorage)[0])).readers")
    assert {name: state["answers"]["0"]["answer"] for name, state in kept.items()} == {"A": "real", "B": "generated"}


@pytest.mark.slow
def test_every_control_is_reached_by_tab(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    watched.js("document.querySelector('details').open = true")
    seen = []
    for _ in range(16):
        press(watched, "Tab")
        seen.append(watched.js("(({ id, name, textContent }) => id || name || textContent)(document.activeElement)"))
    assert {"Lung", "Soft tissue", "reset", "drag-moves", "answer", "confidence", "Window and zoom"} <= {*seen}
    assert {"centre", "width", "zoom", "save-early"} <= {*seen}


def view_of(watched: Watched) -> tuple[float, float]:
    """Mean and spread of the grey levels on the canvas."""
    mean, spread = watched.js(
        """() => {
          const data = document.getElementById("view").getContext("2d").getImageData(0, 0, 512, 512).data;
          let sum = 0, square = 0, n = 0;
          for (let i = 0; i < data.length; i += 4) { sum += data[i]; square += data[i] * data[i]; n += 1; }
          return [sum / n, Math.sqrt(square / n - (sum / n) ** 2)];
        }"""
    )
    return float(mean), float(spread)


def window_of(watched: Watched) -> tuple[str, str]:
    return text(watched, "#centre-value"), text(watched, "#width-value")


@pytest.mark.slow
def test_keys_change_window_and_zoom(turing_page: Made, visit: Visit, pools: dict[str, Pixels]) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    first = view_of(watched)
    known = [float(p.mean()) for side in pools.values() for p in side]
    assert min(abs(first[0] - mean) for mean in known) < 0.7, "the first view shows the grey levels of the file"
    assert window_of(watched) == ("-300 HU", "1400 HU")
    press(watched, "[", "[", "[")
    assert view_of(watched)[0] < first[0] - 3
    press(watched, "0")
    assert view_of(watched) == first
    press(watched, ",", ",", ",", ",", ",", ",")
    assert view_of(watched)[1] > first[1] * 1.1
    press(watched, "0", "+", "+", "+", "+")
    assert text(watched, "#zoom-value") == "3×"
    enlarged = view_of(watched)
    press(watched, "ArrowLeft", "ArrowLeft")
    assert view_of(watched) != enlarged
    press(watched, "0")
    assert view_of(watched) == first


def test_presets_set_the_window_in_hu(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    press(watched, "l")
    assert window_of(watched) == ("-600 HU", "1500 HU")
    assert watched.page.get_by_role("button", name="Lung").get_attribute("aria-pressed") == "true"
    watched.page.get_by_role("button", name="Soft tissue").click()
    assert window_of(watched) == ("40 HU", "400 HU")
    assert watched.page.get_by_role("button", name="Lung").get_attribute("aria-pressed") == "false"
    press(watched, "r", "3", "Enter")  # after the click Enter confirms and does not press the button again
    assert text(watched, "#place") == "Image 2 of 12"
    assert window_of(watched) == ("40 HU", "400 HU")


def drag(watched: Watched, right: int, down: int) -> None:
    box = watched.page.locator("#view").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    watched.page.mouse.move(x, y)
    watched.page.mouse.down()
    watched.page.mouse.move(x + right, y + down, steps=4)
    watched.page.mouse.up()


@pytest.mark.slow
def test_dragging_changes_the_window_or_moves_the_image(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    first = view_of(watched)
    drag(watched, 0, -60)
    centre, width = window_of(watched)
    assert int(centre.removesuffix(" HU")) < -300
    assert width == "1400 HU"
    assert view_of(watched)[0] > first[0] + 3, "up is brighter"
    press(watched, "0")
    drag(watched, 60, 0)
    assert window_of(watched)[0] == "-300 HU"
    assert int(window_of(watched)[1].removesuffix(" HU")) > 1400
    press(watched, "0", "+", "+")
    enlarged = view_of(watched)
    watched.page.locator("#drag-moves").check()
    drag(watched, 60, 40)
    assert window_of(watched) == ("-300 HU", "1400 HU")
    assert view_of(watched) != enlarged


@pytest.mark.slow
def test_window_is_kept_over_images_and_on_reload(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    press(watched, "s", "+", "r", "3", "Enter")
    assert window_of(watched) == ("40 HU", "400 HU")
    assert text(watched, "#zoom-value") == "1×"
    reload(watched)
    press(watched, "Tab", "Enter")
    wait_for_text(watched, "#place", "Image 2 of 12")
    assert window_of(watched) == ("40 HU", "400 HU")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_surround_is_dark_while_images_are_judged(turing_page: Made, visit: Visit, scheme: str) -> None:
    watched = visit(turing_page[0], scheme=scheme)
    colour = "getComputedStyle(document.body).backgroundColor"
    before = watched.js(colour)
    begin(watched)
    assert watched.js(colour) == "rgb(21, 25, 30)"
    assert watched.js("getComputedStyle(document.body).color") == "rgb(232, 235, 239)"
    assert (before == "rgb(255, 255, 255)") is (scheme == "light")
    assert watched.js("document.body.getBoundingClientRect().height >= window.innerHeight")


@pytest.mark.slow
def test_first_section_has_one_button(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    press(watched, "r", "1", "Enter")
    reload(watched)
    assert watched.js("[...document.querySelectorAll('button')].filter((e) => e.checkVisibility()).length") == 1


@pytest.mark.slow
def test_document_does_not_hold_the_key(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    document = str(watched.js("document.documentElement.outerHTML.replace(/base64,[^\"]*/, '')"))
    key = turing_page[1].key
    for secret in (
        "".join("10"[not k] for k in key.is_real),
        json.dumps([int(k) for k in key.is_real]).replace(" ", ""),
        key.nonce,
    ):
        assert secret not in document
    names = watched.js("[...document.images].map((image) => image.id + image.alt + image.className)")
    assert names == ["slices"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits_the_screen(turing_page: Made, visit: Visit, width: int) -> None:
    watched = visit(turing_page[0], width=width)
    assert no_sideways_scroll(watched)
    begin(watched)
    assert no_sideways_scroll(watched)
    assert watched.js("document.getElementById('view').getBoundingClientRect().width") >= 300


@pytest.mark.slow
def test_test_can_be_taken_by_touch_on_a_phone(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0], width=390)
    watched.page.fill("#reader", "reader 2")
    watched.page.click("#begin")
    for _ in range(12):
        watched.page.click("#answer label:nth-of-type(2)")
        watched.page.click("#confidence label:nth-of-type(3)")
        watched.page.click("#confirm")
    assert watched.page.locator("#end").is_visible()
    assert watched.said == []


@pytest.mark.slow
def test_removed_answers_are_gone(turing_page: Made, visit: Visit) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    for _ in range(12):
        press(watched, "r", "1", "Enter")
    watched.js("window.confirm = () => true")
    watched.page.click("#forget")
    assert watched.page.locator("#start").is_visible()
    assert watched.js("JSON.parse(localStorage.getItem(Object.keys(localStorage)[0])).readers") == {}


@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), pytest.param(390, "dark", marks=pytest.mark.slow)], ids=str
)
def test_page_is_accessible(turing_page: Made, visit: Visit, width: int, scheme: str) -> None:
    watched = visit(turing_page[0], width=width, scheme=scheme, bypass_csp=True)
    assert violations(watched) == []
    begin(watched)
    watched.js("document.querySelector('details').open = true")
    assert violations(watched) == []
