"""Volumes of a generator, or already made in a folder: measured slice by slice, or whole by an extractor of volumes.

The volume is the sampling unit. A sample group takes whole volumes, but for the last, of which it takes as many slices
as are left; errors take the slices of a volume together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.errors import CheckpointError, DataError, SettingsError
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import DataSettings, ImageSource, Int64, Names, Progress, UInt8, no_progress

if TYPE_CHECKING:
    from pytest_medgan.ct.store import Prepared

LEAST_VOLUMES = 8  # per sample group; the error of fewer is itself hardly known


def is_volume_folder(path: Path) -> bool:
    """Return whether a folder holds volumes or DICOM files, as the readers of real images know them."""
    from pytest_medgan.ground.listing import VOLUMES, list_files

    return any(file.kind in (*VOLUMES, "dicom") for file in list_files(path))


def middle_slices(pixels: UInt8) -> UInt8:
    """Return the middle axial slice of each volume, uint8 [N,1,H,W], of [N,1,D,H,W]; images as they are."""
    return pixels[:, :, pixels.shape[2] // 2] if pixels.ndim == 5 else pixels


# ---------------------------------------------------------------------------------------------------------------- drawn


def flatten_volumes(pixels: UInt8) -> UInt8:
    """Return volumes [N,1,D,H,W] as images that hold the same numbers, [N,1,D*H,W]; images as they are."""
    return pixels.reshape(*pixels.shape[:2], -1, pixels.shape[-1]) if pixels.ndim == 5 else pixels


def slice_volumes(source: ImageSource, data: DataSettings, size: int) -> ImageSource:
    """Return a generator of volumes as one of their slices; under planes=volume it stays one of volumes.

    Args:
        source: The generator; it has a `volume_shape`.
        data: How the real images were cut: `planes` and `slices`.
        size: Pixels of a real image, a side.

    Raises:
        CheckpointError: The volumes have another size than the real images, or there are none where there must be.
    """
    from pytest_medgan.ct.planes import AXIAL, WHOLE, count_slices

    shape = source.volume_shape
    if shape is None and data.planes == WHOLE:
        raise CheckpointError(
            "The generator draws images, and planes=volume compares whole volumes. Make it draw volumes and give it "
            "the attribute volume_shape, their (D, H, W), or choose planes=axial."
        )
    if shape is None:
        return source
    if shape[1:] != (size, size) or (data.planes != AXIAL and shape[0] != size):
        wanted = f"(D, {size}, {size})" if data.planes == AXIAL else f"({size}, {size}, {size})"
        raise CheckpointError(
            f"The generator draws volumes {shape}, and the real images are {size}x{size}, planes={data.planes}. Make "
            f"it draw {wanted}, or set size= of the real images."
        )
    if data.planes == WHOLE:
        return replace(source, groups=None)  # each volume is an image of its own
    each = count_slices(shape, data.planes, data.slices)

    def draw(count: int, seed: int) -> UInt8:
        parts = _parts_of(count, each)
        cut = partial(_cut, data=data, shape=shape)
        if source.draw_range is None:
            volumes = cut(source.draw(len(parts), seed), len(parts))
        else:  # one at a time, so that whole volumes need not all be held
            volumes = np.concatenate([cut(source.draw_range(at, at + 1, seed), 1) for at in range(len(parts))])
        return np.concatenate([volume[part] for volume, part in zip(volumes, parts, strict=True)])[:, None]

    def groups(count: int, seed: int) -> Names:
        sizes = [len(part) for part in _parts_of(count, each)]
        return np.repeat([f"volume {at}" for at in range(len(sizes))], sizes)

    return replace(
        source,
        draw=draw,
        draw_range=None,  # a look takes a random part of every volume, never the first volumes alone
        identity=source.identity and digest_values("slices", source.identity, data.planes, data.slices),
        groups=groups,
        volume_shape=None,
    )


def count_volumes(groups: Sequence[Names | None]) -> int:
    """Return how many volumes the images of each sample group are slices of, the smallest number.

    Args:
        groups: The volume of each image, one array [n] per sample group.
    """
    return min(0 if group is None else len(np.unique(group)) for group in groups)


def check_volumes(groups: Sequence[Names | None]) -> None:
    """Raise SettingsError where too few volumes make a sample group; `groups` is that of `count_volumes`."""
    count = count_volumes(groups)
    if count < LEAST_VOLUMES:
        raise SettingsError(
            f"A sample group is cut from {count} volumes, and errors need at least {LEAST_VOLUMES}. Raise "
            "--medgan-samples, or take fewer slices of each volume (slices= in --medgan-data)."
        )


def _parts_of(count: int, each: int) -> list[Int64]:
    """Return the slices taken of each volume, of `count` in all: every volume whole, the last one evenly thinned."""
    whole, left = divmod(count, each)
    parts = [np.arange(each)] * whole
    return [*parts, np.arange(left) * each // left] if left else parts


def _cut(volumes: Any, count: int, *, data: DataSettings, shape: tuple[int, int, int]) -> UInt8:
    """Return the slices of each volume, uint8 [count,S,size,size]."""
    from pytest_medgan.ct.planes import cut_planes

    array = np.asarray(volumes)
    if array.dtype != np.uint8 or array.shape != (count, 1, *shape):
        raise CheckpointError(
            f"The generator returned {array.dtype} {list(array.shape)} where its volume_shape promises uint8 "
            f"{[count, 1, *shape]}. Correct one of them."
        )
    return np.stack([cut_planes(volume, data.planes, data.slices) for volume in array[:, 0]])


# --------------------------------------------------------------------------------------------------------- already made


class VolumePool:
    """Draw slices of volumes already made. Each seed has volumes of its own; none is used twice."""

    def __init__(self, prepared: Prepared, seeds: Sequence[int]) -> None:
        self.identity = digest_values("volumes", prepared.digest, *seeds)
        self.window = prepared.window
        self._pixels, self._groups = prepared.pixels, prepared.groups
        self.volume_shape = prepared.pixels.shape[2:] if prepared.pixels.ndim == 5 else None
        names, sizes = np.unique(prepared.groups, return_counts=True)
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(names))
        self._volumes = {seed: names[order[place :: len(seeds)]] for place, seed in enumerate(seeds)}
        self._sizes = dict(zip(names.tolist(), sizes.tolist(), strict=True))

    @property
    def pixels(self) -> UInt8:
        """All slices of all volumes, uint8 [N,1,H,W]; under planes=volume the volumes, uint8 [N,1,D,H,W]."""
        return self._pixels

    def __call__(self, count: int, seed: int) -> UInt8:
        """Return `count` slices of the volumes of a seed, uint8 [count,1,H,W], or as many volumes [count,1,D,H,W]."""
        return self._pixels[self._rows(count, seed)]

    def groups(self, count: int, seed: int) -> Names:
        """Return the volume of each of these slices, [count]."""
        return self._groups[self._rows(count, seed)]

    def _rows(self, count: int, seed: int) -> Int64:
        """Return the rows of the slices that a seed names: every volume whole, the last one evenly thinned."""
        found: list[Int64] = []
        left = count
        for name in self._volumes[seed]:
            if left == 0:
                break
            own = np.flatnonzero(self._groups == name)
            taken = min(left, len(own))
            found.append(own[np.arange(taken) * len(own) // taken])
            left -= taken
        if left:
            held = sum(self._sizes[name] for name in self._volumes[seed].tolist())
            raise CheckpointError(
                f"The folder of volumes holds {held} slices of {len(self._volumes[seed])} volumes for seed {seed}, and "
                f"{count} were asked for. Ask for fewer with --medgan-samples or --count, give fewer seeds, since each "
                "has volumes of its own, or generate more."
            )
        return np.concatenate(found)


def read_volumes(
    path: Path,
    data: DataSettings,
    seeds: Sequence[int],
    *,
    window: tuple[float, float] | None,
    cache_dir: Path,
    progress: Progress = no_progress,
) -> VolumePool:
    """Return the volumes in a folder as a generator: read, windowed and cut as the real images were.

    Args:
        path: A folder of NIfTI, NRRD or MetaImage volumes, or of DICOM series.
        data: The settings of the real images that took effect.
        seeds: The latent seeds that will be asked for; each gets volumes of its own.
        window: The HU of grey 0 and 255 in the real images; None where they have none.
        cache_dir: Folder where prepared images are kept.
        progress: Called while files are read.

    Raises:
        CheckpointError: A file cannot be used; none is passed over. The error names the file.
        DataError: The real images have no window.
    """
    from pytest_medgan.ct import load

    if window is None:
        raise DataError(
            "The real images have no window of HU, so volumes of HU cannot be brought to their grey levels. Give real "
            "images as studies or volumes, or an array with `window`."
        )
    settings = DataSettings(
        source=str(path),
        split="slice",
        crop=data.crop,
        roi=data.roi if data.crop == "tumour" else None,
        crop_size=data.crop_size,
        size=data.size,
        window=window,
        slices=data.slices,
        planes=data.planes,
        strict=True,  # a sample that is left out would flatter the generator
        generated=True,
    )
    try:
        prepared = load.prepare(settings, cache_dir=cache_dir, progress=progress)
    except DataError as error:
        raise CheckpointError(str(error), file=error.file) from error
    return VolumePool(prepared, seeds)
