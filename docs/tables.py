"""Tables of the reference, made from the options, the parsers and the catalogue of the package."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import yaml

from pytest_medgan.catalogue import METRICS
from pytest_medgan.cli import COMMANDS
from pytest_medgan.embedding import spec as extractor_spec
from pytest_medgan.evaluate import settings as data_spec
from pytest_medgan.ground.specs import Option
from pytest_medgan.plugin.options import FLAGS, MARKERS, SETTINGS
from pytest_medgan.records import DataSettings

NEEDS = {"probabilities": "class probabilities", "train": "the model's training images", "pixels": "pixels"}


def options() -> str:
    """Return the plugin's options."""
    valued = [(f"`--medgan-{n}={v}`", f"`medgan_{n.replace('-', '_')}`", text) for n, v, text in SETTINGS]
    flags = [(f"`--medgan-{name}`", "", text) for name, text in FLAGS]
    return _table(("option", "ini key", "what it does"), [*valued, *flags])


def markers() -> str:
    """Return the markers."""
    return _table(("marker", "what it does"), [_marker(text) for text in MARKERS])


def data_keys() -> str:
    """Return the keys behind `,` in --medgan-data."""
    defaults = DataSettings()
    return _keys(data_spec._DATA_OPTIONS, {key: getattr(defaults, key, None) for key in data_spec._DATA_OPTIONS})


def extractor_keys() -> str:
    """Return the keys behind `,` in --medgan-extractor."""
    defaults = extractor_spec.ExtractorSpec("NAME")
    return _keys(extractor_spec._OPTIONS, {key: getattr(defaults, key, None) for key in extractor_spec._OPTIONS})


def commands() -> str:
    """Return every command with its arguments."""
    parser = argparse.ArgumentParser(prog="medgan")
    subparsers = parser.add_subparsers()
    for name in COMMANDS:
        import_module(f"pytest_medgan.cli.{name}").add_parser(subparsers)
    helps = {action.dest: action.help for action in subparsers._choices_actions}
    parts = []
    for name, command in subparsers.choices.items():
        parts += [f"## medgan {name}", "", f"{_sentence(helps.get(name) or '')}", "", *_command(command), ""]
    return "\n".join(parts)


def default_extractor() -> str:
    """Return a sentence that names the default."""
    return f"Where none is named, `{data_spec.Settings().extractor}` is used."


def action() -> str:
    """Return the inputs of the action."""
    text = (Path(__file__).parents[1] / "action.yml").read_text(encoding="utf-8")
    inputs = yaml.safe_load(text)["inputs"]
    rows = [
        (f"`{name}`", one["description"], f"`{one['default']}`" if one["default"] else "")
        for name, one in inputs.items()
    ]
    return _table(("input", "what it is", "default"), rows)


def catalogue() -> str:
    """Return the catalogue of metrics."""
    rows = [
        (
            f"[{row.label}]({name}.md)",
            f"`{name}`",
            "higher" if row.higher_is_better else "lower",
            _range(row.low, row.high),
            "no" if row.free_of_n else "yes",
            ", ".join(NEEDS[need] for need in row.needs) or "features",
            row.paper,
        )
        for name, row in METRICS.items()
    ]
    heads = ("metric", "name", "better is", "range", "depends on the number of images", "needs", "defined by")
    return _table(heads, rows)


def metric(name: str) -> str:
    """Return what the catalogue knows of one metric."""
    row = METRICS[name]
    needs = ", ".join(NEEDS[need] for need in row.needs) or "features"
    facts = (
        ("name in tests and files", f"`{name}`"),
        ("better is", "higher" if row.higher_is_better else "lower"),
        ("range", _range(row.low, row.high)),
        ("expected value depends on the number of generated images", "no" if row.free_of_n else "yes"),
        ("needs", needs),
        ("defined by", row.paper),
        ("revision of its code", str(row.revision)),
    )
    return _table(("", ""), facts)


def _command(command: argparse.ArgumentParser) -> list[str]:
    """Return a command's arguments, and those of its own commands."""
    rows = []
    nested: list[str] = []
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, inner in action.choices.items():
                nested += [f"### {inner.prog}", "", _sentence(helps.get(name) or ""), "", *_command(inner), ""]
            continue
        rows.append((_argument(action), _help(action, command)))
    return [*([_table(("argument", "what it does"), rows), ""] if rows else []), *nested]


def _argument(action: argparse.Action) -> str:
    """Return how an argument is written."""
    names = ", ".join(action.option_strings) or ""
    if action.nargs == 0:
        return f"`{names}`"
    word = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"`{' '.join(filter(None, [names, str(word)]))}`"


def _help(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    """Return an argument's help, with its default where it has one that says something."""
    formatter = command._get_formatter()
    text = formatter._expand_help(action) if action.help else ""
    words = [text, "required" if action.required and action.option_strings else ""]
    if (
        "default" not in text
        and action.option_strings
        and action.default not in (None, False, "", [], argparse.SUPPRESS)
    ):
        words.append(f"default: {action.default}")
    return "; ".join(filter(None, words))


def _marker(text: str) -> tuple[str, str]:
    """Return a marker's signature and its meaning."""
    signature, _, meaning = text.partition("): ") if "): " in text else text.partition(": ")
    closed = f"{signature})" if "(" in signature else signature
    return f"`@pytest.mark.{closed}`", meaning


def _keys(known: Mapping[str, Option], defaults: Mapping[str, object]) -> str:
    """Return the keys of a specification string."""
    rows = [(f"`{key}=`", option.takes, _default(defaults.get(key))) for key, option in known.items()]
    return _table(("key", "takes", "default"), rows)


def _default(value: object) -> str:
    """Return a default as it would be written; empty where it is described with the key."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return (
            f"`{':'.join(f'{one:g}' if isinstance(one, float | int) else str(one) for one in value)}`" if value else ""
        )
    return f"`{value}`" if value != "" else ""


def _range(low: float, high: float) -> str:
    """Return a range in words."""
    if math.isinf(low) and math.isinf(high):
        return "any number"
    return f"{low:g} and above" if math.isinf(high) else f"{low:g} to {high:g}"


def _sentence(text: str) -> str:
    """Return text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Return text that cannot end a cell; in code a pipe needs no escape and would show it."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(parts))


TABLES: Mapping[str, Callable[..., str]] = {
    "action": action,
    "default_extractor": default_extractor,
    "options": options,
    "markers": markers,
    "data_keys": data_keys,
    "extractor_keys": extractor_keys,
    "commands": commands,
    "catalogue": catalogue,
    "metric": metric,
}
