"""Make the fingerprint: what must agree before two scores may be compared."""

from __future__ import annotations

import platform
from importlib.metadata import version
from types import MappingProxyType

import numpy as np

from pytest_medgan.evaluate.looks import full_count
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.metrics.reference import Ks
from pytest_medgan.metrics.revisions import revisions
from pytest_medgan.records import Fingerprint, Scalar


def make_fingerprint(subject: Subject, *, by_volume: bool = False) -> Fingerprint:
    """Return what must agree before scores of this subject may be compared with others.

    Args:
        subject: What was measured.
        by_volume: Whether the model draws volumes, so that its errors take the slices of one together.
    """
    real, extractor, data = subject.real, subject.extractor, subject.real.settings
    inputs: dict[str, Scalar] = {
        "crop": data.crop,
        "crop_size": data.crop_size,
        "data": real.digest,
        "extractor": extractor.identity,
        "fractions": ":".join(f"{f:g}" for f in data.fractions) if data.split == "patient" else None,
        "metrics": f"improved k={Ks().improved}, density k={Ks().density}",
        "numeric_class": extractor.numeric_class,
        "reference": len(real.reference),
        "samples": full_count(subject),
        "seeds": ",".join(map(str, subject.settings.seeds)),
        "size": data.size,
        "split": data.split,
        "split_seed": data.seed,
        "window": ":".join(f"{w:g}" for w in data.window),
    }
    if data.planes != "axial":  # absent before there were others
        inputs["planes"] = data.planes
    if data.channels != 1:
        inputs["channels"] = data.channels
    if by_volume:
        inputs["sampling_unit"] = "volume"
    return Fingerprint(
        inputs=MappingProxyType(dict(sorted(inputs.items()))),
        canary=subject.bench.canary(extractor),
        environment=MappingProxyType(environment_facts(subject.bench.device)),
        revisions=MappingProxyType(revisions(subject.settings.metrics, subject.bench.custom)),
    )


def environment_facts(device: str) -> dict[str, Scalar]:
    """Return facts that are shown and never compared: versions, device, processor."""
    import torch

    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine(),
        "medgan": version("pytest-medgan"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
    }
