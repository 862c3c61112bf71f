"""The string that names a feature space: `NAME[,key=value...]`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_medgan.ground.specs import Option, one_of, parse_spec, read_options, whole_number

PRECISIONS = ("float32", "tf32", "bfloat16")
ENGINES = ("auto", "eager", "folded", "compiled", "onnxruntime", "graph")
NORMALISATIONS = ("symmetric", "imagenet")


@dataclass(frozen=True)
class ExtractorSpec:
    """A parsed extractor string."""

    name: str  # such as "compact", "inception_v3", "timm:MODEL", "package.module:callable", or a .pt or .pt2 file
    weights: str = "imagenet"  # "imagenet" (what the network's makers published), "random", or a file
    precision: str = "float32"  # the numeric class: PRECISIONS
    engine: str = "auto"  # how it is computed, float32 engines agreeing: ENGINES
    normalisation: str = "symmetric"  # "symmetric" is (-1, 1); "imagenet" subtracts ImageNet's mean, divides by its sd
    seed: int = 0  # of weights=random
    batch: int = 0  # images at once; 0 lets the engine choose
    sha256: str = ""  # what the file behind weights= must hash to, its first 8 digits or more; "" asks for nothing
    volumes: bool = False  # an extractor of your own takes volumes, uint8 [N,1,D,H,W], and not images
    size: int = 0  # pixels per side that a timm: model gets; 0 takes the model's own


def parse(text: str) -> ExtractorSpec:
    """Parse an extractor string.

    Args:
        text: `NAME[,key=value...]`, for example "inception_v3,weights=random,precision=bfloat16".

    Raises:
        SettingsError: The name is missing, or a key or its value cannot be used; the message names it.
    """
    spec = parse_spec(text, "The extractor")
    return replace(ExtractorSpec(spec.name), **read_options(spec.options, _OPTIONS, "The extractor"))


def _weights(text: str) -> str:
    """Return what `weights=` names. Raises ValueError where it names nothing."""
    if not text:
        raise ValueError(text)
    return text


def _yes_or_no(text: str) -> bool:
    """Return what `yes` or `no` says. Raises ValueError for another word."""
    return one_of("yes", "no")(text) == "yes"


def _sha256(text: str) -> str:
    """Return the first digits of a SHA-256, in lower case. Raises ValueError where it is none."""
    if not 8 <= len(text) <= 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ValueError(text)
    return text.lower()


_OPTIONS = {
    "weights": Option(_weights, "imagenet, random or a file"),
    "precision": Option(one_of(*PRECISIONS), ", ".join(PRECISIONS)),
    "engine": Option(one_of(*ENGINES), ", ".join(ENGINES)),
    "normalisation": Option(one_of(*NORMALISATIONS), ", ".join(NORMALISATIONS)),
    "seed": Option(whole_number(), "a whole number"),
    "batch": Option(whole_number(), "a whole number"),
    "size": Option(whole_number(1), "a whole number of at least 1"),
    "volumes": Option(_yes_or_no, "yes or no"),
    "sha256": Option(_sha256, "8 to 64 hexadecimal digits"),
}
