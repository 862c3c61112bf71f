"""What a run is asked to do, as one frozen record, and the strings that name it on a command line."""

from __future__ import annotations

import glob
import os
import shlex
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.specs import Option, numbers, one_of, parse_spec, read_options, whole_number
from pytest_medgan.records import Change, DataSettings

LEAST_SAMPLES = 16  # images per sample group; fewer cannot decide anything


@dataclass(frozen=True)
class Settings:
    """One model against one set of real images."""

    data: DataSettings = field(default_factory=DataSettings)
    generator: str | None = None  # a checkpoint, "package.module:name", images already made
    extractor: str = "compact"
    baseline: str | None = None  # a file, or the name of one that ships with the package
    samples: int | None = None  # the full count per sample group; None: as many as there are reference images
    seeds: tuple[int, ...] = (0, 1, 2)  # one sample group each
    metrics: tuple[str, ...] = NAMES
    paired_with: str | None = None  # the accepted model, as `generator`; drawn again where a test asks for paired=True
    runs: tuple[str, ...] = ()  # several training runs of one recipe, each as `generator`, in its place
    beside: str | None = None  # a second feature space, as `extractor`; it is measured and shown, and decides nothing
    change: str | None = None  # what was changed since the baseline: "checkpoint" or "recipe"; None: by the identity


def _count_or_all(text: str) -> int | None:
    """Read a whole number, or "all" as None."""
    return None if text == "all" else whole_number(1)(text)


def _names(text: str) -> tuple[str, ...]:
    """Read names separated by colons, none of them empty: patients of unknown histology would fit it."""
    return tuple(_name(part) for part in text.split(":"))


def _name(text: str) -> str:
    """Read a name."""
    if not text.strip():
        raise ValueError("empty")
    return text.strip()


def _channels(text: str) -> int:
    """Read a number of channels."""
    return int(one_of("1", "3")(text))


def _yes_or_no(text: str) -> bool:
    """Read "yes" or "no"."""
    return one_of("yes", "no")(text) == "yes"


_DATA_OPTIONS = {
    "split": Option(one_of("patient", "slice"), "patient or slice"),
    "fractions": Option(numbers(3), "three shares such as 0.5:0.25:0.25"),
    "seed": Option(whole_number(), "a whole number"),
    "crop": Option(one_of("auto", "tumour", "image"), "auto, tumour or image"),
    "crop_size": Option(whole_number(1), "a whole number of pixels"),
    "size": Option(whole_number(1), "a whole number of pixels"),
    "window": Option(numbers(2), "two Hounsfield units such as -1000:400"),
    "slices": Option(_count_or_all, "a whole number or all"),
    "patients": Option(_count_or_all, "a whole number or all"),
    "histologies": Option(_names, "names such as A:B"),
    "roi": Option(_name, "the name of a region"),
    "range": Option(numbers(2), "the values of black and white such as 0:1"),
    "patient": Option(one_of("top", "folder", "file"), "top, folder or file"),
    "planes": Option(one_of("axial", "three", "volume"), "axial, three or volume"),
    "channels": Option(_channels, "1 or 3"),
    "strict": Option(_yes_or_no, "yes or no"),
}


def parse_data(text: str, subject: str = "--medgan-data") -> DataSettings:
    """Read `SOURCE[,key=value...]`.

    Args:
        text: Such as "studies/,split=slice,slices=all,window=-1000:400".
        subject: The option the text was given to, as messages call it.

    Raises:
        SettingsError: A key is unknown or its value cannot be used; the message names the key.

    Examples:
        >>> parse_data("phantom,size=64").size
        64
    """
    spec = parse_spec(text, subject)
    values = read_options(spec.options, _DATA_OPTIONS, subject)
    return replace(DataSettings(), source=spec.name, given=tuple(values), **values)


def read_data_option(key: str, text: str, subject: str) -> Any:
    """Read the value of one option of the data, given by itself.

    Args:
        key: A key of `parse_data`.
        text: Its value.
        subject: What the value was given to, as messages call it: "--crop-size".

    Raises:
        SettingsError: The value cannot be used.
    """
    try:
        return _DATA_OPTIONS[key].read(text)
    except ValueError:
        raise SettingsError(f"{subject} takes {_DATA_OPTIONS[key].takes}, not {text!r}.") from None


def parse_seeds(text: str, subject: str = "--medgan-seeds") -> tuple[int, ...]:
    """Read latent seeds such as "0,1,2" or "0 1 2".

    Raises:
        SettingsError: A seed is no whole number, is negative or is given twice.
    """
    try:
        seeds = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise SettingsError(f"{subject} takes whole numbers such as 0,1,2, not {text!r}.") from None
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise SettingsError(f"{subject} takes different whole numbers, none negative, not {text!r}.")
    return seeds


def parse_metrics(text: str, subject: str = "--medgan-metrics") -> tuple[str, ...]:
    """Read metric names such as "fid,improved_recall", or "all", and return them in the catalogue's order.

    Raises:
        SettingsError: No name is given or one is unknown.
    """
    names = text.replace(",", " ").split()
    if names == ["all"]:
        return NAMES
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        wrong = f"knows no metric {unknown[0]!r}" if unknown else "has no metric"
        raise SettingsError(f"{subject} {wrong}. Choose from {', '.join(NAMES)} or all.")
    return tuple(name for name in NAMES if name in names)


def parse_samples(text: str, subject: str = "--medgan-samples") -> int:
    """Read a number of images per sample group, at least LEAST_SAMPLES.

    Raises:
        SettingsError: The text is no such number.
    """
    try:
        return whole_number(LEAST_SAMPLES)(text)
    except ValueError:
        raise SettingsError(f"{subject} takes a whole number of at least {LEAST_SAMPLES}, not {text!r}.") from None


def parse_change(text: str, subject: str = "--medgan-change") -> str:
    """Read what was changed since the baseline.

    Raises:
        SettingsError: The text is neither "checkpoint" nor "recipe".
    """
    try:
        return str(Change(text))
    except ValueError:
        raise SettingsError(f"{subject} takes {' or '.join(Change)}, not {text!r}.") from None


def split_words(text: str, subject: str) -> list[str]:
    """Split a text at its spaces, quoted as a shell would.

    Raises:
        SettingsError: A quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError:
        raise SettingsError(f"{subject} has a quote that is not closed: {text!r}. Close it.") from None


def is_pattern(word: str) -> bool:
    """Return whether a word stands for the files that it matches: it has *, ? or [, and no file has that very name."""
    return glob.has_magic(word) and not os.path.exists(word)


def parse_runs(text: str, subject: str = "--medgan-runs") -> tuple[str, ...]:
    """Read several generators, separated by spaces and quoted as a shell would; a pattern stands for what it matches.

    Raises:
        SettingsError: A quote is not closed, a pattern matches nothing, or fewer than two generators are given or one
            is given twice.

    Examples:
        >>> parse_runs("a.safetensors 'my models/b.safetensors'")
        ('a.safetensors', 'my models/b.safetensors')
    """
    found: list[str] = []
    for word in split_words(text, subject):
        matches = sorted(glob.glob(word)) if is_pattern(word) else [word]
        if not matches:
            raise SettingsError(f"{subject}: the pattern {word!r} matches no file. Name checkpoints of one recipe.")
        found += matches
    if len(found) < 2 or len(set(found)) < len(found):
        raise SettingsError(f"{subject} takes at least two different generators, not {text!r}.")
    return tuple(found)
