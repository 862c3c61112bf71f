"""The visual Turing test in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pytest_medgan.turing import TuringPage, make_page, turing_accuracy
from tests.browser import Visit, Watched, no_sideways_scroll

Made = tuple[Path, TuringPage]
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pools() -> dict[str, Pixels]:
    """Real and generated images: a bright ellipse on a dark ground, of another size and noise in each."""
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
    made = make_page(**pools, count=6, seed=5, window=(-1000.0, 400.0))
    path = tmp_path_factory.mktemp("turing") / "turing.html"
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


def test_window_and_zoom(turing_page: Made, visit: Visit, pools: dict[str, Pixels]) -> None:
    watched = visit(turing_page[0])
    begin(watched)
    first = view_of(watched)
    known = [float(p.mean()) for side in pools.values() for p in side]
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
