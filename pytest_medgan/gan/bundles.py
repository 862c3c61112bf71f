"""Bundles of MONAI (extra `monai`): a folder whose configuration builds a network and names the file of its weights.

A configuration names Python code, which MONAI runs while it reads it, so a bundle is used only where it is trusted. Its
weights are read with weights_only. Two kinds are known, by the names that MONAI's own model zoo uses: a network from
latents to images (`network_def`), and a diffusion model (`diffusion_def` or `network_def`, with `scheduler` or
`noise_scheduler`), in the latents of an autoencoder (`autoencoder_def`) or without one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.bundle_parts import SCHEDULERS, Bundle, find_configuration, quiet
from pytest_medgan.gan.diffusion import Diffusion, combine_parts
from pytest_medgan.gan.models import Model, ModelGenerator, check_model, to_tensor
from pytest_medgan.gan.probing import USUAL_LATENTS, try_latents
from pytest_medgan.gan.sampling import choose_device
from pytest_medgan.gan.seeding import seeded
from pytest_medgan.gan.state_files import digest_weights
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import Progress, no_progress


def from_bundle(
    path: Path,
    *,
    is_trusted: bool,
    latent: tuple[int, ...] | None = None,
    values: tuple[float, float] | None = None,
    steps: int | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> ModelGenerator:
    """Return the generator of a bundle of MONAI.

    Args:
        path: Its folder, with `configs/inference.json` (or .yaml) and `models/model.pt`.
        is_trusted: The user said that the code that the bundle names may run.
        latent: Shape of a latent or of the noise; None takes what the configuration says.
        values: What it returns for black and white; None stands for 0 and 1 where its post-processing ends in a
            sigmoid, and else for -1 and 1.
        steps: Steps of a diffusion model; None takes what the configuration sets.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The bundle is not trusted, MONAI is not installed, a part is missing or cannot be built, the
            weights do not fit, or it draws images in another range, or other images each time.
        SettingsError: The scheduler does not take so many steps, or the machine has no such device.
    """
    configuration = find_configuration(path)
    if configuration is None:
        raise CheckpointError("The folder is no bundle: it has no configs/inference.json.", file=path.name)
    if not is_trusted:
        raise CheckpointError(
            "The folder is a bundle of MONAI, whose configuration may run any Python code. Add trust=yes behind its "
            "name if you trust it.",
            file=path.name,
        )
    chosen = choose_device(device)
    with _importing_from(path), seeded(0, 0):
        bundle = Bundle(path, configuration, chosen)
        scheduler = next((name for name in SCHEDULERS if bundle.has(name)), None)
        if scheduler is not None:
            network: nn.Module = _build_diffusion(bundle, scheduler, steps)
            shape = latent or bundle.noise_shape()
            _check_noise(shape, path)
        elif steps is not None:
            raise CheckpointError("The bundle has no scheduler. Leave steps= out.", file=path.name)
        else:
            network, shape = bundle.network(), latent or bundle.latent_shape()
        network.eval().to(chosen)
        is_sigmoid = bundle.ends_in_sigmoid()
        draw = _function(network, shape, is_sigmoid)
        known = (math.prod(shape),) if shape else USUAL_LATENTS
        found, images = try_latents(draw, known, device=device, file=path.name)
        black_white = values or ((0.0, 1.0) if is_sigmoid else None)
        model = Model(draw, "bundle", shape or (found,), black_white, chosen, draws_volumes=images.ndim == 5)
        try:
            volume_shape = check_model(model, model.values, takes_volumes=True)
        except CheckpointError as error:
            raise CheckpointError(str(error), file=path.name) from error
    how = (model.shape, model.values or (-1.0, 1.0), is_sigmoid, repr(network), digest_weights(network))
    identity = digest_values(bundle.version, bundle.sources(), *how)
    return ModelGenerator(model, network, identity=identity, progress=progress, volume_shape=volume_shape)


def _check_noise(shape: tuple[int, ...] | None, path: Path) -> None:
    """Raise CheckpointError where the noise of a diffusion model is not [C,H,W] or, for volumes, [C,D,H,W]."""
    if shape is None:
        raise CheckpointError(
            "The bundle does not say the shape of its noise. Put latent=CxHxW behind its name, such as latent=1x32x32.",
            file=path.name,
        )
    if len(shape) not in (3, 4):
        raise CheckpointError(
            f"The bundle's noise is {list(shape)}, where [C,H,W] is expected, or [C,D,H,W] for volumes. Correct "
            "latent=.",
            file=path.name,
        )


def _build_diffusion(bundle: Bundle, scheduler: str, steps: int | None) -> nn.Module:
    """Return a bundle's diffusion model, sampled by the bundle's own sampler where it has one."""
    network, autoencoder, plan = bundle.network(), bundle.autoencoder(), bundle.part(scheduler)
    if steps is None and bundle.has("set_timesteps"):
        bundle.part("set_timesteps")
    sampler = next((bundle.part(name) for name in ("sampler", "inferer") if bundle.has(name)), None)
    own = getattr(sampler, "sampling_fn", None)
    if autoencoder is None:
        return combine_parts((network, plan), steps)
    from monai.inferers.inferer import LatentDiffusionInferer

    scale = float(bundle.part("scale_factor")) if bundle.has("scale_factor") else 1.0
    built = combine_parts((network, LatentDiffusionInferer(plan, scale_factor=scale), autoencoder), steps)
    if not callable(own):
        return built
    conditioning = bundle.part("conditioning") if bundle.has("conditioning") else None
    return _OwnSampler(built, own, plan, conditioning)


class _OwnSampler(nn.Module):
    """A latent diffusion model that the bundle's own code samples."""

    def __init__(self, parts: Diffusion, sample: Callable[..., Tensor], scheduler: Any, condition: Any) -> None:
        super().__init__()
        self.parts = parts
        self._sample, self._scheduler, self._steps = sample, scheduler, scheduler.num_inference_steps
        self.condition = nn.Buffer(condition.detach().clone()) if isinstance(condition, Tensor) else None

    def forward(self, noise: Tensor) -> Tensor:
        """Return images after all steps."""
        self._scheduler.set_timesteps(self._steps)
        condition = self.condition
        further = () if condition is None else (condition.expand(len(noise), *condition.shape[1:]),)
        with quiet():
            return self._sample(noise, self.parts.autoencoder, self.parts.network, self._scheduler, *further)


def _function(network: nn.Module, shape: tuple[int, ...] | None, is_sigmoid: bool) -> Callable[[Tensor], Tensor]:
    """Return a network as a function float32 [N,numbers] -> [N,C,H,W]."""
    decode = next((getattr(network, name) for name in ("decode_forward", "decode") if hasattr(network, name)), network)

    def draw(z: Tensor) -> Tensor:
        images = to_tensor(decode(z.reshape(len(z), *shape) if shape else z))
        return torch.sigmoid(images) if is_sigmoid else images

    return draw


@contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Import the bundle's own packages in the body, such as `scripts`, and forget them behind it."""
    before, own = dict(sys.modules), str(path.resolve())
    sys.path.insert(0, own)
    try:
        yield
    finally:
        sys.path.remove(own)
        for name, module in list(sys.modules.items()):
            if name not in before and str(getattr(module, "__file__", None) or "").startswith(own):
                del sys.modules[name]
