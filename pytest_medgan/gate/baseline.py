"""The baseline file: found by path or built-in name, read strictly, every complaint with its line.

The reader walks YAML's node tree rather than loaded values, because only nodes know their line and only they still show
a key that was written twice. Numbers must be numbers, names must be known, and nothing is guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.document import FORMAT, Count, Document, MetricRecord, RowRecord
from pytest_medgan.records import Fingerprint, LimitValue, Margin, Row, Scalar

_CONFLICT = re.compile(r"(<{7}|\|{7}|>{7})( |$)|={7}$")
_MARGINS = ("absolute", "relative", "toward_real", "auto")
_TOP = ("format", "kind", "name", "note", "source", "own_metrics", "complete", "baseline", "fingerprint", "rows")
_ROW = ("note", "provenance", "fingerprint", "canary", "counts", "metrics", "sweeps")
_VALUE = ("value", "sd", "se", "se_total")


@dataclass(frozen=True)
class Baseline:
    """A baseline file as loaded; one that does not exist has no rows."""

    path: Path
    document: Document
    exists: bool = True

    @property
    def shown(self) -> str:
        """The file as messages name it: below the working directory, else by its name alone."""
        return shown(self.path)

    @property
    def kind(self) -> str:
        return self.document.kind

    @property
    def fingerprint(self) -> Fingerprint | None:
        return self.document.fingerprint

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows it has."""
        return tuple(self.document.rows)

    @property
    def sweeps(self) -> Mapping[str, Mapping[str, Mapping[int, tuple[float, ...]]]]:
        """Row -> metric -> k -> the value of each sample group, where the file has them."""
        return {name: row.sweeps for name, row in self.document.rows.items() if row.sweeps}

    def row(self, name: str) -> Row:
        """The row; of kind "missing" when the file or the row is not there, which no assertion takes for green."""
        return self.document.as_row(name, self.shown)


def load(spec: str | os.PathLike[str]) -> Baseline:
    """Reads a baseline named by path or by built-in name.

    A name without a suffix and without a separator is looked for among the baselines shipped with the package.
    A path where there is no file gives a Baseline without rows; a built-in name that is not there is an error.

    Raises
    ------
    BaselineError
        The file is not a baseline; the message names file and line.
    """
    path = find(spec)
    if not path.is_file():
        return Baseline(path, Document(path.stem), exists=False)
    return Baseline(path, parse(read(path), shown(path)))


def find(spec: str | os.PathLike[str]) -> Path:
    """The path that a baseline's name or path stands for."""
    path = Path(spec)
    if path.suffix or path.exists() or os.fspath(spec) != path.name:
        return path
    for folder in _shipped():
        if (folder / f"{path.name}.yaml").is_file():
            return folder / f"{path.name}.yaml"
    known = ", ".join(sorted({file.stem for folder in _shipped() for file in folder.glob("*.yaml")})) or "none"
    raise BaselineError(f"no built-in baseline is named {path.name!r} (there are: {known}); a path ends in .yaml")


def read(path: Path) -> str:
    """The file's text.

    Raises
    ------
    BaselineError
        It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BaselineError(f"{shown(path)}:1: not UTF-8 text (byte {error.start}); restore the file") from None
    except OSError as error:
        raise BaselineError(f"{shown(path)}: cannot be read ({error.strerror}); give another baseline") from None


def shown(path: Path) -> str:
    """The path below the working directory, or the file's name where it lies elsewhere."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.name


def parse(text: str, file: str) -> Document:
    """Reads a baseline or a candidate; `file` is how messages name it.

    Raises
    ------
    BaselineError
        A syntax error, a tab, a merge conflict, a duplicated key, an unknown name or a value of the wrong type.
    """
    for line, content in enumerate(text.splitlines(), 1):
        if _CONFLICT.match(content):
            raise BaselineError(f"{file}:{line}: a merge conflict marker; resolve the conflict first")
        if "\t" in content:
            raise BaselineError(f"{file}:{line}: a tab; indent with spaces")
    return _Reader(file).document(_compose(text, file))


def comments(text: str) -> list[tuple[int, str]]:
    """Every remark of a YAML text as (line, words); a # inside a string is none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spans = [] if root is None else [(n.start_mark.index, n.end_mark.index) for n in _scalars(root)]
    found: list[tuple[int, str]] = []
    for match in re.finditer(r"(?:^|(?<=\s))#[^\n]*", text, re.MULTILINE):
        if not any(start <= match.start() < end for start, end in spans):
            words = match.group().lstrip("#").strip()
            found.append((text.count("\n", 0, match.start()) + 1, words))
    return [(line, words) for line, words in found if words]


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)


def _shipped() -> list[Path]:
    """Where the wheel puts the baselines, and where an editable checkout has them."""
    package = Path(__file__).resolve().parent.parent
    return [folder for folder in (package / "baselines", package.parent / "baselines") if folder.is_dir()]


def _compose(text: str, file: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise BaselineError(f"{file}:{line}: a character that YAML does not allow; remove it") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise BaselineError(f"{file}:{line}: not YAML ({error.problem}); correct the line") from None
    if root is None:
        raise BaselineError(f"{file}:1: the file is empty; delete it, or restore it from version control")
    return root


class _Reader:
    """Turns nodes into records; `file` stands in front of every complaint."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.metrics: Collection[str] = NAMES

    def document(self, root: yaml.Node) -> Document:
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

    def fingerprint(self, node: yaml.Node) -> Fingerprint:
        parts = self.named(node, ("inputs", "canary_tolerance", "canary"), "fingerprint")
        for key in ("inputs", "canary_tolerance"):
            if key not in parts:
                raise self.error(node, f"the fingerprint has no {key!r}; restore it from version control")
        return Fingerprint(
            self.flat(parts["inputs"], "inputs"),
            self.canary(parts["canary"]) if "canary" in parts else None,
            self.number(parts["canary_tolerance"], "canary_tolerance"),
        )

    def canary(self, node: yaml.Node) -> tuple[float, ...]:
        rows = self.items(node, "canary")
        return tuple(self.number(item, "canary") for row in rows for item in self.items(row, "canary"))

    def row(self, node: yaml.Node, key: yaml.Node) -> RowRecord:
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
            line=key.start_mark.line + 1,
        )

    def look(self, node: yaml.Node) -> Count:
        parts = self.named(node, ("n_real", "groups"), "a count")
        if len(parts) < 2:
            raise self.error(node, "a count needs n_real and groups")
        return Count(self.integer(parts["n_real"], "n_real"), self.integer(parts["groups"], "groups"))

    def entry(self, node: yaml.Node, key: yaml.Node, counts: Mapping[int, Count]) -> MetricRecord:
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
        return MetricRecord(at, margin, key.start_mark.line + 1)

    def value(self, node: yaml.Node, groups: int) -> LimitValue:
        parts = self.named(node, _VALUE, "a value")
        if "value" not in parts:
            raise self.error(node, "the entry has no 'value'; accept the row again")
        numbers = {key: self.number(part, key) for key, part in parts.items()}
        for key in ("sd", "se", "se_total"):
            if numbers.get(key, 0.0) < 0:
                raise self.error(parts[key], f"{key} is negative; accept the row again")
        return LimitValue(
            numbers["value"], numbers.get("se", 0.0), numbers.get("sd", 0.0), numbers.get("se_total", 0.0), groups
        )

    def margin(self, node: yaml.Node) -> Margin:
        parts = self.named(node, ("kind", "amount"), "a margin")
        if len(parts) < 2:
            raise self.error(node, "a margin needs kind and amount")
        kind = self.choice(parts["kind"], _MARGINS, "kind")
        amount = self.number(parts["amount"], "amount")
        if not 0 <= amount < float("inf"):
            raise self.error(parts["amount"], "a margin is a finite number, not below 0")
        return Margin(kind, amount)

    def metric(self, node: yaml.Node) -> str:
        name = self.text(node, "a metric's name")
        if name not in self.metrics:
            raise self.error(node, f"unknown metric {name!r}; the catalogue has {', '.join(NAMES)}")
        return name

    # ------------------------------------------------------------------------------------------------- node by node

    def error(self, node: yaml.Node, message: str) -> BaselineError:
        return BaselineError(f"{self.file}:{node.start_mark.line + 1}: {message}")

    def pairs(self, node: yaml.Node, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping, no key twice."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what} should be a mapping, `key: value`")
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, f"{what} has a key that is no plain name")
            if key.value in seen:
                raise self.error(key, f"{key.value!r} stands here twice; keep one")
            seen.add(key.value)
        return list(node.value)

    def named(self, node: yaml.Node, names: Collection[str], what: str) -> dict[str, yaml.Node]:
        """A mapping whose keys are all among `names`."""
        pairs = self.pairs(node, what)
        for key, _ in pairs:
            if key.value not in names:
                raise self.error(key, f"unknown name {key.value!r} in {what}; it may hold {', '.join(names)}")
        return {key.value: value for key, value in pairs}

    def items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"{what} should be a list")
        return list(node.value)

    def flat(self, node: yaml.Node, what: str) -> dict[str, Scalar]:
        return {self.text(key, what): self.scalar(value, what) for key, value in self.pairs(node, what)}

    def tag(self, node: yaml.Node) -> str:
        return node.tag.rpartition(":")[2] if isinstance(node, yaml.ScalarNode) else "collection"

    def scalar(self, node: yaml.Node, what: str) -> Scalar:
        tag = self.tag(node)
        if tag == "str":
            return str(node.value)
        if tag == "int":
            return self.integer(node, what, low=None)
        if tag == "float":
            return self.number(node, what)
        if tag == "bool":
            return self.boolean(node, what)
        if tag == "null":
            return None
        raise self.error(node, f"{what} holds a {tag} where text, a number, true, false or null belongs; quote text")

    def text(self, node: yaml.Node, what: str) -> str:
        if self.tag(node) != "str":
            raise self.error(node, f"{what} should be text; put it in double quotes")
        return str(node.value)

    def boolean(self, node: yaml.Node, what: str) -> bool:
        if self.tag(node) != "bool":
            raise self.error(node, f"{what} should be true or false")
        return str(node.value).lower() in ("true", "yes", "on")

    def integer(self, node: yaml.Node, what: str, low: int | None = 1) -> int:
        if self.tag(node) != "int" or not re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", node.value):
            raise self.error(node, f"{what} should be a whole number, not {self.seen(node)}")
        if low is not None and int(node.value) < low:
            raise self.error(node, f"{what} should be at least {low}")
        return int(node.value)

    def count(self, node: yaml.Node) -> int:
        return self.integer(node, "a count")

    def number(self, node: yaml.Node, what: str) -> float:
        """A float or a whole number; never text that looks like one."""
        tag = self.tag(node)
        if tag == "int":
            return float(self.integer(node, what, low=None))
        if tag != "float" or ":" in node.value:
            raise self.error(node, f"{what} should be a number, not {self.seen(node)}")
        return float(node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))

    def seen(self, node: yaml.Node) -> str:
        return f"{self.tag(node)} {node.value!r}" if isinstance(node, yaml.ScalarNode) else "a collection"

    def choice(self, node: yaml.Node, choices: Collection[str], what: str) -> str:
        value = self.text(node, what)
        if value not in choices:
            raise self.error(node, f"{what} {value!r} is none of {', '.join(choices)}")
        return value
