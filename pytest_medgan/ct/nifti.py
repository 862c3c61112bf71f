"""Read NIfTI volumes (needs the extra `volumes`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.ct.series import EDGE_TOLERANCE
from pytest_medgan.ct.volume_file import Volume, check_size, damaged_error
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64


def read_nifti(path: Path, name: str) -> Volume:
    """Read a NIfTI file; axes of length 1 after the third are dropped.

    Raises:
        DataError: The file is damaged, or holds several volumes or colours.
    """
    import nibabel

    beside = image_of_header(path)
    if beside is not None and not beside.is_file():
        raise DataError(
            "The header of a volume (.hdr) has no file of values (.img) beside it. Copy it again.", file=name
        )
    image: Any = nibabel.load(path)
    shape, dtype = image.shape, image.get_data_dtype()
    if dtype.kind not in "iuf" or len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise DataError("A NIfTI file is not one volume of numbers. Leave it out, or split it.", file=name)
    check_size(shape, dtype.itemsize, beside or path, name, compressed=path.suffix.lower() == ".gz")
    try:
        values = np.asarray(image.dataobj.get_unscaled()).reshape(shape[:3])
    except (OSError, ValueError, EOFError) as error:
        raise damaged_error(name) from error
    affine = np.asarray(image.affine, np.float64)
    codes = [int(image.header.get(code, 0)) for code in ("sform_code", "qform_code")]
    to_lps = np.diag([-1.0, -1.0, 1.0])  # NIfTI axes run to the right and to the front
    return Volume(
        values,
        slope=float(image.dataobj.slope),
        intercept=float(image.dataobj.inter),
        axes=to_lps @ affine[:3, :3],
        guessed=not any(codes),
        disputed=codes[0] > 0 and _is_disputed(image.header, affine[:3, :3], shape[:3], has_qform=codes[1] > 0),
    )


def _is_disputed(header: Any, sform: Float64, shape: tuple[int, ...], *, has_qform: bool) -> bool:
    """Return whether a header's qform, or its pixdim, places the last voxels elsewhere than its sform does.

    A qform cannot hold the shear of a tilted gantry, so the direction of the third axis is not compared. A qform that
    is no rotation, as one with a quaternion longer than 1, differs from every sform.
    """
    from nibabel.spatialimages import HeaderDataError

    lengths = np.linalg.norm(sform, axis=0)
    upright = abs(np.linalg.det(sform)) / np.linalg.norm(np.cross(sform[:, 0], sform[:, 1]))
    stated = np.asarray(header.get_zooms()[:3], np.float64)
    off = np.abs(lengths - stated)
    off[2] = min(off[2], abs(upright - stated[2]))  # pixdim may hold either length of a step along a sheared axis
    if has_qform:
        try:
            qform = np.asarray(header.get_qform(), np.float64)[:3, :3]
        except (ValueError, HeaderDataError):
            return True
        off[:2] = np.maximum(off[:2], np.linalg.norm((sform - qform)[:, :2], axis=0))
        if np.sign(np.linalg.det(sform)) != np.sign(np.linalg.det(qform)):
            return True
    return bool((off * shape).max() > EDGE_TOLERANCE)


def image_of_header(path: Path) -> Path | None:
    """Return the file with the values where `path` is the header of a pair; it need not exist. None for one file."""
    upper = path.suffix.isupper()
    return path.with_suffix(".IMG" if upper else ".img") if path.suffix.lower() == ".hdr" else None
