"""From the nodes of a baseline file to its records, every complaint with its line.

Nodes, rather than loaded values, because only they know their line and still show a key that was written twice.
Numbers must be numbers, names must be known, and nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from pytest_medgan.catalogue import NAMES
from pytest_medgan.gate.document import FORMAT, READABLE, Document, overlaid
from pytest_medgan.gate.nodes import Node, NodeReader
from pytest_medgan.gate.seal import check_seal
from pytest_medgan.records import (
    Anchor,
    Count,
    Entry,
    Fingerprint,
    Margin,
    Row,
    Score,
    TrainingRun,
    mean_of_runs,
)

_MARGINS = ("absolute", "relative", "toward_real", "auto")
_TOP = ("format", "kind", "name", "note", "source", "own_metrics", "complete", "baseline", "fingerprint", "rows")
_ROW = {
    1: ("note", "provenance", "fingerprint", "canary", "counts", "metrics", "sweeps"),
    2: (
        "note",
        "provenance",
        "fingerprint",
        "canary",
        "family",
        "selected_from",
        "runs",
        "counts",
        "metrics",
        "sweeps",
        "seal",
    ),
}
_ENTRY = {1: ("margin", "at"), 2: ("revision", "margin", "real", "anchor", "at")}
_SCORE = {1: ("value", "sd", "se", "se_total", "groups"), 2: ("value", "sd", "se", "se_total", "freedom", "groups")}
_OLD_REVISION = "1"  # of every metric when files had format 1


class Reader(NodeReader):
    """Turn nodes into records; `file` stands in front of every complaint."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.metrics: Collection[str] = NAMES
        self.format = FORMAT

    def document(self, root: Node) -> Document:
        """Return the whole file."""
        top = self.named(root, _TOP, "the file")
        for key in ("format", "kind", "rows"):
            if key not in top:
                raise self.error(root, f"the file has no {key!r}; write baselines with `medgan baseline accept`")
        self.format = self.integer(top["format"], "format")
        if self.format not in READABLE:
            raise self.error(top["format"], f"another format than {FORMAT}; use the version that wrote it")
        kind = self.choice(top["kind"], ("measured", "published"), "kind")
        own = tuple(self.text(item, "own_metrics") for item in self.items(top.get("own_metrics"), "own_metrics"))
        self.metrics = (*NAMES, *own)
        fingerprint = self.fingerprint(top["fingerprint"]) if "fingerprint" in top else None
        rows = [self.row(value, key, kind, fingerprint) for key, value in self.pairs(top["rows"], "rows")]
        return Document(
            name=self.text(top["name"], "name") if "name" in top else "",
            kind=kind,
            note=self.text(top["note"], "note") if "note" in top else "",
            source=self.text(top["source"], "source") if "source" in top else "",
            own_metrics=own,
            complete=self.boolean(top["complete"], "complete") if "complete" in top else None,
            baseline=self.text(top["baseline"], "baseline") if "baseline" in top else "",
            fingerprint=fingerprint,
            rows=MappingProxyType({row.name: row for row in rows}),
            format=self.format,
        )

    def fingerprint(self, node: Node) -> Fingerprint:
        """Return the file's fingerprint; a tolerance that an old file has is not taken from it."""
        old = ("canary_tolerance",) if self.format == 1 else ()
        parts = self.named(node, ("inputs", "canary", *old), "fingerprint")
        if "inputs" not in parts:
            raise self.error(node, "the fingerprint has no 'inputs'; restore it from version control")
        canary = self.canary(parts["canary"]) if "canary" in parts else None
        return Fingerprint(self.flat(parts["inputs"], "inputs"), canary or None)

    def canary(self, node: Node) -> tuple[float, ...]:
        """Return a canary, which is written one canned image a line."""
        rows = self.items(node, "canary")
        return tuple(self.number(item, "canary") for row in rows for item in self.items(row, "canary"))

    def row(self, node: Node, key: Node, kind: str, file: Fingerprint | None) -> Row:
        """Return one row with its seal checked."""
        parts = self.named(node, _ROW[self.format], "a row")
        for name in ("counts", "metrics"):
            if name not in parts:
                raise self.error(node, f"the row has no {name!r}; restore it, or accept the row again")
        counts = {self.integer(n, "a count"): self.look(value) for n, value in self.pairs(parts["counts"], "counts")}
        provenance = self.flat(parts["provenance"], "provenance") if "provenance" in parts else {}
        runs = tuple(self.run(item) for item in self.items(parts.get("runs"), "runs"))
        if self.format == 1:
            checkpoint = provenance.get("checkpoint")
            runs = (TrainingRun(checkpoint),) if isinstance(checkpoint, str) else ()
        row = Row(
            name=self.text(key, "a row's name"),
            entries=MappingProxyType(
                {
                    self.metric(name): self.entry(value, name, counts, len(runs))
                    for name, value in self.pairs(parts["metrics"], "metrics")
                }
            ),
            origin=f"{self.file}:{key.line}",
            kind=kind,
            fingerprint=self.own_fingerprint(parts, file),
            runs=runs,
            selected_from=self.integer(parts["selected_from"], "selected_from") if "selected_from" in parts else 0,
            family=self.integer(parts["family"], "family") if "family" in parts else 0,
            counts=MappingProxyType(counts),
            provenance=MappingProxyType(provenance),
            note=self.text(parts["note"], "note") if "note" in parts else "",
            sweeps=self.sweeps(parts.get("sweeps")),
            seal_text=self.text(parts["seal"], "seal") if "seal" in parts else "",
            line=key.line,
        )
        return replace(row, seal=check_seal(row, row.seal_text))

    def own_fingerprint(self, parts: Mapping[str, Node], file: Fingerprint | None) -> Fingerprint | None:
        """Return the row's fingerprint: the file's with what the row has of its own."""
        if file is None:
            return None
        own = self.flat(parts["fingerprint"], "fingerprint") if "fingerprint" in parts else {}
        return overlaid(file, own, self.canary(parts["canary"]) if "canary" in parts else None)

    def run(self, node: Node) -> TrainingRun:
        """Return one training run."""
        facts = self.flat(node, "a run")
        known = {key: facts.pop(key, None) for key in ("checkpoint", "recipe")}
        texts = {key: value if isinstance(value, str) else None for key, value in known.items()}
        return TrainingRun(texts["checkpoint"], texts["recipe"], MappingProxyType(facts))

    def sweeps(self, node: Node | None) -> Mapping[str, Mapping[int, tuple[float, ...]]]:
        """Return the k-sweeps of published figures."""
        if node is None:
            return MappingProxyType({})
        return MappingProxyType(
            {
                self.metric(name): MappingProxyType(
                    {
                        self.integer(k, "a count"): tuple(
                            self.number(item, "sweeps") for item in self.items(values, "sweeps")
                        )
                        for k, values in self.pairs(value, "sweeps")
                    }
                )
                for name, value in self.pairs(node, "sweeps")
            }
        )

    def look(self, node: Node) -> Count:
        """Return one look of a row."""
        parts = self.named(node, ("n_real", "groups"), "a count")
        if len(parts) < 2:
            raise self.error(node, "a count needs n_real and groups")
        return Count(self.integer(parts["n_real"], "n_real"), self.integer(parts["groups"], "groups"))

    def entry(self, node: Node, key: Node, counts: Mapping[int, Count], runs: int) -> Entry:
        """Return one metric of a row."""
        parts = self.named(node, _ENTRY[self.format], "a metric")
        if "at" not in parts:
            raise self.error(node, "the metric has no 'at'; accept the row again")
        return Entry(
            at=self.scores(parts["at"], counts, runs),
            margin=self.margin(parts["margin"]) if "margin" in parts else None,
            anchor=self.anchor(parts["anchor"], counts) if "anchor" in parts else None,
            revision=self.text(parts["revision"], "revision") if "revision" in parts else self._unsaid_revision(),
            real=self.number(parts["real"], "real") if "real" in parts else None,
            line=key.line,
        )

    def _unsaid_revision(self) -> str:
        return _OLD_REVISION if self.format == 1 else ""

    def scores(self, node: Node, counts: Mapping[int, Count], runs: int) -> Mapping[int, Score]:
        """Return a metric's scores by count."""
        at: dict[int, Score] = {}
        for count, value in self.pairs(node, "at"):
            n = self.integer(count, "a count")
            if n not in counts:
                raise self.error(count, f"{n} is not among the row's counts")
            if value.kind != "list":
                at[n] = self.score(value, counts[n].groups)
                continue
            each = [self.score(item, counts[n].groups) for item in self.items(value, "at")]
            if len(each) < 2 or len(each) != runs:
                raise self.error(value, f"{len(each)} values where the row has {runs} training runs")
            at[n] = mean_of_runs(each)
        return MappingProxyType(at)

    def score(self, node: Node, groups: int) -> Score:
        """Return the score of one training run at one count."""
        parts = self.named(node, _SCORE[self.format], "a value")
        if "value" not in parts:
            raise self.error(node, "the entry has no 'value'; accept the row again")
        values = tuple(self.number(item, "groups") for item in self.items(parts.get("groups"), "groups"))
        if values and len(values) != groups:
            raise self.error(parts["groups"], f"{len(values)} values where the look has {groups} groups")
        numbers = {key: self.number(part, key) for key, part in parts.items() if key != "groups"}
        for key in ("sd", "se", "se_total"):
            if numbers.get(key, 0.0) < 0:
                raise self.error(parts[key], f"{key} is negative; accept the row again")
        if not numbers.get("freedom", 1.0) >= 1:
            raise self.error(parts["freedom"], "freedom is below 1; accept the row again")
        return Score(
            mean=numbers["value"],
            se=numbers.get("se", 0.0),
            sd=numbers.get("sd", math.nan),
            se_total=numbers.get("se_total", 0.0),
            groups=groups,
            values=values,
            freedom=numbers.get("freedom", math.inf),
        )

    def anchor(self, node: Node, counts: Mapping[int, Count]) -> Anchor:
        """Return a metric's anchor."""
        parts = self.named(node, ("since", "rows", "at"), "an anchor")
        if len(parts) < 3:
            raise self.error(node, "an anchor needs since, rows and at; accept the row again")
        at = self.scores(parts["at"], counts, 1)
        return Anchor(self.text(parts["since"], "since"), self.integer(parts["rows"], "rows"), at)

    def margin(self, node: Node) -> Margin:
        """Return a margin; what an old file computed for `auto` is left out, since both sides' errors give it now."""
        parts = self.named(node, ("kind", "amount"), "a margin")
        if "kind" not in parts:
            raise self.error(node, "a margin needs a kind")
        kind = self.choice(parts["kind"], _MARGINS, "kind")
        if kind == "auto":
            if "amount" in parts and self.format != 1:
                raise self.error(parts["amount"], "the margin auto has no amount; it follows from the errors")
            return Margin()
        if "amount" not in parts:
            raise self.error(node, f"a margin of kind {kind} needs an amount")
        amount = self.number(parts["amount"], "amount")
        if not 0 <= amount < float("inf"):
            raise self.error(parts["amount"], "a margin is a finite number, not below 0")
        return Margin(kind, amount)

    def metric(self, node: Node) -> str:
        """Return a metric's name."""
        name = self.text(node, "a metric's name")
        if name not in self.metrics:
            raise self.error(node, f"unknown metric {name!r}; the catalogue has {', '.join(NAMES)}")
        return name
