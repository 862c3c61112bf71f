"""Find out how a foreign network is called and what it returns: latent size, range of values, repeatability.

The network is called as it will be when images are drawn, on latents of a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.sampling import exact_convolutions

USUAL_LATENTS = (100, 512, 128, 64, 256)
PROBES = 8  # images that tell the range of a model's values
PROBED_VOLUMES = 2  # the same of volumes, of which eight may not fit into memory
GREY_LEVEL = 2.0 / 255.0  # of values in -1..1
# A last layer that is linear overshoots, so the range of values is judged by shares of them. Measured on eight images
# at a time, of CT and of phantoms: linear models of 0..1 have up to 0.04 of their values below DARK; images in -1..1
# have 0.2 and more, crops inside a tumour 0.09 and more.
MOST = 1.5  # beyond it values are not in -1..1
FEW_BEYOND = 0.01  # share that may lie there; values in standard deviations have more
FEW_BEYOND_SAID = 0.1  # the same where a range was said
DARK = -0.25  # of values in -1..1; every slice of CT has values below it: air, lung and fat
FEW_DARK = 0.06  # a model with a smaller share below DARK may mean 0..1
# By how much an image may depend on the others of its batch. Measured: 0 in float32 and bfloat16, 0.02 where
# activations are quantised together; in train mode 0.04 after a few steps of training, and about 1 later.
MOST_COUPLED = 4 * GREY_LEVEL

Network = Callable[[Tensor], Tensor]  # float32 [N,latent] -> [N,C,H,W]


class Rescaled(nn.Module):
    """A model whose images are brought from another range to -1..1."""

    def __init__(self, network: nn.Module, black: float, white: float) -> None:
        super().__init__()
        self.network, self.black, self.white = network, black, white

    def forward(self, z: Tensor) -> Tensor:
        """Return images in -1..1."""
        return rescale(self.network(z), (self.black, self.white))


def rescale(images: Tensor, values: tuple[float, float]) -> Tensor:
    """Return images brought from the values of black and white to -1..1."""
    black, white = values
    return (images - black) * (2.0 / (white - black)) - 1.0


def probing_latents(latent: int, seed: int = 0) -> Tensor:
    """Return the latents that a network is tried with, float32 [PROBES,latent]."""
    return torch.randn(PROBES, latent, generator=torch.Generator().manual_seed(seed))


def try_latents(
    network: Network,
    candidates: Sequence[int],
    *,
    device: str,
    file: str | None = None,
    action: str = "call the model in Python to see what it says",
    explain: Callable[[Exception], str] | None = None,
) -> tuple[int, Tensor]:
    """Return the first dimension that a network takes, and the images of two latents.

    Args:
        network: The network.
        candidates: The dimensions to try.
        device: "cpu" or "cuda".
        file: The file that errors name.
        action: What else may help where the dimension is right, in words.
        explain: Says in words what the network raises and where; None leaves it out.

    Raises:
        CheckpointError: It takes none of them.
    """
    problem: Exception | None = None
    misfit: tuple[int, Tensor] | None = None  # of a dimension that is taken for several latents of another
    other: type | None = None  # what it returns in place of a tensor
    for latent in candidates:
        try:
            with torch.no_grad(), exact_convolutions():
                images = network(torch.zeros(2, latent, device=device))
        except CheckpointError:
            raise
        except Exception as error:  # a wrong dimension may raise anything inside a foreign model
            problem = error
            continue
        if not isinstance(images, Tensor):
            other = type(images)
            continue
        if images.ndim and len(images) == 2:
            return latent, images
        misfit = misfit or (latent, images)
    if misfit is not None:
        return misfit
    if other is not None:
        raise CheckpointError(
            f"The model returns a {other.__name__}. Make it return the images alone, [N,C,H,W].", file=file
        )
    cause = "" if explain is None or problem is None else f" ({explain(problem)})"
    if len(candidates) == 1:
        raise CheckpointError(
            f"The model fails on latents of {candidates[0]} numbers{cause}. Correct latent=, or {action}.", file=file
        ) from problem
    raise CheckpointError(
        "The model does not say how many numbers a latent has, and fails on "
        f"{', '.join(map(str, candidates))}{cause}. Put latent=NUMBER behind the name, such as generator.pt,latent=32.",
        file=file,
    ) from problem


def check_shape(images: Tensor, count: int, *, is_volume: bool = False, file: str | None = None) -> None:
    """Raise CheckpointError where images are not [count,C,H,W], or volumes not [count,1,D,H,W]."""
    shape = list(images.shape)
    if is_volume and images.ndim == 5 and shape[:2] == [count, 1]:
        return
    if images.ndim == 4 and shape[0] == count and not (shape[3] in (1, 3) and shape[1] not in (1, 3)):
        return
    if images.ndim == 5 and is_volume:
        problem = f" Make it return volumes of one channel, [{count},1,D,H,W], or slices, [{count},C,H,W]."
    elif images.ndim == 5:
        problem = " These are volumes. Make it return slices, [N,C,H,W]."
    elif images.ndim == 4 and shape[0] == count:
        problem = f" Channels come last. Make it return [{count},{shape[3]},{shape[1]},{shape[2]}]."
    else:
        problem = f" Make it return [{count},C,H,W]."
    raise CheckpointError(f"The model returns {shape} for {count} latents.{problem}", file=file)


def find_volume_shape(images: Tensor) -> tuple[int, int, int] | None:
    """Return the shape [D,H,W] of volumes; None for images."""
    return (images.shape[2], images.shape[3], images.shape[4]) if images.ndim == 5 else None


def check_network(
    network: Network,
    latent: int,
    *,
    device: str,
    is_said: bool,
    count: int = PROBES,
    file: str | None = None,
    tolerance: float = 0.0,
) -> None:
    """Draw some images twice, among others; raise CheckpointError where they differ or do not lie in -1..1.

    Args:
        network: The network, its images already brought to -1..1 where a range was said.
        latent: Dimension of its latent.
        device: "cpu" or "cuda".
        is_said: A range was said.
        count: Images to draw, at most PROBES.
        file: The file that errors name.
        tolerance: By how much the same image may differ from one call to the next, in values of -1..1.

    Raises:
        CheckpointError: The images lie in another range, may be meant as 0..1, differ from one call to the next, or
            depend on the others of their batch.
    """
    z = probing_latents(latent)[:count].to(device)
    with torch.no_grad(), exact_convolutions():
        first = network(z)
        check_range(first, is_said=is_said, file=file)
        check_companions(network, z, first, tolerance=tolerance, file=file)


def check_range(images: Tensor, *, is_said: bool, file: str | None = None) -> None:
    """Raise CheckpointError where values are not in -1..1, or may be meant as 0..1 and no range was said."""
    images = images.float()
    low, high = float(images.min()), float(images.max())
    if not math.isfinite(low + high):
        raise CheckpointError(
            "The model draws pixels that are NaN or infinite. Use an earlier checkpoint, or mend its last layers.",
            file=file,
        )
    beyond, dark = _share(images.abs() > MOST), _share(images < DARK)
    if beyond > (FEW_BEYOND_SAID if is_said else FEW_BEYOND):
        where = "the range that was said (brought to -1..1, they are" if is_said else "-1..1 (they are"
        raise CheckpointError(
            f"The model's values lie outside {where} {low:.3g} to {high:.3g}, {beyond:.0%} of them beyond -{MOST} to "
            f"{MOST}). Make it end in -1..1, or say "
            "what it returns for black and white by range=0:255 behind the name.",
            file=file,
        )
    if not is_said and dark < FEW_DARK and high > low:
        raise CheckpointError(
            f"The model returns {low:.2f} to {high:.2f}, {dark:.0%} of it below {DARK}, where -1 to 1 is expected. Say "
            "what it returns for black and white: range=0:1 or range=-1:1 behind the name.",
            file=file,
        )


def _share(chosen: Tensor) -> float:
    """Return the share of values that are True."""
    return float(chosen.float().mean())


def check_companions(
    network: Network, z: Tensor, first: Tensor, *, tolerance: float = 0.0, file: str | None = None
) -> None:
    """Raise CheckpointError where images depend on the others of their batch, or on how often the network was called.

    Every second latent is replaced and the number kept, so the same algorithms compute the images that stay.

    Args:
        network: The network, its images in -1..1.
        z: Latents [N,latent].
        first: What the network returned for them.
        tolerance: By how much the same image may differ from one call to the next.
        file: The file that errors name.

    Raises:
        CheckpointError: The same latents give other images.
    """
    mixed = z.clone()
    mixed[1::2] = probing_latents(z.shape[1], seed=1)[: len(z)][1::2].to(z)
    kept, again = first[::2], network(mixed)[::2]
    if torch.equal(kept, again):
        return
    check_repeats(first, network(z), tolerance=tolerance, file=file)  # noise is another problem
    difference = float((kept - again).abs().max()) if kept.shape == again.shape else math.inf
    if not difference <= MOST_COUPLED:
        raise CheckpointError(
            "The model's images depend on the other images of their batch, as in batch normalisation in train mode. "
            "Export or build it in eval mode.",
            file=file,
        )


def check_repeats(first: Tensor, again: Tensor, *, tolerance: float = 0.0, file: str | None = None) -> None:
    """Raise CheckpointError where two drawings of the same images differ by more than a tolerance."""
    if first.shape == again.shape and float((first - again).abs().max()) <= tolerance:
        return
    raise CheckpointError(
        "The model draws other images when it is called again with the same latents. Make its noise an input or a "
        "constant, and export or build it in eval mode.",
        file=file,
    )
