"""What pictures and explanations need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_medgan.records.arrays import Bool, Float32, Float64, Int64, UInt8


@dataclass(frozen=True, eq=False)
class Evidence:
    """Arrays for reports. They concern the first sample group unless said otherwise."""

    fake_in_real: Bool | None = None  # [M], inside the real manifold (improved precision, k=3)
    real_in_fake: Bool | None = None  # [N], inside the generated manifold (improved recall, k=3)
    nearest_real: Int64 | None = None  # [M], index of the nearest reference image
    nearest_real_distance: Float32 | None = None  # [M]
    realism: Float32 | None = None  # [M], max over real balls of radius / distance; < 1 lies outside
    nearest_train: Int64 | None = None  # [M], index of the nearest training image
    nearest_train_distance: Float32 | None = None  # [M]
    copies: Int64 | None = None  # [*,2], (generated, training) pairs that are near-identical in pixels
    duplicates: Int64 | None = None  # [*,2], (generated, generated) pairs that are near-identical
    anomalies: Int64 | None = None  # [*,2], generated image and what is wrong: its place in `Alteration`
    implausible: Int64 | None = None  # [*,2], generated image and what no real image shows: place in `Implausibility`
    memorised: Int64 | None = None  # [*,2], (generated, training) pairs that are alike once moved, turned or mirrored
    memorised_patients: Float64 | None = None  # [3], training patients copied, all of them, copied by chance
    membership: Float64 | None = None  # [2], area under the curve of a membership attack by patient, and its error
    ks: Int64 | None = None  # [K]
    sweep: Mapping[str, Float64] = field(
        default_factory=dict
    )  # metric -> [K], and "real:" or "baseline:" before it for these rows
    prd_curve: Float64 | None = None  # [angles,2], columns precision, recall
    prd_curve_real: Float64 | None = None  # of held-out real images
    prd_curve_baseline: Float64 | None = None  # of the accepted model
    coordinates: Float32 | None = None  # [P,2], t-SNE of real then generated
    coordinate_is_real: Bool | None = None  # [P]
    coordinate_index: Int64 | None = None  # [P], row in its own set
    histogram_real: Int64 | None = None  # [256], pixels at each level; in colour [3,256], of each channel
    histogram_fake: Int64 | None = None  # [256] or [3,256]
    thumbnails_fake: UInt8 | None = None  # [T,h,w], or in colour [T,h,w,3], as all of them
    thumbnail_fake_index: Int64 | None = None  # [T]
    thumbnails_real: UInt8 | None = None  # [T,h,w], only where real images were asked for
    thumbnail_real_index: Int64 | None = None  # [T]
    real_samples: Int64 | None = None  # [*], rows of the reference set that a contact sheet shows, of many patients
    thumbnails_train: UInt8 | None = None  # [T,h,w], training images behind suspected copies, on the same condition
    thumbnail_train_index: Int64 | None = None  # [T]
    thumbnails_baseline: UInt8 | None = None  # [T,h,w], the accepted model's first images, where kept
    window: tuple[float, float] | None = None  # HU of grey 0 and 255
    ties: int | None = None  # distances exactly equal to a radius
    count: int | None = None  # generated images that kept curves were measured on
