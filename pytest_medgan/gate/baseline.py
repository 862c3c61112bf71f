"""The baseline file: found by path or built-in name, and read from YAML; the only file that knows of YAML's reader."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.document import Document
from pytest_medgan.gate.nodes import Node
from pytest_medgan.gate.reader import Reader
from pytest_medgan.records import Fingerprint, Row

INSTALLED = Path(__file__).resolve().parent.parent / "baselines"  # where the wheel puts the package's own
_CONFLICT = re.compile(r"(<{7}|\|{7}|>{7})( |$)|={7}$")


@dataclass(frozen=True)
class Baseline:
    """A baseline file as loaded; one that does not exist has no rows."""

    path: Path
    document: Document
    exists: bool = True

    def __repr__(self) -> str:
        return f"<baseline {self.shown}, rows: {', '.join(self.rows) or 'none'}>"

    @property
    def shown(self) -> str:
        """The file as messages name it: below the working directory, else by its name alone."""
        return shown(self.path)

    @property
    def kind(self) -> str:
        """Return "measured" or "published"."""
        return self.document.kind

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Return what scores must agree with before they are compared; None where the file has none."""
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
        """Return a row; one that the file does not have is of kind "missing", which no assertion takes for green."""
        return self.document.row(name, self.shown)


def load(spec: str | os.PathLike[str]) -> Baseline:
    """Read a baseline named by path or by built-in name.

    A name without a suffix and without a separator is looked for among the baselines shipped with the package.

    Args:
        spec: A path, where there need be no file yet, or the name of a baseline of the package.

    Returns:
        The baseline, without rows where there is no file.

    Raises:
        BaselineError: The file is not a baseline, and the message names its line; it cannot be looked up or read; or no
            built-in baseline has the name.
    """
    try:
        path = find(spec)
        exists = path.is_file()
    except OSError as error:  # a name too long, or a folder that may not be searched
        reason = error.strerror or "no reason given"
        raise BaselineError(f"{Path(spec).name}: cannot be looked up ({reason}); give another baseline") from None
    if not exists:
        return Baseline(path, Document(path.stem), exists=False)
    return Baseline(path, _parsed(read(path), shown(path)))


def find(spec: str | os.PathLike[str]) -> Path:
    """Return the path that a baseline's name or path stands for.

    Raises:
        BaselineError: No built-in baseline has the name.
    """
    path = Path(spec)
    if not _is_name(spec):
        return path
    for folder in _shipped():
        if (folder / f"{path.name}.yaml").is_file():
            return folder / f"{path.name}.yaml"
    known = ", ".join(sorted({file.stem for folder in _shipped() for file in folder.glob("*.yaml")})) or "none"
    raise BaselineError(f"no built-in baseline is named {path.name!r} (there are: {known}); a path ends in .yaml")


def is_built_in(spec: str) -> bool:
    """Whether a baseline's name stands for one that ships with the package, and not for a file of the project."""
    return _is_name(spec) and any((folder / f"{spec}.yaml").is_file() for folder in _shipped())


def _is_name(spec: str | os.PathLike[str]) -> bool:
    """Whether a baseline is given by its name and not by a path."""
    path = Path(spec)
    return not path.suffix and not path.is_file() and os.fspath(spec) == path.name


def is_installed(path: Path) -> bool:
    """Whether a file lies among the installed package's own baselines."""
    return path.resolve().parent == INSTALLED


def read(path: Path) -> str:
    """Return the file's text.

    Raises:
        BaselineError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BaselineError(f"{shown(path)}:1: not UTF-8 text (byte {error.start}); restore the file") from None
    except OSError as error:
        raise BaselineError(f"{shown(path)}: cannot be read ({error.strerror}); give another baseline") from None


def shown(path: Path) -> str:
    """Return the path below the working directory, or the file's name where it lies elsewhere."""
    try:
        return Path(os.path.realpath(path)).relative_to(os.path.realpath(os.curdir)).as_posix()
    except ValueError:
        return path.name


def parse(text: str, file: str) -> Document:
    """Read a baseline or a candidate.

    Args:
        text: The file's content.
        file: How messages name it.

    Raises:
        BaselineError: A syntax error, a tab, a merge conflict, a key that stands twice, an unknown name or a value of
            the wrong type.
    """
    for line, content in enumerate(text.split("\n"), 1):
        if _CONFLICT.match(content):
            raise BaselineError(f"{file}:{line}: a merge conflict marker; resolve the conflict first")
        if "\t" in content:
            raise BaselineError(f"{file}:{line}: a tab; indent with spaces")
    return Reader(file).document(_node(_compose(text, file), file, set()))


_parsed = lru_cache(maxsize=8)(parse)  # every helper of a gate loads its baseline


def comments(text: str) -> list[tuple[int, str]]:
    """Return every remark of a YAML text as (line, words); a # inside a string starts none."""
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


def _node(node: yaml.Node, file: str, seen: set[int]) -> Node:
    """Convert YAML's node; an alias would make one line stand for several entries and is refused."""
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise BaselineError(f"{file}:{line}: an anchor with an alias; write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        pairs = tuple((_node(key, file, seen), _node(value, file, seen)) for key, value in node.value)
        return Node("map", line, pairs=pairs)
    if isinstance(node, yaml.SequenceNode):
        return Node("list", line, items=tuple(_node(item, file, seen) for item in node.value))
    return Node(node.tag.rpartition(":")[2], line, text=str(node.value))


def _shipped() -> list[Path]:
    """Return the folders where the wheel puts the baselines and where an editable checkout has them."""
    checkout = INSTALLED.parent.parent / "baselines"
    return [folder for folder in (INSTALLED, checkout) if folder.is_dir()]


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
    except RecursionError:
        raise BaselineError(f"{file}:1: nested far too deeply for a baseline; restore the file") from None
    if root is None:
        raise BaselineError(f"{file}:1: the file is empty; delete it, or restore it from version control")
    return root
