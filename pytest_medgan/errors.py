"""The exceptions, one tree.

MedganError
 +-- SettingsError      an option, marker or ini value cannot be used
 +-- DataError          images or studies cannot be read as asked
 |    +-- LeakageError  one patient stands on both sides of a split
 +-- CheckpointError    a generator cannot be loaded, saved or sampled
 +-- TrainingError      a training run cannot start, or diverged
 +-- ExtractorError     a feature extractor cannot be loaded or misbehaves
 +-- MetricInputError   an array handed to a metric is not what the metric needs (also a ValueError)
 +-- BaselineError      a baseline file is missing, malformed or must not be changed
 +-- OutputError        a file or folder cannot be written

Every message is one line of three parts: the subject, the problem, the action. It holds no path, because reports and
JUnit files carry messages, and folder names of studies are often patient identifiers. The file, relative to the data
root, travels beside the message in `file`, and only the terminal shows it (`for_terminal`).
"""

from __future__ import annotations

from pytest_medgan.ground.terminal import printable


class MedganError(Exception):
    """Base of every error that the package raises on purpose."""

    def __init__(self, message: str, *, file: str | None = None) -> None:
        """Make the error.

        Args:
            message: Subject, problem and action, without any path; white space is folded to one line.
            file: The file it concerns, relative to the data root or as the user typed it, for the terminal only.
        """
        super().__init__(" ".join(message.split()))
        self.file = file

    def for_terminal(self) -> str:
        """Return the message with its file in front and control characters escaped; never write it to a report."""
        return printable(f"{self.file}: {self}" if self.file else str(self))


class SettingsError(MedganError):
    """An option, marker or ini value cannot be used."""


class DataError(MedganError):
    """Images or studies cannot be read as asked."""


class LeakageError(DataError):
    """One patient stands on both sides of a split that excludes it."""


class CheckpointError(MedganError):
    """A generator cannot be loaded, saved or sampled."""


class TrainingError(MedganError):
    """A training run cannot start, or diverged."""


class ExtractorError(MedganError):
    """A feature extractor cannot be loaded or misbehaves."""


class MetricInputError(MedganError, ValueError):
    """An array handed to a metric is not what the metric needs; the message names the argument and its shape."""


class BaselineError(MedganError):
    """A baseline file is missing, malformed or must not be changed; the message names file and line.

    A baseline is the project's own file and holds no patient data, so its name may stand in the message.
    """


class OutputError(MedganError):
    """A file or folder cannot be written: the disk is full or read-only, or permission is missing."""
