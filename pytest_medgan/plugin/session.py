"""What one pytest session of ours holds: its options, its store, and what each test found."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.plugin.options import RunOptions, run_options
from pytest_medgan.plugin.progress import TerminalProgress

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, Workbench

SESSION = pytest.StashKey["MedganSession"]()
OPENED = pytest.StashKey[list["ModelEvaluation"]]()
VERDICTS = pytest.StashKey[list[dict[str, Any]]]()


class MedganSession:
    """Made when the session is configured; loads nothing heavy before a test asks."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.options: RunOptions = run_options(config)

    @cached_property
    def bench(self) -> Workbench:
        from pytest_medgan.evaluate import Workbench

        options = self.options
        return Workbench(options.cache_dir, options.device, TerminalProgress(self._config))

    def opened(self, item: pytest.Item, evaluation: ModelEvaluation) -> None:
        """Remembers that the test looked at this evaluation."""
        evaluations = item.stash.setdefault(OPENED, [])
        if evaluation not in evaluations:
            evaluations.append(evaluation)


def session_of(config: pytest.Config) -> MedganSession:
    """The session's holder."""
    return config.stash[SESSION]
