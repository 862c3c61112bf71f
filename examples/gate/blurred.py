"""The accepted model with its images blurred a little: what an innocent change of the last layer may do."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from pytest_medgan.gan import load_generator

SIGMA = 0.8  # pixels
ACCEPTED = load_generator(str(Path(__file__).parents[2] / "fixtures" / "dcgan_phantom_128.safetensors"))


class Blurred:
    """A generator: `draw(count, seed)`."""

    identity = f"{ACCEPTED.identity}, blurred by {SIGMA}"
    window = ACCEPTED.window

    def __call__(self, count, seed):
        """Return `count` images of the sequence that `seed` names, uint8 [N,1,128,128]."""
        return self.sample_range(0, count, seed)

    def sample_range(self, start, stop, seed):
        """Return a part of that sequence, so that a later look draws its new images alone."""
        sharp = ACCEPTED.sample_range(start, stop, seed).astype(np.float32)
        return np.rint(gaussian_filter(sharp, (0, 0, SIGMA, SIGMA), mode="nearest")).astype(np.uint8)


draw = Blurred()
