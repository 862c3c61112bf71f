from __future__ import annotations

import base64
import html
import io
import itertools
import json
import random
import re

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.turing import TuringPage, make_page

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def sides() -> tuple[Pixels, Pixels]:
    """Real images [12,1,16,16] of even grey levels and generated ones of odd levels, so that pixels tell the kind."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (2, 12, 1, 16, 16), dtype=np.uint8)
    return noise[0] * 2, noise[1] * 2 + 1


def made(sides: tuple[Pixels, Pixels], seed: int | None = 3, **options: object) -> TuringPage:
    randomness = None if seed is None else random.Random(seed)
    return make_page(real=sides[0], fake=sides[1], randomness=randomness, **options)  # type: ignore[arg-type]


def config_of(page: TuringPage) -> dict[str, object]:
    text = page.html.split('id="config">')[1].split("</script>")[0]
    found: dict[str, object] = json.loads(text)
    return found


def slices_of(page: TuringPage, size: int = 16) -> list[Pixels]:
    """The slices as the page holds them, in order."""
    config = config_of(page)
    columns, count = int(str(config["columns"])), int(str(config["count"]))
    found = re.search(r'id="slices"[^>]*src="data:image/png;base64,([^"]+)"', page.html)
    assert found
    canvas = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    corners = [(i // columns * size, i % columns * size) for i in range(count)]
    return [canvas[top : top + size, left : left + size] for top, left in corners]


def test_page_holds_every_image_once_and_without_loss(sides: tuple[Pixels, Pixels]) -> None:
    page = made(sides, count=10)
    assert (len(page.key.images), sum(page.key.is_real)) == (20, 10)
    known = {True: {p.tobytes() for p in sides[0]}, False: {p.tobytes() for p in sides[1]}}
    pictures = slices_of(page)
    assert all(picture.tobytes() in known[is_real] for picture, is_real in zip(pictures, page.key.is_real, strict=True))
    assert len({picture.tobytes() for picture in pictures}) == 20


def test_images_are_chosen_from_the_whole_set(sides: tuple[Pixels, Pixels]) -> None:
    seen = {p.tobytes() for seed in range(20) for p in slices_of(made(sides, seed, count=2))}
    assert len(seen) > 20


def test_equal_randomness_gives_equal_page(sides: tuple[Pixels, Pixels]) -> None:
    first, again, other = (made(sides, seed) for seed in (1, 1, 2))
    assert first == again
    assert other.key.images != first.key.images
    assert other.key.page != first.key.page


def test_kinds_are_mixed(sides: tuple[Pixels, Pixels]) -> None:
    kinds = made(sides, 1).key.images
    assert sum(a != b for a, b in itertools.pairwise(kinds)) > 5


def test_default_randomness_never_repeats(sides: tuple[Pixels, Pixels]) -> None:
    first, second = made(sides, None), made(sides, None)
    assert first.key.page != second.key.page
    assert first.key.nonce != second.key.nonce
    assert first.key.images != second.key.images


def test_default_randomness_is_not_the_seeded_one_of_the_process(sides: tuple[Pixels, Pixels]) -> None:
    keys = []
    for _ in range(2):
        random.seed(0)
        np.random.seed(0)
        keys.append(made(sides, None).key)
    assert keys[0] != keys[1]


def test_identity_and_nonce_have_their_full_length(sides: tuple[Pixels, Pixels]) -> None:
    key = made(sides).key
    assert re.fullmatch("[0-9a-f]{16}", key.page)
    assert re.fullmatch("[0-9a-f]{64}", key.nonce)


def test_page_holds_the_commitment_and_not_the_key(sides: tuple[Pixels, Pixels]) -> None:
    page = made(sides)
    is_real = page.key.is_real
    assert config_of(page)["commitment"] == page.key.commitment
    for secret in (
        page.key.nonce,
        "".join("1" if k else "0" for k in is_real),
        "".join("0" if k else "1" for k in is_real),
        json.dumps([int(k) for k in is_real], separators=(",", ":")),
        json.dumps(is_real, separators=(",", ":")),
        json.dumps(page.key.images, separators=(",", ":")),
        base64.b64encode(np.packbits(is_real).tobytes()).decode(),
        base64.b64encode(np.packbits(~np.array(is_real)).tobytes()).decode(),
    ):
        assert secret not in page.html


def test_page_makes_no_request_and_escapes_its_title(sides: tuple[Pixels, Pixels]) -> None:
    text = made(sides, title="<script>x</script>").html
    assert "<script>x" not in text
    assert "default-src 'none'; img-src data:;" in html.unescape(text)
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", text)


@pytest.mark.parametrize(
    ("window", "presets"),
    [
        (None, []),
        ((-1000.0, 400.0), ["Lung", "Soft tissue"]),
        ((-1000.0, 1000.0), ["Lung", "Soft tissue", "Bone"]),
        ((-160.0, 240.0), ["Soft tissue"]),
    ],
)
def test_presets_are_those_within_the_window(
    sides: tuple[Pixels, Pixels], window: tuple[float, float] | None, presets: list[str]
) -> None:
    page = made(sides, window=window)
    config = config_of(page)
    assert config["window"] == (None if window is None else list(window))
    assert [preset["name"] for preset in config["presets"]] == presets  # type: ignore[attr-defined]
    assert page.html.count('class="preset"') == len(presets)


def test_images_of_two_sizes_are_refused(sides: tuple[Pixels, Pixels]) -> None:
    real, fake = sides
    with pytest.raises(DataError, match="of one size"):
        make_page(real=real, fake=fake[:, :, :8])
    with pytest.raises(DataError, match=r"\[N,1,H,W\]"):
        make_page(real=real[:, 0], fake=fake[:, 0])
    with pytest.raises(DataError, match=r"\[N,1,H,W\]"):
        make_page(real=np.repeat(real, 3, 1), fake=np.repeat(fake, 3, 1))


@pytest.mark.parametrize("count", [0, 13, -1])
def test_count_that_the_sets_cannot_fill_is_refused(sides: tuple[Pixels, Pixels], count: int) -> None:
    with pytest.raises(SettingsError, match=f"show {count} images of each kind, only 1 to 12"):
        made(sides, count=count)


def test_count_defaults_to_the_smaller_set(sides: tuple[Pixels, Pixels]) -> None:
    page = make_page(real=sides[0][:7], fake=sides[1])
    assert sum(page.key.is_real) == 7
    assert len(page.key.images) == 14


def test_page_shows_at_most_500_of_each_kind() -> None:
    many = np.zeros((502, 1, 2, 2), np.uint8)
    assert len(make_page(real=many, fake=many).key.images) == 1000
    with pytest.raises(SettingsError, match="only 1 to 500"):
        make_page(real=many, fake=many, count=501)
