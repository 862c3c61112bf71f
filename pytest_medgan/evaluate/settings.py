"""What a run is asked to do, as one frozen record, and the strings that name it on a command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.errors import SettingsError
from pytest_medgan.records import DataSettings

LOOKS = (8, 4, 2, 1)  # a look at a half, a quarter and an eighth of the full count before the full count itself
LEAST_LOOK = 16  # images a sample group under which a look cannot decide anything


@dataclass(frozen=True)
class Settings:
    """One model against one body of real images."""

    data: DataSettings = field(default_factory=DataSettings)
    generator: str | None = None  # a checkpoint, "package.module:callable", images already made
    extractor: str = "inception_v3,weights=random"
    baseline: str | None = None  # a file, or the name of one that ships with the package
    samples: int | None = None  # the full count per sample group; None: as many as there are reference images
    seeds: tuple[int, ...] = (0, 1, 2)  # one sample group each
    metrics: tuple[str, ...] = NAMES
    paired_with: str | None = None  # the accepted model, as `generator`: drawn again where a test asks for paired=True


def parse_data(text: str) -> DataSettings:
    """`SOURCE[,key=value...]` to DataSettings, e.g. "studies/,split=slice,slices=all,window=-1000:400".

    Raises SettingsError naming the key.
    """
    source, pairs = split_spec(text)
    settings = replace(DataSettings(), source=source)
    for key, value in pairs.items():
        if key not in _DATA_KEYS:
            raise SettingsError(f"--medgan-data knows no {key!r}; it takes {', '.join(sorted(_DATA_KEYS))}")
        read, takes = _DATA_KEYS[key]
        try:
            settings = replace(settings, **{key: read(value)})
        except ValueError:
            raise SettingsError(f"--medgan-data: {key}= takes {takes}, not {value!r}") from None
    return settings


def split_spec(text: str) -> tuple[str, dict[str, str]]:
    """A name and its `,key=value` pairs; commas without a `key=` behind them belong to the name."""
    parts = text.split(",")
    pairs: dict[str, str] = {}
    while len(parts) > 1 and parts[-1].partition("=")[0].isidentifier() and "=" in parts[-1]:
        key, _, value = parts.pop().partition("=")
        pairs[key] = value
    return ",".join(parts), dict(reversed(pairs.items()))


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "0,1,2" or "0 1 2" to (0, 1, 2). Raises SettingsError on anything else, or on a seed given twice."""
    try:
        seeds = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise SettingsError(f"--medgan-seeds takes whole numbers such as 0,1,2, not {text!r}") from None
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise SettingsError(f"--medgan-seeds takes different seeds, none negative, not {text!r}")
    return seeds


def parse_metrics(text: str) -> tuple[str, ...]:
    """ "fid,improved_recall" to names in the catalogue's order; "all" to all of them."""
    names = text.replace(",", " ").split()
    if names == ["all"]:
        return NAMES
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise SettingsError(f"unknown metrics {unknown}; choose from {', '.join(NAMES)} or all")
    return tuple(name for name in NAMES if name in names)


def parse_samples(text: str) -> int:
    """A positive whole number."""
    if not text.isdigit() or int(text) < LEAST_LOOK:
        raise SettingsError(f"--medgan-samples takes a whole number of at least {LEAST_LOOK}, not {text!r}")
    return int(text)


def looks(full: int) -> tuple[int, ...]:
    """The counts looked at, ascending: an eighth, a quarter, a half and all of the full count."""
    return tuple(sorted({full // part for part in LOOKS if full // part >= LEAST_LOOK} | {full}))


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    def read(value: str) -> tuple[float, ...]:
        numbers = tuple(float(part) for part in value.split(":"))
        if len(numbers) != count:
            raise ValueError(value)
        return numbers

    return read


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(value)
        return value

    return read


def _count_or_all(value: str) -> int | None:
    return None if value == "all" else int(value)


_DATA_KEYS: dict[str, tuple[Callable[[str], Any], str]] = {  # how each is read, and in words what it takes
    "split": (_one_of("patient", "slice"), "patient or slice"),
    "fractions": (_numbers(3), "three shares such as 0.5:0.25:0.25"),
    "seed": (int, "a whole number"),
    "crop": (_one_of("auto", "tumour", "image"), "auto, tumour or image"),
    "crop_size": (int, "a whole number of pixels"),
    "size": (int, "a whole number of pixels"),
    "window": (_numbers(2), "two Hounsfield units such as -1000:400"),
    "slices": (_count_or_all, "a whole number or all"),
    "patients": (_count_or_all, "a whole number or all"),
    "histologies": (lambda value: tuple(value.split(":")), "names such as A:B"),
}
