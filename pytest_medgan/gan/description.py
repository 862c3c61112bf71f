"""What an exported file says of its own images, so that nobody has to repeat it in options."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from pytest_medgan.errors import CheckpointError

ENTRY = "medgan.json"  # in the extra files of torch.export and TorchScript


@dataclass(frozen=True)
class Description:
    """What an exported file says of itself."""

    candidates: tuple[int, ...] = ()  # the dimension of its latents, or nothing
    values: tuple[float, float] | None = None  # of black and white
    noise: int = 0  # numbers of the latents that are noise of the network's layers, the last ones


def read_description(text: str | bytes, file: str) -> Description:
    """Return what a file says of itself; nothing where it has no such entry.

    Args:
        text: The entry's content, empty where there is none.
        file: The file that errors name.

    Raises:
        CheckpointError: The entry is no description.
    """
    if not text:
        return Description()
    try:
        said = json.loads(text)
        latent, (black, white) = said["latent"], map(float, said["range"])
        noise = said.get("noise", 0)
        if not (type(latent) is type(noise) is int and 0 <= noise < latent) or not (
            math.isfinite(black) and black < white < math.inf
        ):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"The file's description of itself ({ENTRY}) cannot be read. Convert the network again.", file=file
        ) from error
    return Description((latent,), (black, white), noise)
