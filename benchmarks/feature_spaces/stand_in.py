"""A stand-in for a generative model: it draws patches of patients that the reference does not hold, slightly changed.

Groups are independent draws from the same sources, as sample groups of one model are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.feature_spaces.faults import (
    BLUR_FAULTS,
    CHOICE_FAULTS,
    FAULTS,
    IMAGE_FAULTS,
    LOW_RANK,
    Images,
    Rows,
    Values,
    keep_components,
    principal_components,
)
from benchmarks.gate_trust.sampler import BLUR, blurred, moved, split

UNCHANGED = "unchanged"
REFERENCE = 1200  # real patches
GROUPS = 12
COUNT = 200  # images a group


@dataclass(frozen=True, eq=False)
class Study:
    """Real patches in two parts; no patient is in both, and none was in what the compact space was fitted to."""

    reference: Images  # [1200,128,128]
    pool: Images  # [P,128,128], what the model draws from
    patients: NDArray[np.str_]  # [P], of the pool

    @cached_property
    def components(self) -> tuple[Values, Values]:
        """Mean and principal components of the pool."""
        return principal_components(self.pool)


def load_study(data: Path, seed: int = 0) -> Study:
    """Split lidc-patches by patient: 1,200 patches to the reference, about 2,340 to the pool.

    The patients that the benchmark of the gate sets aside are left out; the compact space is fitted to theirs.
    """
    parts = split(data)
    pixels = np.concatenate([parts[name].pixels[:, 0] for name in ("reference", "training")])
    patients = np.concatenate([parts[name].patients for name in ("reference", "training")])
    names = np.random.default_rng([20220630, seed]).permutation(np.unique(patients))
    count = np.array([(patients == name).sum() for name in names])
    first = np.isin(patients, names[: np.searchsorted(np.cumsum(count), REFERENCE) + 1])
    return Study(pixels[first][:REFERENCE], pixels[~first], patients[~first])


def draw(study: Study, group: int, fault: str = UNCHANGED, count: int = COUNT) -> Images:
    """The images of one group, uint8 [count,128,128]; `fault` is "unchanged" or one of FAULTS.

    A group's sources and changes do not depend on the fault, so that only the fault tells its images apart.
    """
    sources: Rows = np.random.default_rng([1, group]).choice(len(study.pool), count, replace=False)
    random = np.random.default_rng([2, group, (UNCHANGED, *FAULTS).index(fault)])
    if fault in CHOICE_FAULTS:
        sources = CHOICE_FAULTS[fault](sources, study.patients, random)
    base = torch.from_numpy(study.pool[sources])[:, None].float()
    images = blurred(moved(base, np.random.default_rng([3, group])), BLUR_FAULTS.get(fault, BLUR))
    pixels: Images = images.round().clamp(0, 255).to(torch.uint8).numpy()[:, 0]
    if fault == LOW_RANK:
        return keep_components(pixels, *study.components)
    return IMAGE_FAULTS[fault](pixels, random) if fault in IMAGE_FAULTS else pixels
