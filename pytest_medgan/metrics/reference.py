"""What depends on the reference alone, prepared once and used for every model, sample group and look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_medgan.catalogue import NAMES
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.copies import duplicate_distance
from pytest_medgan.metrics.deletion import depth
from pytest_medgan.metrics.gram import Points, centre_of, points
from pytest_medgan.metrics.intensity import grey_step, histograms
from pytest_medgan.metrics.kernel_sums import KernelSums, own_kernel
from pytest_medgan.metrics.moments import Moments, moments
from pytest_medgan.metrics.neighbours import Neighbours, neighbours
from pytest_medgan.metrics.threads import side_by_side
from pytest_medgan.metrics.uncertainty import blocks_of
from pytest_medgan.records import Int64, UInt8


@dataclass(frozen=True)
class Ks:
    """The k of the ball metrics."""

    improved: int = 3  # Kynkaanniemi et al. 2019
    density: int = 5  # Naeem et al. 2020, density and coverage
    sweep: tuple[int, ...] = ()  # further k, for figures; measured with evidence only

    def of(self, metrics: Iterable[str], *, sweep: bool) -> tuple[int, ...]:
        """The k that these metrics need, ascending."""
        asked = set(metrics)
        found = set(self.sweep) if sweep else set()
        found |= {self.improved} if asked & {"improved_precision", "improved_recall"} else set()
        found |= {self.density} if asked & {"density", "coverage"} else set()
        return tuple(sorted(found))


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference set ready to be measured against."""

    points: Points  # features [N,D], as given and centred
    centre: torch.Tensor  # float64 [D], their mean
    group: Int64  # [N], the patient's number
    block: Int64  # [N], patients dealt to at most 100 blocks
    ks: Ks
    metrics: tuple[str, ...]  # what it was prepared for
    moments: Moments | None = None  # fid
    kernel: torch.Tensor | None = None  # float64 [N], kernel summed over the other rows; kid
    near: Neighbours | None = None  # the ball metrics
    image_size: tuple[int, int] | None = None  # (H,W) of the images the features were taken from, where given
    histograms: Int64 | None = None  # [N,256], grey levels; intensity_distance
    train: Points | None = None  # the generator's training features [T,D], centred likewise
    train_near: Neighbours | None = None
    train_group: Int64 | None = None
    train_pixels: UInt8 | None = None
    window: tuple[float, float] | None = None  # HU of grey 0 and 255
    duplicate_distance: float | None = None  # root mean square grey levels; nearer generated images are duplicates

    def __len__(self) -> int:
        return len(self.points)

    @property
    def of_moments(self) -> Moments:
        if self.moments is None:
            raise LookupError("the reference was not prepared for fid")
        return self.moments

    @property
    def of_histograms(self) -> Int64:
        if self.histograms is None:
            raise LookupError("the reference was not prepared for intensity_distance")
        return self.histograms

    @property
    def of_kernel(self) -> torch.Tensor:
        if self.kernel is None:
            raise LookupError("the reference was not prepared for kid")
        return self.kernel


def prepare_reference(
    features: Any,
    *,
    groups: Any = None,
    pixels: Any = None,
    train: Any = None,
    train_pixels: Any = None,
    train_groups: Any = None,
    window: tuple[float, float] | None = None,
    metrics: Iterable[str] = NAMES,
    k: int = 3,
    density_k: int = 5,
    sweep: Iterable[int] = (),
    device: str | None = None,
) -> Reference:
    """Prepare `features` [N,D] (array or tensor) as the reference.

    groups [N] names each row's patient; rows of one patient are redrawn together for `se_total`.
    pixels, train_pixels uint8 [.,1,H,W] and train [T,D] serve the metrics that need them. `sweep` holds the k of the
    k-sweep. `device` moves the work there; by default it stays where `features` are.
    MetricInputError names the argument whose shape or values do not fit.
    """
    asked = inputs.names(metrics)
    real = inputs.features(features, "features", least=2)
    real = real if device is None else real.to(device)
    group = inputs.block_of(groups, len(real), "groups")
    ks = Ks(inputs.whole(k, "k"), inputs.whole(density_k, "density_k"), inputs.wholes(sweep, "sweep"))
    needed = ks.of(asked, sweep=True)
    if needed:
        inputs.neighbour_counts(needed, rows=len(real), name="features")
    if window is not None:
        grey_step(window)
    if pixels is not None:
        pixels = inputs.pixels(pixels, "pixels")
    if train is not None:
        train = inputs.features(train, "train", least=2, width=real.shape[1]).to(real.device)
        train_group = inputs.block_of(train_groups, len(train), "train_groups")
    if train_pixels is not None:
        like = None if pixels is None else (pixels.shape[2], pixels.shape[3])
        train_pixels = inputs.pixels(train_pixels, "train_pixels", like=like)
    centre = centre_of(real)
    ready = points(real, centre)
    train_ready = None if train is None else points(train, centre)
    (near, kernel), gaussian = side_by_side(
        lambda: _own_pass(ready, centre, needed, asked),
        lambda: moments(real) if "fid" in asked else None,
        real.device,
    )
    return Reference(
        points=ready,
        centre=centre,
        group=group,
        block=blocks_of(group),
        ks=ks,
        metrics=asked,
        moments=gaussian,
        kernel=kernel,
        near=near,
        image_size=None if pixels is None else (pixels.shape[2], pixels.shape[3]),
        histograms=histograms(pixels) if pixels is not None and "intensity_distance" in asked else None,
        train=train_ready,
        train_near=neighbours(train_ready, (1,)) if train_ready is not None and "authenticity" in asked else None,
        train_group=None if train is None else train_group,
        train_pixels=train_pixels,
        window=window,
        duplicate_distance=duplicate_distance(pixels) if pixels is not None and "duplicate_rate" in asked else None,
    )


def _own_pass(
    ready: Points, centre: torch.Tensor, ks: tuple[int, ...], asked: tuple[str, ...]
) -> tuple[Neighbours | None, torch.Tensor | None]:
    """One pass over the reference's own products: balls and kernel sums."""
    sums = KernelSums(ready, ready, centre) if "kid" in asked else None
    watch = None if sums is None else sums.see_own
    near = None
    if ks or sums is not None:
        near = neighbours(ready, ks or (1,), keep=depth(max(ks)) if ks else 0, watch=watch)
    kernel = None if sums is None else sums.over_columns() - own_kernel(ready, centre)
    return near if ks else None, kernel
