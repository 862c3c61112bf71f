"""Colours that a page and its figures share, for light and dark display.

A figure is an SVG in an `<img>` and cannot see the page's style. It is therefore drawn with stand-in colours that occur
nowhere else. `themed` replaces them by custom properties, which the SVG's own style sets by the reader's preference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """The colour of one role."""

    name: str  # name of the custom property
    stand_in: str  # the colour a figure is drawn with
    light: str
    dark: str


# The contrast with the surface is at least 4.5:1 in light and dark; a test measures it.
INK = Colour("ink", "#010a01", "#1a1f26", "#e8ebef")
MUTED = Colour("muted", "#010a02", "#5a636e", "#a5aeb9")
RULE = Colour("rule", "#010a03", "#c9cfd6", "#434b55")
SURFACE = Colour("surface", "#010a04", "#ffffff", "#15191e")
REAL = Colour("real", "#010a05", "#c02626", "#ff8f86")
FAKE = Colour("fake", "#010a06", "#1a5fb4", "#8ab8ff")
BEFORE = Colour("before", "#010a07", "#8a5a00", "#e0b25a")
GOOD = Colour("good", "#010a08", "#1b7a3d", "#6fd394")
BAD = Colour("bad", "#010a09", "#b3261e", "#ff9d94")
COLOURS = (INK, MUTED, RULE, SURFACE, REAL, FAKE, BEFORE, GOOD, BAD)


_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)  # matplotlib always writes its own name there


def properties(dark: bool) -> str:
    """Return the declarations of the custom properties."""
    return "".join(f"--{c.name}:{c.dark if dark else c.light};" for c in COLOURS)


def stylesheet() -> str:
    """Return a rule for light colours, and for dark ones where the reader prefers them."""
    return f":root{{{properties(False)}}}@media (prefers-color-scheme:dark){{:root{{{properties(True)}}}}}"


def always_dark() -> str:
    """Return a rule that gives elements of the class `dark` the dark colours, whatever the reader prefers."""
    return f".dark{{{properties(True)}}}"


def themed(svg: str) -> str:
    """Return an SVG with its own style and custom properties for stand-in colours, without prologue and metadata."""
    body = _METADATA.sub("", svg[svg.index("<svg") :])
    for colour in COLOURS:
        body = body.replace(colour.stand_in, f"var(--{colour.name})")
    end = body.index(">") + 1
    return f"{body[:end]}<style>{stylesheet()}</style>{body[end:]}"
