"""What pictures and explanations need, from the passes a look has made anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_medgan.metrics.density_coverage import coverages, densities
from pytest_medgan.metrics.improved_pr import member_rates
from pytest_medgan.records import Evidence, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


def gather(look: Look) -> Evidence:
    """Evidence of every metric that was measured; the rest stays None."""
    cross, ks = look.cross, look.reference.ks
    sweep: dict[str, Float64] = {}
    in_real = in_fake = None
    ties = 0
    if cross.real_balls is not None:
        ties += cross.real_balls.ties
        sweep |= {
            "improved_precision": member_rates(cross.real_balls),
            "density": densities(cross.real_balls),
            "coverage": coverages(cross.real_balls),
        }
        if ks.improved in look.ks:
            in_real = cross.real_balls.members(ks.improved).cpu().numpy()
    if cross.fake_balls is not None:
        ties += cross.fake_balls.ties
        sweep["improved_recall"] = member_rates(cross.fake_balls)
        in_fake = cross.fake_balls.members(ks.improved).cpu().numpy()
    names = set(look.metrics)
    train = look.nearest_training if "authenticity" in names else None
    return Evidence(
        fake_in_real=in_real,
        real_in_fake=in_fake,
        nearest_real=_array(cross.nearest),
        nearest_real_distance=_array(cross.nearest_distance),
        realism=_array(cross.realism),
        nearest_train=None if train is None else train.index[:, 0].cpu().numpy(),
        nearest_train_distance=None if train is None else train.squared.sqrt().float().cpu().numpy(),
        copies=look.copies if "copy_rate" in names else None,
        duplicates=look.duplicates if "duplicate_rate" in names else None,
        prd_curve=look.clustered.curve() if {"precision", "recall"} & names else None,
        histogram_real=look.reference.of_histograms.sum(0) if "intensity_distance" in names else None,
        histogram_fake=look.fake_histograms.sum(0) if "intensity_distance" in names else None,
        ks=np.array(look.ks, np.int64) if look.ks else None,
        sweep=sweep,
        window=look.reference.window,
        ties=ties,
    )


def _array(values: torch.Tensor | None) -> Any:
    return None if values is None else values.cpu().numpy()
