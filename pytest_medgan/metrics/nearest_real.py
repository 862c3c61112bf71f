"""The nearest reference image of every generated one, and its realism, for evidence."""

from __future__ import annotations

import torch


class NearestReal:
    """Nearest reference images and realism (Kynkaanniemi et al. 2019, equation 9), gathered block by block."""

    def __init__(self, radii: torch.Tensor, count: int) -> None:
        """Start without any of the `count` generated images; `radii` are the squared radii of real balls [N]."""
        self._radii = radii.float()
        self.index = torch.zeros(count, dtype=torch.int64, device=radii.device)  # [M], row of the reference
        self.distance = torch.zeros(count, dtype=torch.float32, device=radii.device)  # [M]
        self.realism = torch.zeros(count, dtype=torch.float32, device=radii.device)  # [M], largest radius over distance

    def add_block(self, squared: torch.Tensor, part: slice) -> None:
        """Add squared distances from the generated rows `part` to all reference rows."""
        least, self.index[part] = squared.min(1)
        self.distance[part] = least.sqrt()
        # a ball without extent holds the image at its centre: 0 / 0 is 1
        self.realism[part] = (self._radii / squared).nan_to_num_(1.0, posinf=torch.inf).amax(1).sqrt()
