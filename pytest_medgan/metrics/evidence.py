"""Collect the evidence for figures and explanations from passes that were already computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from pytest_medgan.metrics.anomalies import anomalies
from pytest_medgan.metrics.authenticity import nearest_training
from pytest_medgan.metrics.copies import copies
from pytest_medgan.metrics.density_coverage import coverages, densities
from pytest_medgan.metrics.duplicates import duplicates
from pytest_medgan.metrics.implausible import implausible_images
from pytest_medgan.metrics.improved_pr import member_rates
from pytest_medgan.metrics.intensity import fake_histograms
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.membership import membership_curve
from pytest_medgan.metrics.memorisation import copied_patients, memorised
from pytest_medgan.metrics.passes import cross
from pytest_medgan.metrics.prd import clustered
from pytest_medgan.records import Evidence, Float64


def gather_evidence(look: Look, measured: Iterable[str]) -> Evidence:
    """Return the evidence of every metric that was measured; the fields of the others are None."""
    passes, ks, names = look.keep(cross), look.reference.ks, set(measured)
    sweep: dict[str, Float64] = {}
    in_real = in_fake = None
    ties = 0
    if passes.real_balls is not None:
        ties += passes.real_balls.ties
        sweep |= {
            "improved_precision": member_rates(passes.real_balls),
            "density": densities(passes.real_balls),
            "coverage": coverages(passes.real_balls),
        }
        if ks.improved in look.ks:
            in_real = passes.real_balls.members(ks.improved).cpu().numpy()
    if passes.fake_balls is not None:
        ties += passes.fake_balls.ties
        sweep["improved_recall"] = member_rates(passes.fake_balls)
        in_fake = passes.fake_balls.members(ks.improved).cpu().numpy()
    nearest, train = passes.nearest, look.keep(nearest_training) if "authenticity" in names else None
    by_patient = "memorised_rate" in names and look.reference.train is not None
    histograms = look.reference.histograms if "intensity_distance" in names else None
    return Evidence(
        fake_in_real=in_real,
        real_in_fake=in_fake,
        nearest_real=None if nearest is None else _array(nearest.index),
        nearest_real_distance=None if nearest is None else _array(nearest.distance),
        realism=None if nearest is None else _array(nearest.realism),
        nearest_train=None if train is None else _array(train.index[:, 0]),
        nearest_train_distance=None if train is None else _array(train.squared.sqrt().float()),
        copies=look.keep(copies) if "copy_rate" in names else None,
        duplicates=look.keep(duplicates) if "duplicate_rate" in names else None,
        anomalies=anomalies(look) if "anomaly_rate" in names else None,
        implausible=implausible_images(look) if "implausible_rate" in names else None,
        memorised=memorised(look) if "memorised_rate" in names else None,
        memorised_patients=copied_patients(look) if by_patient else None,
        membership=membership_curve(look) if by_patient else None,
        prd_curve=look.keep(clustered).curve if {"precision", "recall"} & names else None,
        histogram_real=None if histograms is None else histograms.sum(0).squeeze(),
        histogram_fake=None if histograms is None else look.keep(fake_histograms).sum(0).squeeze(),
        ks=np.array(look.ks, np.int64) if look.ks else None,
        sweep=sweep,
        window=look.reference.window,
        ties=ties,
    )


def _array(values: torch.Tensor) -> Any:
    """Return the values as a numpy array."""
    return values.cpu().numpy()
