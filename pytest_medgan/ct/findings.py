"""Record which files of a source are not used, and the warnings that a reader of the results needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pytest_medgan.errors import DataError

LEAK = "possible leakage"  # first words of a warning; split=patient raises LeakageError for it


class Findings:
    """A record of files that are not used, and of warnings.

    Args:
        strict: Raise an error where a damaged or unsuitable file would otherwise be passed over.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._skipped: dict[str, list[str]] = defaultdict(list)  # reason -> files
        self._passed_over: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._named: dict[str, list[str]] = defaultdict(list)

    def skip(self, reason: str, files: Iterable[str]) -> None:
        """Record intact files that are not needed."""
        self._skipped[reason] += files

    def pass_over(self, error: DataError, reason: str, files: Iterable[str] | None = None) -> None:
        """Record damaged or unsuitable files that are not needed.

        Args:
            error: The error to raise if reading is strict.
            reason: What the files are, as the counts name them.
            files: The files; None takes the file of `error`.

        Raises:
            DataError: Reading is strict.
        """
        if self._strict:
            raise error
        passed = list(files) if files is not None else [error.file or ""]
        self._skipped[reason] += passed
        self._passed_over[reason] += len(passed)

    def pass_over_part(self, error: DataError, what: str) -> None:
        """Record a damaged or unsuitable part of a used file; raise `error` if reading is strict."""
        if self._strict:
            raise error
        self._passed_over[what] += 1
        self._named[what].append(error.file or "")

    def warn(self, text: str) -> None:
        """Add a warning; it must not contain a path or an identifier of a patient."""
        self._warnings.append(text)

    def add_names(self, what: str, values: Iterable[str]) -> None:
        """Add names that only the terminal may show."""
        self._named[what] += values

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning; the first one counts what was passed over."""
        if not self._passed_over:
            return tuple(self._warnings)
        parts = ", ".join(f"{count} {reason}" for reason, count in sorted(self._passed_over.items()))
        return (f"passed over: {parts}", *self._warnings)

    @property
    def counts(self) -> dict[str, int]:
        """Reason -> number of files that are not used."""
        return {f"skipped: {reason}": len(files) for reason, files in sorted(self._skipped.items()) if files}

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """Reason -> files or names, to be shown on the terminal only."""
        found = {reason: tuple(sorted(files)) for reason, files in self._skipped.items() if files}
        return found | {what: tuple(sorted(set(values))) for what, values in self._named.items()}
