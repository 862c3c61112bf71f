"""The one string that names a feature space: `NAME[,key=value...]`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_medgan.errors import ExtractorError

PRECISIONS = ("float32", "tf32", "bfloat16")
ENGINES = ("auto", "eager", "folded", "compiled", "onnxruntime", "openvino", "graph")
NORMALISATIONS = ("symmetric", "imagenet")


@dataclass(frozen=True)
class ExtractorSpec:
    """What the string says."""

    name: str  # "inception_v3", "package.module:callable" or a TorchScript file
    weights: str = "imagenet"  # "imagenet", "random", or a file
    precision: str = "float32"  # the numeric class: PRECISIONS
    engine: str = "auto"  # how it is computed, float32 engines agreeing: ENGINES
    normalisation: str = "symmetric"  # "symmetric" is (-1, 1); "imagenet" subtracts ImageNet's mean, divides by its sd
    seed: int = 0  # of weights=random
    batch: int = 0  # images at once; 0 lets the engine choose


def parse(text: str) -> ExtractorSpec:
    """`inception_v3,weights=random,precision=bfloat16` to an ExtractorSpec.

    Raises ExtractorError naming the key or value that cannot be used.
    """
    name, *pairs = text.split(",")
    if not name.strip():
        raise ExtractorError("no feature space is named; give inception_v3, package.module:callable or a .pt file")
    spec = ExtractorSpec(name.strip())
    seen: set[str] = set()
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in _KEYS or not equals:
            raise ExtractorError(f"an extractor takes no {key or pair!r}; it takes {', '.join(sorted(_KEYS))}")
        if key in seen:
            raise ExtractorError(f"the extractor's {key} is given twice; give it once")
        seen.add(key)
        spec = _with(spec, key, value)
    return spec


_KEYS = ("weights", "precision", "engine", "normalisation", "seed", "batch")
_CHOICES = {"precision": PRECISIONS, "engine": ENGINES, "normalisation": NORMALISATIONS}


def _with(spec: ExtractorSpec, key: str, value: str) -> ExtractorSpec:
    """The spec with one key set."""
    if key in ("seed", "batch"):
        if not value.isdigit():
            raise ExtractorError(f"the extractor's {key} is a whole number, not {value!r}")
        return replace(spec, seed=int(value)) if key == "seed" else replace(spec, batch=int(value))
    if key in _CHOICES and value not in _CHOICES[key]:
        raise ExtractorError(f"the extractor knows no {key}={value}; choose from {', '.join(_CHOICES[key])}")
    if key == "precision":
        return replace(spec, precision=value)
    if key == "engine":
        return replace(spec, engine=value)
    if key == "normalisation":
        return replace(spec, normalisation=value)
    if not value:
        raise ExtractorError("the extractor's weights= is empty; give imagenet, random or a file")
    return replace(spec, weights=value)
