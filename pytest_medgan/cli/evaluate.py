"""`medgan evaluate`: the paper's table for your own models, in one command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.evaluate.protocol import Table
    from pytest_medgan.session.options import RunOptions

PUBLISHED = "nsclc_radiomics_jang2022"
FORMATS = ("html", "md", "json")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("evaluate", help="score models as the source paper does and print its table")
    parser.add_argument("--protocol", choices=["jang2022"], default="jang2022", help="the protocol (default: jang2022)")
    parser.add_argument(
        "--data", required=True, metavar="SOURCE", help="real images, written like --medgan-data of the plugin"
    )
    parser.add_argument(
        "--model", action="append", required=True, metavar="NAME=SPEC", help="a column of the table; may be repeated"
    )
    parser.add_argument(
        "--extractor",
        default="inception_v3,weights=imagenet",
        metavar="SPEC",
        help="feature space, written like --medgan-extractor (default: %(default)s)",
    )
    parser.add_argument(
        "--beside",
        metavar="SPEC",
        help="a second feature space: print its table too, and where the two spaces rank models differently",
    )
    parser.add_argument(
        "--samples",
        default="6080",
        metavar="N",
        help="images per sample group, or 'all' for as many as the reference (default: %(default)s)",
    )
    parser.add_argument("--seeds", default="0,1,2", metavar="SEEDS", help="latent seeds (default: %(default)s)")
    parser.add_argument("--metrics", default="", metavar="NAMES", help="default: the six of the paper's Table 1")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR", help="default: .medgan")
    parser.add_argument("--cache-limit", metavar="SIZE", help="largest size of the stored features (default: 4G)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also store the table as JSON")
    parser.add_argument("--report", default="", metavar="KINDS", help="reports to write: html,md,json")
    parser.add_argument(
        "--report-dir",
        type=Path,
        default=Path("medgan-report"),
        metavar="DIR",
        help="folder of the reports (default: %(default)s)",
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the paper's figures 3, 4 and 5 as PNG files")
    parser.add_argument(
        "--report-real", action="store_true", help="show real images, which are patient data, in reports and figures"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the table of measured and published values. Return 0.

    Under torchrun (`torchrun --nproc-per-node N -m pytest_medgan evaluate ...`) the processes share the embedding, and
    the first one prints and writes.
    """
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.embedding.housekeeping import parse_size
    from pytest_medgan.embedding.sharding import processes
    from pytest_medgan.evaluate.protocol import METRICS, jang2022
    from pytest_medgan.evaluate.settings import parse_data, parse_metrics, parse_samples, parse_seeds
    from pytest_medgan.evaluate.workbench import Workbench
    from pytest_medgan.ground.files import write_text
    from pytest_medgan.ground.specs import parse_spec
    from pytest_medgan.session.paper_figures import write_figures
    from pytest_medgan.session.paper_table import table_to_plain
    from pytest_medgan.session.places import check_meaning

    models, options = _models(arguments.model), _options(arguments)
    check_meaning(arguments.data, "data", "--data")
    for spec in models.values():
        check_meaning(spec, "generator", "--model")
    for option in ("extractor", "beside"):
        if (space := getattr(arguments, option)) is not None:
            check_meaning(space, option, f"--{option}")
    data = parse_data(arguments.data, "--data")
    split = data.split if "split" in parse_spec(arguments.data, "--data").options else "slice"
    if arguments.out is not None and not arguments.out.parent.is_dir():
        raise SettingsError("--out names a folder that does not exist. Make it first.", file=str(arguments.out))
    limit = None if arguments.cache_limit is None else parse_size(arguments.cache_limit, "--cache-limit")
    with processes() as (rank, size), ConsoleProgress(quiet=rank > 0) as progress:
        bench = Workbench(
            arguments.cache_dir,
            arguments.device,
            progress=progress,
            cache_limit=limit,
            sweep=bool({"html", "md"} & set(options.reports)) or arguments.figures is not None,
        )
        tables = [
            jang2022(
                data,
                models,
                bench,
                extractor=extractor,
                samples=None if arguments.samples == "all" else parse_samples(arguments.samples, "--samples"),
                seeds=parse_seeds(arguments.seeds, "--seeds"),
                metrics=parse_metrics(arguments.metrics, "--metrics") if arguments.metrics else METRICS,
                beside=arguments.beside,
                split=split,
            )
            for extractor in (arguments.extractor, arguments.beside)
            if extractor is not None
        ]
        reports = _write_reports(tables[0], options) if options.reports and rank == 0 else ()
        if arguments.figures is not None and rank == 0:
            figures = write_figures(tables[0], arguments.figures, include_real=arguments.report_real)
        else:
            figures = ()
    if rank > 0:
        return 0
    _print_tables(tables)
    print(f"features: {bench.cache().counts}" + (f" by the first of {size} processes" if size > 1 else ""))
    if bench.trouble is not None:
        print(f"warning: {bench.trouble}")
    for path in reports:
        print(f"report: {path}")
    for path in figures:
        print(f"figure: {path}")
    if arguments.out is not None:
        write_text(arguments.out, json.dumps(table_to_plain(*tables), indent=1, sort_keys=True) + "\n")
    return 0


def _print_tables(tables: list[Table]) -> None:
    """Print the tables; the first has the published values too."""
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.session.paper_table import ranking_lines, table_lines

    published = load(PUBLISHED)
    lines = table_lines(tables[0], {name: published.row(name) for name in published.rows})
    for table in tables[1:]:
        lines += ["", "In the second feature space:", *table_lines(table, {}), *ranking_lines(tables[0], table)]
    print("\n".join(lines))


def _write_reports(table: Table, options: RunOptions) -> tuple[Path, ...]:
    """Write the run folder and the reports asked for; return the reports."""
    from pytest_medgan.session.findings import Model, findings_of
    from pytest_medgan.session.run_folder import keep_evidence, write_reports

    models = {
        evaluation.key: Model(findings_of(evaluation, evidence=keep_evidence(evaluation, options)))
        for evaluation in table.evaluations.values()
    }
    problems: list[str] = []
    reports = write_reports(models, problems, options)
    for problem in problems:
        print(f"warning: {problem}")
    return reports


def _options(arguments: argparse.Namespace) -> RunOptions:
    """Return the options of the run."""
    from pytest_medgan.session.options import RunOptions

    reports = tuple(arguments.report.replace(",", " ").split())
    if unknown := [kind for kind in reports if kind not in FORMATS]:
        raise SettingsError(f"--report takes {', '.join(FORMATS)}, not {unknown[0]!r}.")
    return RunOptions(
        cache_dir=arguments.cache_dir,
        report_dir=arguments.report_dir,
        device=arguments.device,
        reports=reports,
        report_real=arguments.report_real,
    )


def _models(texts: list[str]) -> dict[str, str]:
    """Read NAME=SPEC arguments."""
    models: dict[str, str] = {}
    for text in texts:
        name, equals, spec = text.partition("=")
        if not (name and equals and spec):
            raise SettingsError(f"--model takes NAME=SPEC, such as dcgan=model.safetensors, not {text!r}.")
        if name in models or name == "Real":
            raise SettingsError(f"--model: the name {name!r} is taken. Give every model a name of its own.")
        models[name] = spec
    return models
