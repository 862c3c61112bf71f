"""The nodes of a baseline file, and plain values read from them; every complaint names its line."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from pytest_medgan.errors import BaselineError
from pytest_medgan.records import Scalar

_COLLECTIONS = ("map", "list")


@dataclass(frozen=True)
class Node:
    """One node of the file."""

    kind: str  # "map", "list", or a plain value's type: "str", "int", "float", "bool", "null", "timestamp", ...
    line: int  # from 1
    text: str = ""  # of a plain value
    items: tuple[Node, ...] = ()  # of a list
    pairs: tuple[tuple[Node, Node], ...] = ()  # of a map


class NodeReader:
    """Read plain values; `file` stands in front of every complaint."""

    def __init__(self, file: str) -> None:
        self.file = file

    def error(self, node: Node, message: str) -> BaselineError:
        """Return an error that names the file and the node's line."""
        return BaselineError(f"{self.file}:{node.line}: {message}")

    def pairs(self, node: Node, what: str) -> list[tuple[Node, Node]]:
        """Return the entries of a mapping; no key may stand twice."""
        if node.kind != "map":
            raise self.error(node, f"{what} should be a mapping, `key: value`")
        seen: set[str] = set()
        for key, _ in node.pairs:
            if key.kind in _COLLECTIONS:
                raise self.error(key, f"{what} has a key that is no plain name")
            if key.text in seen:
                raise self.error(key, f"{key.text!r} stands here twice; keep one")
            seen.add(key.text)
        return list(node.pairs)

    def named(self, node: Node, names: Collection[str], what: str) -> dict[str, Node]:
        """Return a mapping whose keys are all among `names`."""
        pairs = self.pairs(node, what)
        for key, _ in pairs:
            if key.text not in names:
                raise self.error(key, f"unknown name {key.text!r} in {what}; it may hold {', '.join(names)}")
        return {key.text: value for key, value in pairs}

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Return the items of a list; none where the node is absent."""
        if node is None:
            return []
        if node.kind != "list":
            raise self.error(node, f"{what} should be a list")
        return list(node.items)

    def flat(self, node: Node, what: str) -> dict[str, Scalar]:
        """Return a mapping of plain values."""
        return {self.text(key, what): self.scalar(value, what) for key, value in self.pairs(node, what)}

    def scalar(self, node: Node, what: str) -> Scalar:
        """Return a plain value by its YAML type."""
        tag = node.kind
        if tag == "str":
            return node.text
        if tag == "int":
            return self.integer(node, what, low=None)
        if tag == "float":
            return self.number(node, what)
        if tag == "bool":
            return self.boolean(node, what)
        if tag == "null":
            return None
        raise self.error(node, f"{what} holds a {tag} where text, a number, true, false or null belongs; quote text")

    def text(self, node: Node, what: str) -> str:
        """Return text; a number or a date that was not quoted is refused."""
        if node.kind != "str":
            raise self.error(node, f"{what} should be text; put it in double quotes")
        return node.text

    def boolean(self, node: Node, what: str) -> bool:
        """Return a truth value."""
        if node.kind != "bool":
            raise self.error(node, f"{what} should be true or false")
        return node.text.lower() in ("true", "yes", "on")

    def integer(self, node: Node, what: str, low: int | None = 1) -> int:
        """Return a whole number of at least `low`, in decimal digits."""
        if node.kind != "int" or not re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", node.text):
            raise self.error(node, f"{what} should be a whole number, not {self.seen(node)}")
        if low is not None and int(node.text) < low:
            raise self.error(node, f"{what} should be at least {low}")
        return int(node.text)

    def count(self, node: Node) -> int:
        """Return a number of images, runs or groups."""
        return self.integer(node, "a count")

    def number(self, node: Node, what: str) -> float:
        """Return a float or a whole number; text that looks like one is refused."""
        tag = node.kind
        if tag == "int":
            return float(self.integer(node, what, low=None))
        if tag != "float" or ":" in node.text:
            raise self.error(node, f"{what} should be a number, not {self.seen(node)}")
        return float(node.text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))

    def seen(self, node: Node) -> str:
        """Say what stands where something else was expected."""
        return "a collection" if node.kind in _COLLECTIONS else f"{node.kind} {node.text!r}"

    def choice(self, node: Node, choices: Collection[str], what: str) -> str:
        """Return text that is one of the choices."""
        value = self.text(node, what)
        if value not in choices:
            raise self.error(node, f"{what} {value!r} is none of {', '.join(choices)}")
        return value
