from __future__ import annotations

import pytest

from pytest_medgan.ground.theme import COLOURS, FAKE, INK, RULE, SURFACE, Colour, themed


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [c for c in COLOURS if c not in (SURFACE, RULE)], ids=lambda c: c.name)
def test_text_colour_has_enough_contrast_in_light_and_dark(colour: Colour) -> None:
    assert contrast(colour.light, SURFACE.light) >= 4.5
    assert contrast(colour.dark, SURFACE.dark) >= 4.5


def test_themed_replaces_stand_ins_by_custom_properties() -> None:
    svg = f'<?xml version="1.0"?><!DOCTYPE svg><svg width="1"><path style="fill: {FAKE.stand_in}"/></svg>'
    text = themed(svg)
    assert text.startswith('<svg width="1"><style>:root{--ink:')
    assert "fill: var(--fake)" in text
    assert "prefers-color-scheme:dark" in text
    assert not any(c.stand_in in text for c in COLOURS)


def test_stand_ins_and_names_are_unique() -> None:
    assert len({c.stand_in for c in COLOURS}) == len({c.name for c in COLOURS}) == len(COLOURS)
    assert INK in COLOURS
