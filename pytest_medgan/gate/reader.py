"""From the nodes of a baseline file to its records, every complaint with its line.

Nodes, rather than loaded values, because only they know their line and still show a key that was written twice.
Numbers must be numbers, names must be known, and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.document import FORMAT, Count, Document, MetricRecord, RowRecord
from pytest_medgan.records import Fingerprint, LimitValue, Margin, Scalar

_MARGINS = ("absolute", "relative", "toward_real", "auto")
_TOP = ("format", "kind", "name", "note", "source", "own_metrics", "complete", "baseline", "fingerprint", "rows")
_ROW = ("note", "provenance", "fingerprint", "canary", "counts", "metrics", "sweeps")
_VALUE = ("value", "sd", "se", "se_total", "groups")
_COLLECTIONS = ("map", "list")


@dataclass(frozen=True)
class Node:
    """One node of the file."""

    kind: str  # "map", "list", or a plain value's type: "str", "int", "float", "bool", "null", "timestamp", ...
    line: int  # from 1
    text: str = ""  # of a plain value
    items: tuple[Node, ...] = ()  # of a list
    pairs: tuple[tuple[Node, Node], ...] = ()  # of a map


class Reader:
    """Turns nodes into records; `file` stands in front of every complaint."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.metrics: Collection[str] = NAMES

    def document(self, root: Node) -> Document:
        top = self.named(root, _TOP, "the file")
        for key in ("format", "kind", "rows"):
            if key not in top:
                raise self.error(root, f"the file has no {key!r}; write baselines with `medgan baseline accept`")
        if self.integer(top["format"], "format") != FORMAT:
            raise self.error(top["format"], f"another format than {FORMAT}; use the version that wrote it")
        kind = self.choice(top["kind"], ("measured", "published"), "kind")
        own = tuple(self.text(item, "own_metrics") for item in self.items(top.get("own_metrics"), "own_metrics"))
        self.metrics = (*NAMES, *own)
        rows = {self.text(key, "a row's name"): self.row(value, key) for key, value in self.pairs(top["rows"], "rows")}
        return Document(
            name=self.text(top["name"], "name") if "name" in top else "",
            kind=kind,
            note=self.text(top["note"], "note") if "note" in top else "",
            source=self.text(top["source"], "source") if "source" in top else "",
            own_metrics=own,
            complete=self.boolean(top["complete"], "complete") if "complete" in top else None,
            baseline=self.text(top["baseline"], "baseline") if "baseline" in top else "",
            fingerprint=self.fingerprint(top["fingerprint"]) if "fingerprint" in top else None,
            rows=rows,
        )

    def fingerprint(self, node: Node) -> Fingerprint:
        parts = self.named(node, ("inputs", "canary_tolerance", "canary"), "fingerprint")
        for key in ("inputs", "canary_tolerance"):
            if key not in parts:
                raise self.error(node, f"the fingerprint has no {key!r}; restore it from version control")
        return Fingerprint(
            self.flat(parts["inputs"], "inputs"),
            self.canary(parts["canary"]) if "canary" in parts else None,
            self.number(parts["canary_tolerance"], "canary_tolerance"),
        )

    def canary(self, node: Node) -> tuple[float, ...]:
        rows = self.items(node, "canary")
        return tuple(self.number(item, "canary") for row in rows for item in self.items(row, "canary"))

    def row(self, node: Node, key: Node) -> RowRecord:
        parts = self.named(node, _ROW, "a row")
        for name in ("counts", "metrics"):
            if name not in parts:
                raise self.error(node, f"the row has no {name!r}; restore it, or accept the row again")
        counts = {self.count(n): self.look(value) for n, value in self.pairs(parts["counts"], "counts")}
        metrics = {
            self.metric(name): self.entry(value, name, counts)
            for name, value in self.pairs(parts["metrics"], "metrics")
        }
        sweeps = {
            self.metric(name): {
                self.count(k): tuple(self.number(item, "sweeps") for item in self.items(values, "sweeps"))
                for k, values in self.pairs(value, "sweeps")
            }
            for name, value in (self.pairs(parts["sweeps"], "sweeps") if "sweeps" in parts else ())
        }
        return RowRecord(
            counts,
            metrics,
            note=self.text(parts["note"], "note") if "note" in parts else "",
            provenance=self.flat(parts["provenance"], "provenance") if "provenance" in parts else {},
            fingerprint=self.flat(parts["fingerprint"], "fingerprint") if "fingerprint" in parts else {},
            canary=self.canary(parts["canary"]) if "canary" in parts else None,
            sweeps=sweeps,
            line=key.line,
        )

    def look(self, node: Node) -> Count:
        parts = self.named(node, ("n_real", "groups"), "a count")
        if len(parts) < 2:
            raise self.error(node, "a count needs n_real and groups")
        return Count(self.integer(parts["n_real"], "n_real"), self.integer(parts["groups"], "groups"))

    def entry(self, node: Node, key: Node, counts: Mapping[int, Count]) -> MetricRecord:
        parts = self.named(node, ("margin", "at"), "a metric")
        if "at" not in parts:
            raise self.error(node, "the metric has no 'at'; accept the row again")
        at: dict[int, LimitValue] = {}
        for count, value in self.pairs(parts["at"], "at"):
            n = self.count(count)
            if n not in counts:
                raise self.error(count, f"{n} is not among the row's counts")
            at[n] = self.value(value, counts[n].groups)
        margin = self.margin(parts["margin"]) if "margin" in parts else None
        return MetricRecord(at, margin, key.line)

    def value(self, node: Node, groups: int) -> LimitValue:
        parts = self.named(node, _VALUE, "a value")
        if "value" not in parts:
            raise self.error(node, "the entry has no 'value'; accept the row again")
        values = tuple(self.number(item, "groups") for item in self.items(parts.get("groups"), "groups"))
        if values and len(values) != groups:
            raise self.error(parts["groups"], f"{len(values)} values where the look has {groups} groups")
        numbers = {key: self.number(part, key) for key, part in parts.items() if key != "groups"}
        for key in ("sd", "se", "se_total"):
            if numbers.get(key, 0.0) < 0:
                raise self.error(parts[key], f"{key} is negative; accept the row again")
        sd, se, total = (numbers.get(key, 0.0) for key in ("sd", "se", "se_total"))
        return LimitValue(numbers["value"], se, sd, total, groups, values)

    def margin(self, node: Node) -> Margin:
        parts = self.named(node, ("kind", "amount"), "a margin")
        if len(parts) < 2:
            raise self.error(node, "a margin needs kind and amount")
        kind = self.choice(parts["kind"], _MARGINS, "kind")
        amount = self.number(parts["amount"], "amount")
        if not 0 <= amount < float("inf"):
            raise self.error(parts["amount"], "a margin is a finite number, not below 0")
        return Margin(kind, amount)

    def metric(self, node: Node) -> str:
        name = self.text(node, "a metric's name")
        if name not in self.metrics:
            raise self.error(node, f"unknown metric {name!r}; the catalogue has {', '.join(NAMES)}")
        return name

    # ------------------------------------------------------------------------------------------------- node by node

    def error(self, node: Node, message: str) -> BaselineError:
        return BaselineError(f"{self.file}:{node.line}: {message}")

    def pairs(self, node: Node, what: str) -> list[tuple[Node, Node]]:
        """The entries of a mapping, no key twice."""
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
        """A mapping whose keys are all among `names`."""
        pairs = self.pairs(node, what)
        for key, _ in pairs:
            if key.text not in names:
                raise self.error(key, f"unknown name {key.text!r} in {what}; it may hold {', '.join(names)}")
        return {key.text: value for key, value in pairs}

    def items(self, node: Node | None, what: str) -> list[Node]:
        if node is None:
            return []
        if node.kind != "list":
            raise self.error(node, f"{what} should be a list")
        return list(node.items)

    def flat(self, node: Node, what: str) -> dict[str, Scalar]:
        return {self.text(key, what): self.scalar(value, what) for key, value in self.pairs(node, what)}

    def scalar(self, node: Node, what: str) -> Scalar:
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
        if node.kind != "str":
            raise self.error(node, f"{what} should be text; put it in double quotes")
        return node.text

    def boolean(self, node: Node, what: str) -> bool:
        if node.kind != "bool":
            raise self.error(node, f"{what} should be true or false")
        return node.text.lower() in ("true", "yes", "on")

    def integer(self, node: Node, what: str, low: int | None = 1) -> int:
        if node.kind != "int" or not re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", node.text):
            raise self.error(node, f"{what} should be a whole number, not {self.seen(node)}")
        if low is not None and int(node.text) < low:
            raise self.error(node, f"{what} should be at least {low}")
        return int(node.text)

    def count(self, node: Node) -> int:
        return self.integer(node, "a count")

    def number(self, node: Node, what: str) -> float:
        """A float or a whole number; never text that looks like one."""
        tag = node.kind
        if tag == "int":
            return float(self.integer(node, what, low=None))
        if tag != "float" or ":" in node.text:
            raise self.error(node, f"{what} should be a number, not {self.seen(node)}")
        return float(node.text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))

    def seen(self, node: Node) -> str:
        return "a collection" if node.kind in _COLLECTIONS else f"{node.kind} {node.text!r}"

    def choice(self, node: Node, choices: Collection[str], what: str) -> str:
        value = self.text(node, what)
        if value not in choices:
            raise self.error(node, f"{what} {value!r} is none of {', '.join(choices)}")
        return value
