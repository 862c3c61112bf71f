"""Membership attack: can one tell from the generated images whether a patient was in the training set?

The attack scores a patient by the mean distance of the patient's images to their nearest generated image. The area
under its curve is 0.5 where the scores of training patients and of new patients do not differ, and 1 where the attack
names every training patient. A better attack may exist, so an area near 0.5 does not show that nobody can be found.

References:
    Dar et al. 2024 (arXiv 2402.01054); Yao et al. 2025, "The DCR Delusion" (arXiv 2505.01524).
    Hanley and McNeil 1982, "The Meaning and Use of the Area under a ROC Curve", for the error.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch

from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pairwise import Points, products, to_distances_
from pytest_medgan.records import Cause, Float64, Int64


def membership_curve(look: Look) -> Float64:
    """Return the area under the attack's curve and its standard error, float64 [2], by patient."""
    train = need(look.reference.train, Cause.NO_TRAINING_IMAGES)
    group = need(look.reference.train_group, Cause.NO_TRAINING_IMAGES)
    members = patient_means(nearest_distances(train, look.fake_ball_points), group)
    others = patient_means(nearest_distances(look.reference.ball_points, look.fake_ball_points), look.reference.group)
    return np.array(area_under_curve(members, others))


def nearest_distances(rows: Points, fake: Points) -> Float64:
    """Return the distance of every row to its nearest generated image, float64 [N]."""
    found = torch.empty(len(rows), dtype=torch.float32, device=rows.rows.device)
    for part, block in products(rows, fake):
        found[part] = to_distances_(block, rows.norms[part], fake.norms).amin(1)
    return np.asarray(found.double().sqrt().cpu().numpy())


def patient_means(values: Float64, group: Int64) -> Float64:
    """Return the mean of every patient's values, float64 [P]; patients are numbered from 0."""
    return np.asarray(np.bincount(group, weights=values) / np.bincount(group))


def area_under_curve(members: Float64, others: Float64) -> tuple[float, float]:
    """Return how often a member's distance is smaller than another's, ties as half, and its standard error.

    Examples:
        >>> area_under_curve(np.array([1.0, 2.0]), np.array([2.0, 3.0]))[0]
        0.875
    """
    order = np.sort(others)
    above = len(order) - np.searchsorted(order, members, "right")
    equal = np.searchsorted(order, members, "right") - np.searchsorted(order, members, "left")
    area = float((above + 0.5 * equal).mean() / len(others))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    m, n = len(members), len(others)
    variance = (area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (m * n)
    return area, sqrt(max(variance, 0.0))
