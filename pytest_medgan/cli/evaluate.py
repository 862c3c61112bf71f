"""`medgan evaluate`: the paper's table for your own models, in one command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.evaluate.protocol import Table
    from pytest_medgan.records import Row

PUBLISHED = "nsclc_radiomics_jang2022"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command's arguments."""
    parser = subparsers.add_parser("evaluate", help="score models as the source paper does and print its table")
    parser.add_argument("--protocol", choices=["jang2022"], default="jang2022", help="the protocol (default: jang2022)")
    parser.add_argument("--data", required=True, metavar="SOURCE", help="real images, as --medgan-data of the plugin")
    parser.add_argument(
        "--model", action="append", required=True, metavar="NAME=SPEC", help="a row of the table; may be given again"
    )
    parser.add_argument(
        "--extractor", default="inception_v3,weights=imagenet", metavar="SPEC", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--beside", metavar="SPEC", help="a second feature space: its table too, and where the two rank differently"
    )
    parser.add_argument(
        "--samples", default="6080", metavar="N", help="images a sample group; 'all' takes as many as the reference has"
    )
    parser.add_argument("--seeds", default="0,1,2", metavar="SEEDS")
    parser.add_argument("--metrics", default="", metavar="NAMES", help="default: the six of the paper's Table 1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR")
    parser.add_argument("--cache-limit", metavar="SIZE", help="the most that stored features may take (default: 4G)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also store the table as JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Prints the table, measured beside published. Returns 0.

    Under torchrun (`torchrun --nproc-per-node N -m pytest_medgan evaluate ...`) the processes share the embedding, and
    the first one speaks for all.
    """
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.embedding.housekeeping import parse_size
    from pytest_medgan.embedding.sharding import processes
    from pytest_medgan.evaluate.protocol import METRICS, jang2022
    from pytest_medgan.evaluate.settings import parse_data, parse_metrics, parse_samples, parse_seeds
    from pytest_medgan.evaluate.workbench import Workbench

    pairs = [_model(text) for text in arguments.model]
    models = dict(pairs)
    if len(models) < len(pairs) or "Real" in models:
        raise SettingsError("--model: give every row a name of its own; Real is the held-out images'")
    if arguments.out is not None and not arguments.out.parent.is_dir():
        raise SettingsError("--out: the folder does not exist; make it first", file=str(arguments.out))
    limit = None if arguments.cache_limit is None else parse_size(arguments.cache_limit, "--cache-limit")
    with processes() as (rank, size), ConsoleProgress(quiet=rank > 0) as progress:
        bench = Workbench(arguments.cache_dir, arguments.device, progress=progress, cache_limit=limit)
        tables = [
            jang2022(
                parse_data(arguments.data),
                models,
                bench,
                extractor=extractor,
                samples=None if arguments.samples == "all" else parse_samples(arguments.samples),
                seeds=parse_seeds(arguments.seeds),
                metrics=parse_metrics(arguments.metrics) if arguments.metrics else METRICS,
                beside=arguments.beside,
            )
            for extractor in (arguments.extractor, arguments.beside)
            if extractor is not None
        ]
    if rank > 0:
        return 0
    _tell(tables)
    print(f"features: {bench.cache().counts}" + (f" by the first of {size} processes" if size > 1 else ""))
    if bench.trouble is not None:
        print(f"warning: {bench.trouble}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(as_json(*tables), indent=1, sort_keys=True) + "\n")
    return 0


def _tell(tables: list[Table]) -> None:
    """The tables on standard output, published figures beside the first."""
    from pytest_medgan.gate.baseline import load

    published = load(PUBLISHED)
    for line in lines(tables[0], {name: published.row(name) for name in published.rows}):
        print(line)
    for table in tables[1:]:
        print("\nbeside it, in the second feature space")
        for line in lines(table, {}):
            print(line)
        for line in ranking_lines(tables[0], table):
            print(line)


def ranking_lines(first: Table, second: Table) -> list[str]:
    """Where two feature spaces rank the rows differently, a line each; or one line that they do not."""
    from pytest_medgan.catalogue import METRICS
    from pytest_medgan.evaluate.protocol import disagreements

    found = disagreements(first, second)
    if not found:
        return ["the two feature spaces rank all rows alike"]
    return [f"RANKING DIFFERS in {METRICS[one.metric].label}, {str(one).partition(': ')[2]}" for one in found]


def lines(table: Table, published: dict[str, Row]) -> list[str]:
    """The table as text: a row a metric, a column a model, published figures of the same name beside it."""
    from pytest_medgan.catalogue import METRICS, ordered

    shown = ordered({name for scores in table.rows.values() for name in scores.metrics})
    heading = ["metric", *table.rows, *(f"{name} (published)" for name in published)]
    cells = [heading]
    for name in shown:
        measured = [str(s.metrics[name]) if name in s.metrics else "not measured" for s in table.rows.values()]
        printed = [_published(row, name) for row in published.values()]
        cells.append([f"{METRICS[name].label} {METRICS[name].arrow}", *measured, *printed])
    widths = [max(len(row[i]) for row in cells) for i in range(len(heading))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    extractor = f"features: {table.fingerprint.inputs['extractor']}"
    source = "published figures: Jang, Yoo and Hong 2022, Table 1; comparable only with the same extractor and data"
    notes = [source] if published else []
    return [*text, extractor, *notes, *table.warnings, *([table.scaled_down] if table.scaled_down else [])]


def as_json(table: Table, beside: Table | None = None) -> dict[str, object]:
    """The table as plain data, that of a second feature space and where they disagree among it."""
    from dataclasses import asdict

    from pytest_medgan.evaluate.protocol import disagreements
    from pytest_medgan.ground.plain import to_plain

    second: dict[str, object] = {}
    if beside is not None:
        found = [asdict(one) for one in disagreements(table, beside)]
        second = {"beside": as_json(beside), "disagreements": found}
    return {
        **second,
        "protocol": "jang2022",
        "samples": table.samples,
        "scaled_down": table.scaled_down,
        "warnings": list(table.warnings),
        "fingerprint": to_plain(table.fingerprint),
        "rows": {name: to_plain(scores) for name, scores in table.rows.items()},
    }


def _published(row: Row, metric: str) -> str:
    from pytest_medgan.catalogue import METRICS

    limit = row.limits.get(metric)
    if limit is None:
        return "-"
    value = next(iter(limit.values.values()))
    digits = METRICS[metric].decimals
    return f"{value.value:.{digits}f}" + (f" ± {value.sd:.{digits}f}" if value.sd else "")


def _model(text: str) -> tuple[str, str]:
    name, equals, spec = text.partition("=")
    if not (name and equals and spec):
        raise SettingsError(f"--model takes NAME=SPEC, such as dcgan=model.safetensors, not {text!r}")
    return name, spec
