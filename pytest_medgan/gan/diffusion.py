"""Diffusion models of MONAI as networks from noise to images: a network, its scheduler, and an autoencoder or none."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.ground.digests import digest_array


class Diffusion(nn.Module):
    """A diffusion model that is sampled by an inferer of MONAI: noise float32 [N,C,H,W] -> images."""

    def __init__(self, network: nn.Module, inferer: Any, autoencoder: nn.Module | None, steps: int) -> None:
        super().__init__()
        self.network, self.autoencoder = network, autoencoder
        self._inferer, self._steps = inferer, steps
        self._settings = describe_scheduler(inferer.scheduler)

    def forward(self, noise: Tensor, class_labels: Tensor | None = None, seg: Tensor | None = None) -> Tensor:
        """Return images after all steps; the noise that a scheduler adds comes from torch's random numbers.

        Raises:
            CheckpointError: The network needs a class or masks that were not given, or takes none.
        """
        for said, knows, name in ((class_labels, "num_class_embeds", "class"), (seg, "label_nc", "masks")):
            takes = getattr(self.network, knows, None) is not None
            if takes != (said is not None):
                problem, action = ("needs", "Add") if takes else ("does not take", "Leave out")
                raise CheckpointError(f"The diffusion model {problem} a condition. {action} {name}=.")
        self._inferer.scheduler.set_timesteps(self._steps)  # it forgets the steps of the images before
        further: dict[str, Any] = {} if self.autoencoder is None else {"autoencoder_model": self.autoencoder}
        if seg is not None:
            further["seg"] = seg
        given = {"class_labels": class_labels, "seg": seg}
        network = partial(self.network, **{name: value for name, value in given.items() if value is not None})
        images: Tensor = self._inferer.sample(input_noise=noise, diffusion_model=network, verbose=False, **further)
        return images

    def extra_repr(self) -> str:
        """Return what besides weights decides about the images, for the identity."""
        scale = getattr(self._inferer, "scale_factor", 1.0)
        return f"{type(self._inferer).__name__}, scale {float(scale):.9g}, {self._steps} steps, {self._settings}"


def combine_parts(parts: tuple[Any, ...], steps: int | None) -> Diffusion:
    """Return the diffusion model that a function built in parts.

    Args:
        parts: `(network, scheduler)`, `(network, inferer)` or `(network, inferer, autoencoder)`, of MONAI.
        steps: Steps of sampling; None takes those that the scheduler is set to, or all of its training.

    Raises:
        CheckpointError: MONAI is not installed, or the parts are others.
        SettingsError: The scheduler does not take so many steps.
    """
    try:
        from monai.inferers.inferer import DiffusionInferer, LatentDiffusionInferer
        from monai.networks.schedulers.scheduler import Scheduler
    except ImportError:
        raise CheckpointError(
            "A network with a scheduler is sampled by MONAI. Install it by pip install 'pytest-medgan[monai]'."
        ) from None
    network, inferer, *others = (*parts, None, None)[: max(len(parts), 2)]
    if isinstance(inferer, Scheduler):
        inferer = DiffusionInferer(inferer)
    is_latent = isinstance(inferer, LatentDiffusionInferer)
    if (
        not isinstance(network, nn.Module)
        or not isinstance(inferer, DiffusionInferer)
        or len(others) != is_latent
        or not all(isinstance(each, nn.Module) for each in others)
    ):
        found = ", ".join(type(part).__name__ for part in parts)
        raise CheckpointError(
            f"The generator is built in parts of type {found}. Return (network, scheduler), (network, inferer) or "
            "(network, inferer, autoencoder), of MONAI."
        )
    scheduler: Any = inferer.scheduler
    chosen = steps or scheduler.num_inference_steps or scheduler.num_train_timesteps
    try:
        scheduler.set_timesteps(chosen)
    except ValueError as error:
        raise SettingsError(
            f"The scheduler does not take {chosen} steps; it was trained with {scheduler.num_train_timesteps}. Correct "
            "steps=."
        ) from error
    return Diffusion(network, inferer, others[0] if others else None, chosen)


def describe_scheduler(scheduler: Any) -> str:
    """Return a scheduler's type and settings as text that is equal for equal settings."""
    settings = []
    for name, value in sorted(vars(scheduler).items()):
        if isinstance(value, Tensor):
            settings.append(f"{name}={digest_array(value.detach().cpu().to(torch.float64).numpy())[:16]}")
        elif isinstance(value, bool | int | float | str | list | tuple) and not name.startswith("_"):
            settings.append(f"{name}={value!r}")
    return f"{type(scheduler).__name__}({', '.join(settings)})"
