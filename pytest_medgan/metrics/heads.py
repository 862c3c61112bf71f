"""Linear heads that tell real images from altered ones, cross-fitted over patients, for `anomaly_rate`.

Patients are dealt to two halves. On each half one logistic head per alteration is trained; the other half sets the
threshold of each head. An image is anomalous where any head exceeds its threshold, so a set of heads is judged
together: `FALSE_ALARMS` of the real images of the other half are anomalous. That share is dealt to the heads so that
the head that finds the fewest altered images finds as many as possible. A head that cannot find its alteration in these
images (full slices whose centre holds nothing, say) takes no part and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.records import Alteration, Float32, Float64, Int64

FOLDS = 2
FALSE_ALARMS = 0.02  # share of real images beyond the thresholds, all heads together
LEAST_IMAGES = 200  # real images; with fewer, the share above is set by fewer than four of them
LEAST_PATIENTS = 8
LEAST_FOUND = 0.3  # of altered images, at 5 percent of false alarms; a head that finds fewer takes no part
PENALTY = 0.003  # inverse strength of the L2 penalty, over features divided by their spread (C of scikit-learn)


@dataclass(frozen=True, eq=False)
class Heads:
    """Heads of one reference in one feature space. Positive margins are anomalous."""

    alterations: tuple[Alteration, ...]  # one per head, H of them
    weights: Float64  # [FOLDS,D,H]
    offsets: Float64  # [FOLDS,H]; margin = features @ weights + offsets, in units of the real images' upper spread
    found: Mapping[Alteration, float]  # share of altered real images of other patients that their own head finds
    blind: tuple[Alteration, ...]  # alterations that cannot be found in these images
    real: Float64  # [N], largest margin of each real image under the heads of the other half
    group: Int64  # [N], the patient's number

    def margins(self, features: Float32) -> Float64:
        """Return the margin of every head of both halves, float64 [FOLDS,M,H], of features [M,D]."""
        wide = np.asarray(features, np.float64)
        return np.stack([wide @ weights + offset for weights, offset in zip(self.weights, self.offsets, strict=True)])


def fit_heads(real: Float32, altered: Mapping[Alteration, Float32], groups: object, *, seed: int = 0) -> Heads | None:
    """Fit heads on features of real images and of the same images altered.

    Args:
        real: Features of real images, softened [N,D].
        altered: Features of the same images, altered, in the same order [N,D].
        groups: The patient of every image, [N].
        seed: Of the halves.

    Returns:
        The heads; None where there are fewer than LEAST_IMAGES images, LEAST_PATIENTS patients, or no head that finds
        anything.
    """
    group = inputs.group_numbers(groups, len(real), "groups")
    if len(real) < LEAST_IMAGES or group.max() + 1 < LEAST_PATIENTS:
        return None
    half = np.random.default_rng(seed).permutation(np.arange(group.max() + 1) % FOLDS)[group]
    names = tuple(altered)
    size = (len(real), len(names))
    plain, found = np.empty(size), np.empty(size)  # scores of real images, and of altered ones by their own head
    weights, offsets = np.empty((FOLDS, real.shape[1], len(names))), np.empty((FOLDS, len(names)))
    for fold in range(FOLDS):
        trained, other = half != fold, half == fold
        for number, name in enumerate(names):
            weight, offset = fit_head(real[trained], altered[name][trained])
            scores = real[other] @ weight + offset
            middle, high = np.quantile(scores, (0.5, 0.95))
            spread = max(high - middle, np.finfo(np.float32).tiny)
            weights[fold, :, number], offsets[fold, number] = weight / spread, (offset - middle) / spread
        plain[other] = real[other] @ weights[fold] + offsets[fold]
        for number, name in enumerate(names):
            found[other, number] = altered[name][other] @ weights[fold, :, number] + offsets[fold, number]
    used = np.flatnonzero((found > 1).mean(0) >= LEAST_FOUND)  # 1 is the 95% point of real images
    if not len(used):
        return None
    thresholds = share_false_alarms(plain[:, used], found[:, used], FALSE_ALARMS)
    shares = (found[:, used] > thresholds).mean(0).tolist()
    return Heads(
        alterations=tuple(names[place] for place in used),
        weights=weights[:, :, used],
        offsets=offsets[:, used] - thresholds,
        found=dict(zip((names[place] for place in used), shares, strict=True)),
        blind=tuple(name for place, name in enumerate(names) if place not in used),
        real=np.asarray((plain[:, used] - thresholds).max(1)),
        group=group,
    )


def share_false_alarms(real: Float64, altered: Float64, share: float) -> Float64:
    """Return one threshold per head, float64 [H].

    From thresholds that no real image exceeds, the threshold of the head that finds the fewest altered images is
    lowered by one real image at a time, while no more than `share` of the real images exceed any.

    Args:
        real: Scores of real images, [N,H].
        altered: Scores of altered images by their own head, [N,H].
        share: Of real images that may exceed a threshold.
    """
    ranked, count = -np.sort(-real, axis=0), np.zeros(real.shape[1], np.int64)
    thresholds: Float64 = ranked[0].copy()
    while True:
        found = (altered > thresholds).mean(0)
        head = int(found.argmin())
        count[head] += 1
        lower = thresholds.copy()
        lower[head] = ranked[min(count[head], len(ranked) - 1), head]
        if count[head] >= len(ranked) or (real > lower).any(1).mean() > share:
            return thresholds
        thresholds = lower


def fit_head(real: Float32, altered: Float32) -> tuple[Float64, float]:
    """Fit one logistic head that tells altered images from real ones.

    Args:
        real: Features of real images, float32 [N,D].
        altered: Features of altered images, float32 [M,D].

    Returns:
        Weights float64 [D] and the offset; an image's score is features @ weights + offset, larger where altered.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = real.mean(0, dtype=np.float64), real.std(0, dtype=np.float64)
    spread[spread == 0] = 1.0
    rows = (np.concatenate([real, altered]) - mean) / spread
    head = LogisticRegression(C=PENALTY, max_iter=1000).fit(rows, np.repeat([0, 1], [len(real), len(altered)]))
    weight = head.coef_[0] / spread
    return weight, float(head.intercept_[0] - mean @ weight)
