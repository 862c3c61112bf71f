"""Write the images that a toy module of a test draws as the real images of a project."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PATIENTS = 16


def write_real_images(file: Path, source: str, function: str, *, each: int, first_seed: int = 100) -> None:
    """Write an .npz of images of 16 patients.

    Args:
        file: The file to write.
        source: The code of the toy module.
        function: The name of its function `(count, seed) -> uint8 [count,1,H,W]`.
        each: Images of each patient.
        first_seed: The seed of the first patient; the others follow.
    """
    names: dict[str, object] = {}
    exec(source, names)
    draw = names[function]
    assert callable(draw)
    pixels = np.concatenate([draw(each, first_seed + patient) for patient in range(PATIENTS)])
    np.savez(file, pixels=pixels, patient=np.repeat(np.arange(PATIENTS), each).astype(str))
