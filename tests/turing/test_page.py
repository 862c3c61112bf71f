from __future__ import annotations

import base64
import html
import io
import re

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.turing import make_page
from pytest_medgan.turing.seal import seal, unseal

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def sides() -> tuple[Pixels, Pixels]:
    """Real images are even throughout and generated ones odd, so that a page's order can be read off its pixels."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (2, 12, 1, 16, 16), dtype=np.uint8)
    return noise[0] * 2, noise[1] * 2 + 1


def shown(text: str, columns: int, count: int) -> list[Pixels]:
    """The slices as the page holds them, in order."""
    found = re.search(r'id="slices"[^>]*src="data:image/png;base64,([^"]+)"', text)
    assert found
    canvas = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    return [
        canvas[i // columns * 16 : i // columns * 16 + 16, i % columns * 16 : i % columns * 16 + 16]
        for i in range(count)
    ]


def test_every_image_is_there_without_loss_and_the_key_is_true(sides: tuple[Pixels, Pixels]) -> None:
    real, fake = sides
    page = make_page(real=real, fake=fake, count=10, seed=3)
    assert len(page.key) == 20
    assert sum(page.key) == 10
    known = {True: {p.tobytes() for p in real}, False: {p.tobytes() for p in fake}}
    pictures = shown(page.html, 5, 20)
    assert all(picture.tobytes() in known[is_real] for picture, is_real in zip(pictures, page.key, strict=True))
    assert len({picture.tobytes() for picture in pictures}) == 20, "no image twice"


def test_the_order_is_seeded(sides: tuple[Pixels, Pixels]) -> None:
    real, fake = sides
    first, again, other = (make_page(real=real, fake=fake, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert other.key != first.key
    assert other.identity != first.identity
    runs = sum(a != b for a, b in zip(first.key, first.key[1:], strict=False))
    assert runs > 5, "the kinds are mixed"


def test_the_page_does_not_say_which_is_which(sides: tuple[Pixels, Pixels]) -> None:
    real, fake = sides
    page = make_page(real=real, fake=fake)
    for plain in (
        "".join("1" if k else "0" for k in page.key),
        "".join("0" if k else "1" for k in page.key),
        str([int(k) for k in page.key]).replace(" ", ""),
        str(list(page.key)).lower().replace(" ", ""),
        base64.b64encode(np.packbits(page.key).tobytes()).decode(),
        base64.b64encode(np.packbits(~np.array(page.key)).tobytes()).decode(),
    ):
        assert plain not in page.html
    assert seal(page.key, page.identity) in page.html
    apart = make_page(real=real, fake=fake, sealed=False)
    assert apart.key == page.key
    assert seal(page.key, page.identity) not in apart.html
    assert '"check":""' in apart.html


@pytest.mark.parametrize("count", [1, 7, 8, 9, 255, 256, 300])
def test_a_sealed_key_comes_back(count: int) -> None:
    key = tuple(bool(b) for b in np.random.default_rng(count).integers(0, 2, count))
    assert unseal(seal(key, "0123456789abcdef"), count, "0123456789abcdef") == key
    with pytest.raises(DataError, match="does not fit"):
        unseal(seal(key, "0123456789abcdef"), count + 8, "0123456789abcdef")


def test_a_broken_seal_is_refused() -> None:
    with pytest.raises(DataError, match="does not fit"):
        unseal("not base64 !", 8, "0")


def test_the_page_asks_nothing_of_any_server_and_names_nobody(sides: tuple[Pixels, Pixels]) -> None:
    text = make_page(real=sides[0], fake=sides[1], title="<script>x</script>").html
    assert "<script>x" not in text
    assert "default-src 'none'; img-src data:;" in html.unescape(text)
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", text)


def test_images_that_do_not_fit_together(sides: tuple[Pixels, Pixels]) -> None:
    real, fake = sides
    with pytest.raises(DataError, match="of one size"):
        make_page(real=real, fake=fake[:, :, :8])
    with pytest.raises(DataError, match=r"\[N,1,H,W\]"):
        make_page(real=real[:, 0], fake=fake[:, 0])
    with pytest.raises(SettingsError, match="1 to 12 images of each kind and 13"):
        make_page(real=real, fake=fake, count=13)
    with pytest.raises(SettingsError, match="and 0 were"):
        make_page(real=real, fake=fake, count=0)
