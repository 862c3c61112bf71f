"""What one pytest session of ours holds: its options, its store, and what each test found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.candidates import accept_command
from pytest_medgan.plugin.options import RunOptions, run_options
from pytest_medgan.plugin.progress import TerminalProgress

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, Workbench
    from pytest_medgan.evaluate.shared import SharedScores
    from pytest_medgan.metrics import CustomMetric
    from pytest_medgan.records import Verdict

SESSION = pytest.StashKey["MedganSession"]()
OPENED = pytest.StashKey[list["ModelEvaluation"]]()
VERDICTS = pytest.StashKey[list[dict[str, Any]]]()
ASSERTIONS = "pytest_medgan.gate.assertions"
SHARED = "medgan_shared"  # how a worker is told of the folder that all of them share


class MedganSession:
    """Made when the session is configured; loads nothing heavy before a test asks."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.options: RunOptions = run_options(config)

    @cached_property
    def bench(self) -> Workbench:
        from pytest_medgan.evaluate import Workbench

        options = self.options
        return Workbench(
            cache_dir=options.cache_dir,
            cache_limit=options.cache_limit,
            device=options.device,
            custom=self.custom,
            progress=TerminalProgress(self._config),
            evidence=bool(options.reports),
            sweep=bool({"html", "md"} & set(options.reports)),
        )

    @cached_property
    def shared(self) -> SharedScores | None:
        """Scores that the workers of one run of pytest-xdist have in common; None where there is one process."""
        folder = getattr(self._config, "workerinput", {}).get(SHARED)
        if folder is None:
            return None
        from pytest_medgan.evaluate.shared import SharedScores

        return SharedScores(Path(folder))

    @cached_property
    def custom(self) -> tuple[CustomMetric, ...]:
        """The metrics that conftest files and other plugins register through pytest_medgan_metrics."""
        given = [metric for metrics in self._config.hook.pytest_medgan_metrics() for metric in metrics]
        names = [custom.metric.name for custom in given]
        if taken := sorted({name for name in names if name in METRICS or names.count(name) > 1}):
            raise SettingsError(f"pytest_medgan_metrics: the name {taken[0]!r} is taken; choose another")
        return tuple(given)

    @contextmanager
    def listening(self, item: pytest.Item) -> Iterator[None]:
        """While it lasts, the assertion helpers follow the session's options, and their verdicts on `medgan_scores` are
        noted with the test that caused them."""
        evaluations = item.stash.setdefault(OPENED, [])
        if not evaluations and ASSERTIONS not in sys.modules:  # not loaded for a test that cannot need them
            yield
            return
        from pytest_medgan.gate.assertions import GateContext, context

        verdicts = item.stash.setdefault(VERDICTS, [])

        before = context.get() or GateContext()  # what a fixture of the project's own may have set

        def hear(verdict: Verdict) -> None:
            if evaluations:  # the test may have asked for its scores only after it had begun
                verdicts.append({**verdict.as_dict(), "model": evaluations[0].key})
            elif before.listener is not None:
                before.listener(verdict)

        command = accept_command(self.options.report_dir, evaluations[0].name) if evaluations else before.accept_command
        token = context.set(
            replace(
                before,
                listener=hear,
                accept_command=command,
                report_only=before.report_only or self.options.report_only,
                metrics={**before.metrics, **{custom.metric.name: custom.metric for custom in self.custom}},
            )
        )
        try:
            yield
        except AssertionError:
            self._complete(evaluations)
            raise
        else:
            self._complete(evaluations)
        finally:
            context.reset(token)

    def _complete(self, evaluations: list[ModelEvaluation]) -> None:
        """Under --medgan-full, every look that the verdict did not need."""
        if self.options.full:
            for evaluation in evaluations:
                for n in evaluation.counts:
                    evaluation.at(n)

    def opened(self, item: pytest.Item, evaluation: ModelEvaluation) -> None:
        """Remembers that the test looked at this evaluation."""
        evaluations = item.stash.setdefault(OPENED, [])
        if evaluation not in evaluations:
            evaluations.append(evaluation)


def session_of(config: pytest.Config) -> MedganSession:
    """The session's holder."""
    return config.stash[SESSION]
