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
    return Evidence(
        fake_in_real=in_real,
        real_in_fake=in_fake,
        nearest_real=_array(cross.nearest),
        nearest_real_distance=_array(cross.nearest_distance),
        realism=_array(cross.realism),
        ks=np.array(look.ks, np.int64) if look.ks else None,
        sweep=sweep,
        window=look.reference.window,
        ties=ties,
    )


def _array(values: torch.Tensor | None) -> Any:
    return None if values is None else values.cpu().numpy()
