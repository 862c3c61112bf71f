"""Read the command line, the ini keys and the markers into Settings.

Precedence: marker, overridden fixture, command line, ini, default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.markers import marker_values
from pytest_medgan.plugin.precedence import chosen_model, given, located_value, value_of
from pytest_medgan.session.candidates import NEW_BASELINE
from pytest_medgan.session.options import RunOptions
from pytest_medgan.session.places import located

if TYPE_CHECKING:
    from pytest_medgan.evaluate.settings import Settings
    from pytest_medgan.session.trackers import Logger

# (name, metavar, help); each is an option --medgan-NAME and an ini key medgan_NAME
SETTINGS = (
    (
        "data",
        "SOURCE",
        "real images: a folder of DICOM studies, pictures or volumes, an .npz, or 'phantom'; options follow as "
        ",key=value",
    ),
    (
        "generator",
        "SPEC",
        "a checkpoint, an exported model (.pt2, .pt, .onnx), package.module:name, a diffusers folder, or made images",
    ),
    ("runs", "SPECS", "several training runs of one recipe in place of --medgan-generator, separated by spaces"),
    ("change", "KIND", "what was changed: checkpoint (the same weights in another form) or recipe (trained anew)"),
    (
        "paired-with",
        "SPEC",
        "the accepted model, written like --medgan-generator; paired=True compares the candidate with it",
    ),
    (
        "extractor",
        "SPEC",
        "the feature space: compact (default), inception_v3, fid_inception, radimagenet:NETWORK, timm:MODEL, "
        "xrv:densenet121 (each with ,weights=FILE) or package.module:callable",
    ),
    (
        "beside",
        "SPEC",
        "a second feature space, written like --medgan-extractor; it gets a table of its own and never fails a test",
    ),
    (
        "baseline",
        "FILE",
        "the baseline file, or the name of a baseline of the package (default: medgan-baseline.yaml under the "
        "rootdir; if this file does not exist and the data are phantoms: phantom)",
    ),
    (
        "samples",
        "N",
        "images per sample group at the full count (default: the number of reference images, or of held-out images "
        "where these are somewhat fewer)",
    ),
    ("seeds", "SEEDS", "latent seeds, one sample group each (default: 0,1,2)"),
    ("metrics", "NAMES", "the metrics to measure (default: all)"),
    ("device", "DEVICE", "where networks run: cpu, cuda, cuda:1 (default: cpu)"),
    ("cache-dir", "DIR", "where features and prepared images are kept (default: .medgan under the rootdir)"),
    (
        "cache-limit",
        "SIZE",
        "largest size of the stored features, such as 500M; the oldest are removed first (default: 4G)",
    ),
    ("report", "KINDS", "reports to write after the run: html,md,json"),
    ("log", "NAMES", "trackers that receive the values at the end: mlflow, wandb (default: none)"),
    ("report-dir", "DIR", "where candidates and reports go (default: medgan-report under the rootdir)"),
)
FLAGS = (
    ("gpu", "run on CUDA, including the tests marked medgan_gpu; a usage error without a GPU"),
    ("full", "compute every look, so that the candidate can be accepted as a baseline"),
    ("report-only", "show verdicts and fail no test, while a team adopts a gate"),
    ("report-real", "let reports show real images; they are patient data"),
)
MARKERS = (
    "medgan(name=, data=, generator=, runs=, change=, paired_with=, extractor=, beside=, baseline=, samples=, seeds=, "
    "metrics=): what this test measures; it overrides the command line",
    "medgan_gpu: needs a CUDA device; runs only under --medgan-gpu",
)
OWN_BASELINE = NEW_BASELINE  # under the rootdir, where no baseline is named


def add_options(parser: pytest.Parser) -> None:
    """Declare every option of the group medgan and its ini key."""
    group = parser.getgroup("medgan", "regression tests for generative models of medical images")
    for name, metavar, text in SETTINGS:
        group.addoption(f"--medgan-{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"medgan_{name.replace('-', '_')}", f"{text} (as --medgan-{name})", default=None)
    for name, text in FLAGS:
        group.addoption(f"--medgan-{name}", action="store_true", default=False, help=text)


def run_options(config: pytest.Config) -> RunOptions:
    """Return the session's options, checked.

    Raises:
        SettingsError: Options contradict one another or a value cannot be used.
    """
    gpu = bool(config.getoption("--medgan-gpu"))
    device = value_of(config, "device") or ("cuda" if gpu else "cpu")
    if gpu and device.startswith("cpu"):
        raise SettingsError("--medgan-gpu and --medgan-device=cpu contradict one another. Leave one out.")
    reports = tuple(part for part in (value_of(config, "report") or "").replace(",", " ").split())
    if unknown := [kind for kind in reports if kind not in ("html", "md", "json")]:
        raise SettingsError(f"--medgan-report takes html, md and json, not {unknown[0]!r}.")
    root, limit = config.rootpath, value_of(config, "cache-limit")
    return RunOptions(
        device=device,
        cache_dir=root / (value_of(config, "cache-dir") or ".medgan"),
        cache_limit=None if limit is None else _size(limit),
        report_dir=root / (value_of(config, "report-dir") or "medgan-report"),
        reports=reports,
        gpu=gpu,
        full=bool(config.getoption("--medgan-full")),
        report_only=bool(config.getoption("--medgan-report-only")),
        report_real=bool(config.getoption("--medgan-report-real")),
        loggers=_loggers(value_of(config, "log")),
    )


def _loggers(names: str | None) -> tuple[Logger, ...]:
    """Return the trackers of a list of names."""
    if names is None:
        return ()
    from pytest_medgan.session.trackers import load_loggers

    return load_loggers(names.replace(",", " ").split())


def _size(text: str) -> int:
    """Return a size in bytes."""
    from pytest_medgan.embedding.housekeeping import parse_size  # loads numpy, so only where a limit is set

    return parse_size(text)


def settings_for(item: pytest.Item) -> Settings:
    """Return the test's Settings: marker, then command line, then ini, then default."""
    from pytest_medgan.evaluate import settings as reading
    from pytest_medgan.records import DataSettings

    config, marker = item.config, marker_values(item)
    settings = reading.Settings()
    if (data := located_value(config, marker, "data")) is not None:
        if not isinstance(data, str | Path | DataSettings):
            raise SettingsError(
                f"The marker medgan takes data= as text or DataSettings, not {type(data).__name__}. Write it as on "
                "the command line."
            )
        settings = replace(settings, data=data if isinstance(data, DataSettings) else reading.parse_data(str(data)))
    generator, runs = chosen_model(config, marker)
    settings = replace(settings, generator=generator, runs=runs)
    for name in ("paired_with", "extractor", "beside", "baseline"):
        if (value := located_value(config, marker, name)) is not None:
            settings = replace(settings, **{name: value})
    if (change := given(config, marker, "change").value) is not None:
        settings = replace(settings, change=reading.parse_change(str(change)))
    if (samples := given(config, marker, "samples").value) is not None:
        settings = replace(settings, samples=reading.parse_samples(str(samples)))
    if (seeds := given(config, marker, "seeds").value) is not None:
        settings = replace(settings, seeds=reading.parse_seeds(_listed(seeds)))
    if (metrics := given(config, marker, "metrics").value) is not None:
        settings = replace(settings, metrics=reading.parse_metrics(_listed(metrics)))
    if settings.baseline is None:
        ships = settings.data.source.split(":")[0] == "phantom" and not (config.rootpath / OWN_BASELINE).is_file()
        own = located(OWN_BASELINE, config.rootpath, "baseline")
        settings = replace(settings, baseline="phantom" if ships else own)
    return settings


def _listed(value: Any) -> str:
    """Return a marker's list, number or string as the command line would write it."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return ",".join(str(part) for part in value)
