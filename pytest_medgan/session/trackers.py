"""Hand the values of a run to experiment trackers: MLflow, W&B, or another of the entry points `medgan_loggers`.

Nothing is sent unless a tracker is asked for by name. What it receives holds no path of the studies and no patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import Verdict
    from pytest_medgan.session.findings import Model

GROUP = "medgan_loggers"  # entry points; each names a Logger


@dataclass(frozen=True)
class LoggedModel:
    """What a tracker receives of one model, once at the end of a run."""

    name: str  # that tables show
    parameters: Mapping[str, str]  # what the values depend on: extractor, seeds, counts of images, ...
    values: Mapping[str, float]  # "fid", "fid.se", "fid.real", "fid.limit", ... at the largest look
    tags: Mapping[str, str]  # "verdict", "fid.verdict", "model", ...
    files: tuple[Path, ...]  # reports; none where they show real images


Logger = Callable[[LoggedModel], None]


def load_loggers(names: Iterable[str]) -> tuple[Logger, ...]:
    """Return the trackers of these names.

    Raises:
        SettingsError: There is no tracker of a name, or its package is not installed.
    """
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    loggers: list[Logger] = []
    for name in names:
        if name not in offered:
            raise SettingsError(
                f"--medgan-log: {name!r} is no tracker. Choose {', '.join(sorted(offered))}, or install its package."
            )
        try:
            loggers.append(offered[name].load())
        except ImportError as error:
            raise SettingsError(
                f"--medgan-log: {name} needs a package that is not installed ({error.name}). "
                f"Install it by pip install 'pytest-medgan[{name}]'."
            ) from None
    return tuple(loggers)


def logged_model(model: Model, files: tuple[Path, ...] = ()) -> LoggedModel:
    """Return what trackers receive of a model: its values at the largest look, and its verdicts.

    Args:
        model: What the tests found.
        files: Reports to keep with it.
    """
    found = model.findings
    values: dict[str, float] = {}
    tags = {"verdict": overall_outcome(model), "model": found.identity or "unknown"}
    if found.looks:
        largest = max(found.looks)
        scores, real = found.looks[largest], found.real.get(largest)
        for name in scores.metrics:
            values[name], values[f"{name}.se"] = scores[name].mean, scores[name].se
            if real is not None and name in real.metrics:
                values[f"{name}.real"] = real[name].mean
    for verdict in sorted((judged.verdict for judged in model.verdicts), key=_severity, reverse=True):
        tags[f"{verdict.metric.name}.verdict"] = str(verdict.outcome)  # of several the worst, which comes last
        if verdict.bound is not None:
            values[f"{verdict.metric.name}.limit"] = verdict.bound
    parameters = {
        "extractor": found.extractor,
        "numeric_class": found.numeric_class,
        "seeds": ",".join(map(str, found.seeds)),
        "images_per_group": str(max(found.looks, default=0)),
        "reference_images": str(found.data.reference),
        "data": found.data.collection or found.data.source,
        "split": found.data.split,
        "crop": found.data.crop,
    }
    known = {name: value for name, value in values.items() if isfinite(value)}
    return LoggedModel(found.name, parameters, known, tags, files)


def overall_outcome(model: Model) -> str:
    """Return "PASS" where every verdict is green, else the worst outcome; "none" without any."""
    counted = [judged.verdict for judged in model.verdicts if not judged.verdict.forgiven]
    worst = min(counted, key=_severity, default=None)
    if worst is None:
        return "none"
    return "PASS" if worst.outcome.green else str(worst.outcome)


def _severity(verdict: Verdict) -> int:
    """Return the place of a verdict's outcome among all, the worst first."""
    from pytest_medgan.report.record import SEVERITY

    return SEVERITY.index(str(verdict.outcome))
