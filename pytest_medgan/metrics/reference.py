"""Everything that depends only on the reference, prepared once and used for all generated sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.anatomy import measure_anatomy
from pytest_medgan.metrics.deletion import kept_neighbours
from pytest_medgan.metrics.frechet_error import ENOUGH, LeftOutRows, prepare_rows
from pytest_medgan.metrics.grey_levels import grey_step, histograms
from pytest_medgan.metrics.heads import Heads
from pytest_medgan.metrics.kernel_sums import KernelSide, KernelSums
from pytest_medgan.metrics.memory import LEAST_NEW, Memory, new_rows, prepare_memory
from pytest_medgan.metrics.moments import Moments, compute_moments
from pytest_medgan.metrics.nearest_training import find_nearest_training
from pytest_medgan.metrics.neighbours import Neighbours, find_neighbours
from pytest_medgan.metrics.pairwise import Points, mean_of, own_products, points
from pytest_medgan.metrics.pixel_pairs import duplicate_distance
from pytest_medgan.metrics.plausible import PlausibleRange, fit_range
from pytest_medgan.metrics.threads import run_side_by_side
from pytest_medgan.metrics.uncertainty import blocks_of
from pytest_medgan.records import Int64, UInt8


@dataclass(frozen=True)
class Ks:
    """The k of the ball metrics."""

    improved: int = 3  # Kynkaanniemi et al. 2019
    density: int = 5  # Naeem et al. 2020, density and coverage
    sweep: tuple[int, ...] = ()  # further k, for figures; measured with evidence only

    def needed(self, metrics: Iterable[str], *, sweep: bool) -> tuple[int, ...]:
        """Return the k that these metrics need, ascending."""
        asked = set(metrics)
        found = set(self.sweep) if sweep else set()
        found |= {self.improved} if asked & {"improved_precision", "improved_recall"} else set()
        found |= {self.density} if asked & {"density", "coverage"} else set()
        return tuple(sorted(found))


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference set ready to be measured against."""

    points: Points  # features [N,D], as given and centred
    ball_points: Points  # the first columns, in which neighbours are searched for; `points` itself if these are all
    centre: torch.Tensor  # float64 [D], their mean
    group: Int64  # [N], the patient's number
    block: Int64  # [N], patients dealt to at most 100 blocks
    ks: Ks
    metrics: tuple[str, ...]  # what it was prepared for
    moments: Moments | None = None  # fid
    left_out: LeftOutRows | None = None  # rows for the error of fid: all, or the first 2,048 of single rows
    kernel: torch.Tensor | None = None  # float64 [N], kernel summed over the other rows; kid
    kernel_side: KernelSide | None = None  # the features as columns of kernels; kid
    near: Neighbours | None = None  # the ball metrics, at every k smaller than N
    image_shape: tuple[int, ...] | None = None  # (C,H,W) of the images behind the features, where given
    histograms: Int64 | None = None  # [N,C,256], levels of every channel; intensity_distance
    train: Points | None = None  # the generator's training features, the same columns as `ball_points`
    train_near: Neighbours | None = None  # authenticity
    train_block: Int64 | None = None  # [T], training patients dealt to at most 100 blocks
    train_group: Int64 | None = None  # [T], the training patient's number
    train_pixels: UInt8 | None = None  # [T,C,H,W]
    window: tuple[float, float] | None = None  # HU of grey 0 and 255
    heads: Heads | None = None  # anomaly_rate
    memory: Memory | None = None  # memorised_rate
    plausible: PlausibleRange | None = None  # implausible_rate
    duplicate_distance: float | None = None  # root mean square grey levels; nearer generated images are duplicates

    def __len__(self) -> int:
        return len(self.points)

    def first_columns(self, features: torch.Tensor) -> torch.Tensor:
        """Return the columns of features [.,D] in which neighbours are searched for."""
        return first_columns(features, self.ball_points.raw.shape[1])


def first_columns(features: torch.Tensor, count: int) -> torch.Tensor:
    """Return the first columns of features; the same tensor if these are all."""
    return features if count == features.shape[1] else features[:, :count].contiguous()


def prepare_reference(
    features: Any,
    *,
    groups: Any = None,
    pixels: Any = None,
    train: Any = None,
    train_pixels: Any = None,
    train_groups: Any = None,
    window: tuple[float, float] | None = None,
    heads: Heads | None = None,
    metrics: Iterable[str] = NAMES,
    k: int = 3,
    density_k: int = 5,
    sweep: Iterable[int] = (),
    ball_dimensions: int | None = None,
    device: str | None = None,
) -> Reference:
    """Prepare real features as the reference that generated sets are measured against.

    Args:
        features: Real features [N,D], array or tensor of numbers, N at least 2.
        groups: The patient of every row, [N]; rows of one patient are redrawn together for `se_total`.
        pixels: The images behind the features, uint8 [N,C,H,W].
        train: Features of the generator's training images [T,D], T at least 2.
        train_pixels: The training images, uint8 [T,C,H,W].
        train_groups: The patient of every training image, [T].
        window: (HU of grey 0, HU of grey 255), ascending.
        heads: What `fit_heads` made of the reference images, for `anomaly_rate`.
        metrics: Names of the metrics to prepare for.
        k: Improved precision and recall: the radius of a ball is the distance to the k-th neighbour.
        density_k: The same k for density and coverage.
        sweep: Further values of k, measured only if evidence is requested.
        ball_dimensions: Number of leading columns in which neighbours are searched for: by improved precision and
            recall, density, coverage, authenticity, and the evidence of nearest images. All other metrics use all
            columns. None means all.
        device: Where to work; by default where `features` are.

    Returns:
        The prepared reference, for `measure`.

    Raises:
        MetricInputError: An argument has another shape or value.

    Examples:
        >>> import numpy as np
        >>> from pytest_medgan.metrics import measure
        >>> real, fake = np.random.default_rng(0).standard_normal((2, 200, 8))
        >>> reference = prepare_reference(real, metrics=["fid"])
        >>> measure(reference, fake=fake, metrics=["fid"]).estimates["fid"].value < 1
        True
    """
    asked = inputs.names(metrics)
    real = inputs.features(features, "features", least=2)
    real = real if device is None else real.to(device)
    group = inputs.group_numbers(groups, len(real), "groups")
    ks = Ks(inputs.whole(k, "k"), inputs.whole(density_k, "density_k"), inputs.wholes(sweep, "sweep"))
    needed = tuple(each for each in ks.needed(asked, sweep=True) if each < len(real))
    width = real.shape[1] if ball_dimensions is None else inputs.whole(ball_dimensions, "ball_dimensions")
    if width > real.shape[1]:
        raise MetricInputError(
            f"ball_dimensions is {width} but features are {real.shape[1]} wide; give at most {real.shape[1]}"
        )
    if window is not None:
        grey_step(window)
    if pixels is not None:
        pixels = inputs.pixels(pixels, "pixels")
    if train is not None:
        train = inputs.features(train, "train", least=2, width=real.shape[1]).to(real.device)
        train_group = inputs.group_numbers(train_groups, len(train), "train_groups")
    if train_pixels is not None:
        train_pixels = inputs.pixels(train_pixels, "train_pixels", like=None if pixels is None else pixels.shape[1:])
    centre = mean_of(real)
    ready = points(real, centre)
    ball_points = ready if width == real.shape[1] else points(first_columns(real, width), centre[:width])
    train_ready = None if train is None else points(first_columns(train, width), centre[:width])
    kernel_side = KernelSide(ready) if "kid" in asked else None
    (near, kernel), (moments, left_out) = run_side_by_side(
        lambda: _own_passes(ready, ball_points, kernel_side, needed),
        lambda: _prepare_frechet(ready, group) if "fid" in asked else (None, None),
        real.device,
    )
    train_near = None
    if train_ready is not None and {"authenticity", "memorised_rate"} & set(asked):
        train_near = find_neighbours(train_ready, (1,))
    memory = None
    if "memorised_rate" in asked and pixels is not None and train_pixels is not None:
        rows = new_rows(groups, train_groups, len(real))
        if len(rows) >= LEAST_NEW:
            distances = None
            if train_ready is not None and train_near is not None:
                distances = find_nearest_training(ball_points, train_ready, train_near).squared.cpu().numpy()[rows]
            memory = prepare_memory(train_pixels, pixels[rows], distances, group[rows])
    plausible = None
    if "implausible_rate" in asked and pixels is not None and pixels.shape[1] == 1 and window is not None:
        plausible = fit_range(measure_anatomy(pixels, window), group)
    return Reference(
        points=ready,
        ball_points=ball_points,
        centre=centre,
        group=group,
        block=blocks_of(group),
        ks=ks,
        metrics=asked,
        moments=moments,
        left_out=left_out,
        kernel=kernel,
        kernel_side=kernel_side,
        near=near,
        image_shape=None if pixels is None else pixels.shape[1:],
        histograms=histograms(pixels) if pixels is not None and "intensity_distance" in asked else None,
        train=train_ready,
        train_near=train_near,
        train_group=None if train is None else train_group,
        train_block=None if train is None else blocks_of(train_group),
        train_pixels=train_pixels,
        window=window,
        heads=heads,
        memory=memory,
        plausible=plausible,
        duplicate_distance=duplicate_distance(pixels) if pixels is not None and "duplicate_rate" in asked else None,
    )


def _prepare_frechet(ready: Points, group: Int64) -> tuple[Moments, LeftOutRows]:
    """Return the moments, and the rows that the error leaves out; of many single rows some show the spread."""
    moments, single = compute_moments(ready.raw), int(group.max()) + 1 == len(ready)
    return moments, prepare_rows(moments, ready, slice(0, ENOUGH if single else len(ready)))


def _own_passes(
    ready: Points, ball_points: Points, side: KernelSide | None, ks: tuple[int, ...]
) -> tuple[Neighbours | None, torch.Tensor | None]:
    """Return the reference's neighbours, and the kernel summed over its other rows."""
    sums = None if side is None else KernelSums(side, side)
    near = own_pass(ready, ball_points, sums, ks, keep=kept_neighbours(max(ks)) if ks else 0)
    return near, None if sums is None or side is None else sums.row_sums - side.own_kernel


def own_pass(
    own: Points, ball_points: Points, sums: KernelSums | None, ks: tuple[int, ...], keep: int
) -> Neighbours | None:
    """Fill the kernel sums of a set and return its neighbours, from one pass where both use all columns."""
    if ks and ball_points is own:
        return find_neighbours(own, ks, keep=keep, read_products=None if sums is None else sums.add_own_block)
    if sums is not None:
        for part, block in own_products(own):
            sums.add_own_block(part, block)
    return find_neighbours(ball_points, ks, keep=keep) if ks else None
