"""The pytest plugin: hooks here, options, fixtures, session, collector, summary and progress in files of their own.

Loading it imports neither torch nor pydicom nor numpy: a project with no medgan test pays for an argument parser.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.errors import MedganError, SettingsError
from pytest_medgan.plugin import hookspecs
from pytest_medgan.plugin.collector import PROPERTY, model_payload
from pytest_medgan.plugin.controller import Controller
from pytest_medgan.plugin.fixtures import (
    _medgan_models,
    medgan_baseline,
    medgan_embed,
    medgan_extractor,
    medgan_generator,
    medgan_real,
    medgan_real_row,
    medgan_scores,
    medgan_settings,
    medgan_train,
)
from pytest_medgan.plugin.options import MARKERS, add_options
from pytest_medgan.plugin.reports import keep_evidence
from pytest_medgan.plugin.rootdir import check_rootdir
from pytest_medgan.plugin.session import OPENED, SESSION, SHARED, VERDICTS, MedganSession, session_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation

SHARED_FOLDER = pytest.StashKey[str | None]()  # None where none could be made

__all__ = [
    "_medgan_models",
    "medgan_baseline",
    "medgan_embed",
    "medgan_extractor",
    "medgan_generator",
    "medgan_real",
    "medgan_real_row",
    "medgan_scores",
    "medgan_settings",
    "medgan_train",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        check_rootdir(config)
        config.stash[SESSION] = MedganSession(config)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    if not hasattr(config, "workerinput"):  # only the controller writes files and the summary
        config.pluginmanager.register(Controller(config), "medgan-controller")
    if config.stash[SESSION].options.gpu:
        if getattr(config.option, "dist", "no") == "load":
            config.option.dist = "loadgroup"  # so that one worker alone holds the GPU
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError(
                "--medgan-gpu: no CUDA device is usable here; leave the option out to run on the CPU, "
                "or run on a machine with a GPU and a CUDA build of torch"
            )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist starts a worker: all of one run get one folder for the scores they have in common.

    It is the system's temporary one: whether any test is ours is not known yet, and the project's may not be writable.
    """
    stash = node.config.stash
    if SHARED_FOLDER not in stash:
        try:
            stash[SHARED_FOLDER] = tempfile.mkdtemp(prefix="medgan-session-")
        except OSError:
            stash[SHARED_FOLDER] = None  # every worker computes for itself
    if stash[SHARED_FOLDER] is not None:
        node.workerinput[SHARED] = stash[SHARED_FOLDER]


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(SHARED_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> list[str]:
    options = session_of(config).options
    words = [f"device {options.device}"]
    if options.report_only:
        words.append("REPORT ONLY: verdicts are shown and fail nothing")
    if options.full:
        words.append("every look is computed")
    return [f"medgan: {', '.join(words)}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked medgan_gpu run under --medgan-gpu alone, and with pytest-xdist on one worker."""
    gpu = session_of(config).options.gpu
    for item in items:
        if item.get_closest_marker("medgan_gpu") is None:
            continue
        if not gpu:
            item.add_marker(pytest.mark.skip(reason="needs a GPU: run with --medgan-gpu"))
        elif config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group("medgan_gpu"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Listens to the assertion helpers while the test runs, then hands over what it found."""
    try:
        with session_of(item.config).listening(item):
            result = yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise  # who wants to stop does not want one more table
    except BaseException:
        _hand_over(item)
        raise
    _hand_over(item)
    return result


def _hand_over(item: pytest.Item) -> None:
    """Puts the findings where the controller takes them; what goes wrong here must not hide how the test ended."""
    try:
        payload = _findings(item)
    except Exception as error:
        payload = {"terminal": [f"{item.nodeid}: its findings are lost ({type(error).__name__}: {error})"]}
    if payload:
        item.user_properties.append((PROPERTY, payload))


def _findings(item: pytest.Item) -> dict[str, Any]:
    """What the test looked at, as plain data; empty for a test that is none of ours."""
    payload: dict[str, Any] = {}
    if evaluations := item.stash.get(OPENED, []):
        verdicts = item.stash.get(VERDICTS, [])
        seen = [evaluation for evaluation in evaluations if evaluation.computed or verdicts]
        payload["models"] = [_looked_at(item, evaluation) for evaluation in seen]
        payload["verdicts"] = verdicts
    if item.get_closest_marker("medgan_gpu") is not None:
        payload["gpu"] = True
    # nothing but plain types may reach a worker's channel: numpy's own floats would break it
    plain: dict[str, Any] = json.loads(json.dumps(payload))
    return plain


def _looked_at(item: pytest.Item, evaluation: ModelEvaluation) -> dict[str, Any]:
    """A model as plain data, with the place of its pictures where reports were asked for."""
    options = session_of(item.config).options
    plain = model_payload(evaluation)
    return (
        {**plain, "evidence": keep_evidence(evaluation, options)} if options.reports and evaluation.computed else plain
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Our own errors are one line in every report; the file they concern goes to the terminal alone."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, MedganError):
        report.longrepr = f"medgan: {error}"
        if error.file is not None:
            item.user_properties.append((PROPERTY, {"terminal": [f"{item.nodeid}: {error.for_terminal()}"]}))
            report.user_properties = list(item.user_properties)
    return report
