"""Read NIfTI volumes (needs the extra `volumes`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.ct.volume_file import Volume, check_size, damaged_error
from pytest_medgan.errors import DataError


def read_nifti(path: Path, name: str) -> Volume:
    """Read a NIfTI file; axes of length 1 after the third are dropped.

    Raises:
        DataError: The file is damaged, or holds several volumes or colours.
    """
    import nibabel

    image: Any = nibabel.load(path)
    shape, dtype = image.shape, image.get_data_dtype()
    if dtype.kind not in "iuf" or len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise DataError("A NIfTI file is not one volume of numbers. Leave it out, or split it.", file=name)
    check_size(shape, dtype.itemsize, path, name, compressed=path.suffix.lower() == ".gz")
    try:
        values = np.asarray(image.dataobj.get_unscaled()).reshape(shape[:3])
    except (OSError, ValueError, EOFError) as error:
        raise damaged_error(name) from error
    affine = np.asarray(image.affine, np.float64)
    to_lps = np.diag([-1.0, -1.0, 1.0])  # NIfTI axes run to the right and to the front
    return Volume(
        values,
        slope=float(image.dataobj.slope),
        intercept=float(image.dataobj.inter),
        axes=to_lps @ affine[:3, :3],
        guessed=not any(int(image.header.get(code, 0)) for code in ("sform_code", "qform_code")),
    )
