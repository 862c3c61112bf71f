"""What is passed over and what is remarkable while a source is read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pytest_medgan.errors import DataError

LEAK = "possible leakage"  # how a warning begins that split=patient turns into a LeakageError


class Findings:
    """A record of every file that is not used and of every fact a reader must know.

    Args:
        strict: Raise for whatever would otherwise be passed over because it is damaged or does not fit.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._skipped: dict[str, list[str]] = defaultdict(list)  # reason -> files
        self._excused: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._named: dict[str, list[str]] = defaultdict(list)

    def skip(self, reason: str, files: Iterable[str]) -> None:
        """Count files that are sound and not needed."""
        self._skipped[reason] += files

    def excuse(self, error: DataError, reason: str, files: Iterable[str] | None = None) -> None:
        """Pass over what does not fit and does not matter.

        Args:
            error: What strict reading raises.
            reason: What the files are, for counts.
            files: The files; None for the error's own.

        Raises:
            DataError: Reading is strict.
        """
        if self._strict:
            raise error
        passed = list(files) if files is not None else [error.file or ""]
        self._skipped[reason] += passed
        self._excused[reason] += len(passed)

    def forgive(self, error: DataError, what: str) -> None:
        """Note a part of a used file that does not fit; raise the error where reading is strict."""
        if self._strict:
            raise error
        self._excused[what] += 1
        self._named[what].append(error.file or "")

    def warn(self, text: str) -> None:
        """Add a warning; it must hold no path and nothing that names a patient."""
        self._warnings.append(text)

    def name(self, what: str, values: Iterable[str]) -> None:
        """Add names that only the terminal may show."""
        self._named[what] += values

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning, what was passed over first."""
        if not self._excused:
            return tuple(self._warnings)
        parts = ", ".join(f"{count} {reason}" for reason, count in sorted(self._excused.items()))
        return (f"passed over: {parts}", *self._warnings)

    @property
    def counts(self) -> dict[str, int]:
        """Skipped files by reason."""
        return {f"skipped: {reason}": len(files) for reason, files in sorted(self._skipped.items()) if files}

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """Reason -> the names behind it, for the terminal alone."""
        found = {reason: tuple(sorted(files)) for reason, files in self._skipped.items() if files}
        return found | {what: tuple(sorted(set(values))) for what, values in self._named.items()}
