"""The source paper's table as text and as plain data, with the published figures beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.evaluate.protocol import Table, disagreements
from pytest_medgan.ground.plain import to_plain
from pytest_medgan.records import Row, Score

OWN = "measured here"  # stands over the columns of this run
PAPER = "the paper's own figures, on NSCLC-Radiomics"  # stands over the published columns
SOURCE = (
    "The columns (paper) are Table 1 of Jang, Yoo and Hong 2022: its models and its data, not yours. They can be "
    "compared with yours only where data and extractor are the same."
)


def table_lines(table: Table, published: Mapping[str, Row]) -> list[str]:
    """Return the table as text: one row per metric, one column per model.

    Args:
        table: What was measured.
        published: Name -> published row, for further columns.
    """
    shown = ordered({name for scores in table.rows.values() for name in scores.metrics})
    heading = ["metric", *table.rows, *(f"{name} (paper)" for name in published)]
    cells = [heading]
    for name in shown:
        looks = table.rows.values()
        measured = [_cell(look.metrics[name], name) if name in look.metrics else "not measured" for look in looks]
        printed = [_published_cell(row, name) for row in published.values()]
        cells.append([f"{METRICS[name].label} {METRICS[name].arrow}", *measured, *printed])
    widths = [max(len(row[i]) for row in cells) for i in range(len(heading))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    if published:
        own = sum(widths[1 : 1 + len(table.rows)]) + 2 * len(table.rows)
        text.insert(0, f"{'':{widths[0] + 2}}{OWN:{own}}{PAPER}")
    features = f"features: {table.fingerprint.inputs['extractor']}"
    notes = [*([SOURCE] if published else []), *table.warnings, *([table.scaled_down] if table.scaled_down else [])]
    return [*text, features, *notes]


def ranking_lines(first: Table, second: Table) -> list[str]:
    """Return one line per metric for which two feature spaces rank the rows differently, or one line that none does."""
    found = disagreements(first, second)
    if not found:
        return ["The two feature spaces rank all rows alike."]
    return [f"RANKING DIFFERS in {METRICS[one.metric].label}, {str(one).partition(': ')[2]}" for one in found]


def table_to_plain(table: Table, second: Table | None = None) -> dict[str, Any]:
    """Return the table as plain data, with that of a second feature space and where the two disagree."""
    beside: dict[str, Any] = {}
    if second is not None:
        found = [asdict(one) for one in disagreements(table, second)]
        beside = {"beside": table_to_plain(second), "disagreements": found}
    return {
        **beside,
        "protocol": "jang2022",
        "samples": table.samples,
        "scaled_down": table.scaled_down,
        "warnings": list(table.warnings),
        "fingerprint": to_plain(table.fingerprint),
        "rows": {name: to_plain(scores) for name, scores in table.rows.items()},
    }


def _published_cell(row: Row, metric: str) -> str:
    """Return a published value with its spread, or a dash."""
    limit = row.limits.get(metric)
    if limit is None:
        return "-"
    return _cell(next(iter(limit.values.values())), metric)


def _cell(score: Score, metric: str) -> str:
    """Return a value with its spread over the sample groups, where there is one."""
    digits = METRICS[metric].decimals
    return f"{score.mean:.{digits}f}" + (f" ± {score.sd:.{digits}f}" if score.sd > 0 else "")
