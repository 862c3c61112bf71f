"""The pytest plugin. The hooks are here; options, fixtures, state, channel and controller have files of their own.

Loading it imports neither torch nor pydicom nor numpy: a project without medgan tests pays only for the declaration of
the options.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_medgan.errors import MedganError, SettingsError
from pytest_medgan.plugin import hookspecs
from pytest_medgan.plugin.channel import forget, hand_over, hand_over_line
from pytest_medgan.plugin.controller import Controller
from pytest_medgan.plugin.earlier import SCORES, Earlier
from pytest_medgan.plugin.fixtures import (
    _medgan_inputs,
    _medgan_models,
    _medgan_subject,
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
from pytest_medgan.plugin.rootdir import check_rootdir
from pytest_medgan.plugin.state import SHARED, STATE, VERDICTS, PluginState, state_of

SHARED_FOLDER = pytest.StashKey[str | None]()  # None where none could be made

__all__ = [
    "_medgan_inputs",
    "_medgan_models",
    "_medgan_subject",
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
    """Declare the options and ini keys."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that a project may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, check the options and prepare the session's state."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        check_rootdir(config)
        config.stash[STATE] = PluginState(config)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(Earlier(config), "medgan-earlier")
    if not hasattr(config, "workerinput"):  # only the controller writes files and the summary
        config.pluginmanager.register(Controller(config), "medgan-controller")
    if config.stash[STATE].options.gpu:
        if getattr(config.option, "dist", "no") in ("load", "worksteal"):
            config.option.dist = "loadgroup"  # so that one worker alone holds the GPU
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError(
                "--medgan-gpu needs a CUDA device, and torch finds none. Leave the option out to run on the CPU, "
                "or use a machine with a GPU and a CUDA build of torch."
            )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the workers of pytest-xdist one folder for the scores they share.

    The folder is made in the system's temporary directory, because it is not known yet whether any test uses the
    plugin, and because the project's folder may not be writable.
    """
    stash = node.config.stash
    if SHARED_FOLDER not in stash:
        try:
            stash[SHARED_FOLDER] = tempfile.mkdtemp(prefix="medgan-session-")
        except OSError:
            stash[SHARED_FOLDER] = None  # every worker then computes all scores itself
    if stash[SHARED_FOLDER] is not None:
        node.workerinput[SHARED] = stash[SHARED_FOLDER]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder that the workers shared."""
    folder = config.stash.get(SHARED_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show the device and the options that change what a green run means."""
    options = state_of(config).options
    words = [f"device {options.device}"]
    if options.report_only:
        words.append("REPORT ONLY: verdicts are shown and fail nothing")
    if options.full:
        words.append("every look is computed")
    return [f"medgan: {', '.join(words)}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests marked medgan_gpu without --medgan-gpu; with it, run them on one worker of pytest-xdist."""
    gpu = state_of(config).options.gpu
    for item in items:
        if item.get_closest_marker("medgan_gpu") is None:
            continue
        if not gpu:
            item.add_marker(pytest.mark.skip(reason="needs a GPU: run with --medgan-gpu"))
        elif config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group("medgan_gpu"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record the verdicts that fixtures of the test reach. Where one of them fails, they are handed over at once."""
    forget(item)  # a test that a plugin runs again must not hand over what it found before
    if SCORES not in getattr(item, "fixturenames", ()):
        return (yield)
    with _handing_over(item, in_setup=True):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record the verdicts of the test, then hand over what it found."""
    with _handing_over(item):
        result = yield
    hand_over(item)
    return result


@contextmanager
def _handing_over(item: pytest.Item, *, in_setup: bool = False) -> Iterator[None]:
    """Record verdicts, and hand over what was found where an exception ends the phase.

    Fixtures that fail before a verdict is reached hand over nothing: the test did not run.
    """
    try:
        with state_of(item.config).recording(item, in_setup=in_setup):
            yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise  # a run that is stopped ends at once, without its findings
    except BaseException:
        if item.stash.get(VERDICTS, []) or not in_setup:
            hand_over(item)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Forget what a test looked at once it has ended: pytest keeps every item until the session ends."""
    result = yield
    if forget(item):
        state_of(item.config).collect_garbage()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the plugin's own errors as one line in every report; only the terminal names the file concerned."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, MedganError):
        report.longrepr = f"medgan: {error}"
        if error.file is not None:
            hand_over_line(item, f"{item.nodeid}: {error.for_terminal()}")
            report.user_properties = list(item.user_properties)
    return report
