"""What holds for a whole run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_medgan.session.trackers import Logger


@dataclass(frozen=True)
class RunOptions:
    """Devices, folders and reports of one run."""

    cache_dir: Path  # features, prepared images, samples of earlier models
    report_dir: Path  # candidates, scores and reports
    device: str = "cpu"
    cache_limit: int | None = None  # bytes of stored features; None: the store's own
    reports: tuple[str, ...] = ()  # of "html", "md", "json"
    gpu: bool = False  # a GPU was asked for, so a run without one must not pass
    full: bool = False  # compute every look
    report_only: bool = False  # show verdicts and fail nothing
    report_real: bool = False  # reports may show real images
    loggers: tuple[Logger, ...] = ()  # trackers that receive the values
