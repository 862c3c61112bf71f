"""Networks of other projects as z float32 [N,latent] -> images: NVlabs' StyleGANs and PyTorch-StudioGAN's.

Reading them runs the code that they or their folder hold, so this module is for `conversion_process` alone.
"""

from __future__ import annotations

import inspect
import io
import math
import pickle
import sys
import types
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import remove_spectral_norm

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.classes import choose_a_class, no_such_class

# what a forward of StyleGAN is called with in addition to latents and classes: noise from its buffers, float32
_OPTIONS = {"noise_mode": "const", "force_fp32": True}
_NOISE = "noise_const"  # of a layer [H,W], which is added to its maps [N,C,H,W]
_TRACEABLE = {"fused_modconv": False}  # one convolution for all images; with one for each, the batch would be fixed
_FIXED_BATCH, _OPEN_BATCH = "batch_size = int(x.shape[0])", "batch_size = x.shape[0]"  # in the code of StyleGAN3


@dataclass(frozen=True)
class Choice:
    """How a network is to draw."""

    label: int | None = None  # class
    truncation: float | None = None  # of StyleGAN towards its mean, of others a bound on each number of the latent


class Drawing(nn.Module):
    """Draw with a foreign network."""

    latent: int  # numbers of a latent
    noise = 0  # of these, the last ones, which are noise of the layers
    classes: int  # that the network was trained with; 0 for none

    def make_traceable(self) -> None:
        """Replace what torch.export cannot follow; images change by rounding alone."""


def choose_class(classes: int, label: int | None) -> int:
    """Return the class to draw.

    Raises:
        CheckpointError: None was chosen, it does not exist, or the network has no classes.
    """
    if classes == 0 and label is not None:
        raise CheckpointError("The network has no classes. Leave out --class.")
    if classes > 0 and label is None:
        raise CheckpointError(
            f"The network draws one of {classes} classes at a time. {choose_a_class(classes, '--class ')}"
        )
    if classes > 0 and label is not None and not 0 <= label < classes:
        raise CheckpointError(no_such_class("The network", label, classes, "--class "))
    return label or 0


# ------------------------------------------------------------------------------------------------------------- NVlabs


class StyleDrawing(Drawing):
    """Draw with a StyleGAN2-ADA or StyleGAN3 network.

    A latent is z followed by the noise of all layers, so each image has noise of its own, as where the authors measure
    FID. Equal latents give equal images. Buffers of other names and shapes stay constant.
    """

    condition: Tensor

    def __init__(self, network: nn.Module, choice: Choice) -> None:
        super().__init__()
        self.network = network
        self._z, self.classes = _number(network, "z_dim", 1), _number(network, "c_dim", 0)
        self._noise = {
            name: buffer.shape for name, buffer in network.named_buffers() if name.endswith(_NOISE) and buffer.ndim == 2
        }
        self.noise = sum(shape.numel() for shape in self._noise.values())
        self.latent = self._z + self.noise
        condition = torch.zeros(1, self.classes)
        index = choose_class(self.classes, choice.label)
        if self.classes:
            condition[0, index] = 1.0
        self.register_buffer("condition", condition)
        self.options: dict[str, Any] = _taken(network, _OPTIONS)
        if choice.truncation is not None:
            truncated = {"truncation_psi": choice.truncation}
            if not _taken(network, truncated):
                raise CheckpointError("The network takes no truncation. Leave out --truncation.")
            self.options.update(truncated)

    def make_traceable(self) -> None:
        """Compute one convolution for all images of a batch where the network would compute one for each."""
        self.options.update(_taken(self.network, _TRACEABLE))

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        z, *noise = torch.split(z, [self._z, *(shape.numel() for shape in self._noise.values())], 1)
        shaped = zip(self._noise.items(), noise, strict=True)
        buffers = {name: numbers.reshape(-1, 1, *shape) for (name, shape), numbers in shaped}
        inputs = z, self.condition.expand(z.shape[0], -1)
        images: Tensor
        if buffers:
            images = functional_call(self.network, buffers, inputs, self.options)
        else:  # TorchScript cannot follow functional_call
            images = self.network(*inputs, **self.options)
        return images


def _number(network: nn.Module, name: str, least: int) -> int:
    """Return a whole number that a network says of itself."""
    value = getattr(network, name, None)
    if type(value) is not int or value < least:
        raise CheckpointError(f"The network under G_ema has no number {name!r}. Convert a generator of StyleGAN.")
    return value


def _taken(network: nn.Module, options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that a network's forward takes, or hands down to a part that does."""
    own = inspect.signature(network.forward).parameters
    names = set(own)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
        names.update(*(inspect.signature(part.forward).parameters for part in network.modules()))
    return {name: value for name, value in options.items() if name in names}


def read_nvlabs(path: Path, code: Path, choice: Choice) -> StyleDrawing:
    """Unpickle NVlabs' file, which runs code that it holds, and return its averaged generator.

    Raises:
        CheckpointError: It holds none, or the choice does not fit.
        Exception: Whatever the file's code raises.
    """
    _prepare(code)
    with suppress(ImportError, AttributeError):  # the source in the file is edited by the means that NVlabs provide
        import_module("torch_utils.persistence").import_hook(_open_batch)
    with path.open("rb") as stream:
        content = pickle.load(stream)  # the user has said that it is trusted
    network = content.get("G_ema") if isinstance(content, dict) else None
    if not isinstance(network, nn.Module):
        raise CheckpointError("The file holds no generator under G_ema. Name a network-snapshot-*.pkl of training.")
    return StyleDrawing(network.cpu().float().eval().requires_grad_(False), choice)


def _open_batch(meta: Any) -> Any:
    """Let a network's source take any number of images after it has been exported."""
    meta.module_src = meta.module_src.replace(_FIXED_BATCH, _OPEN_BATCH)
    return meta


# ---------------------------------------------------------------------------------------------------------- StudioGAN


class ClassDrawing(Drawing):
    """Draw with a generator of PyTorch-StudioGAN that takes latents and the number of a class."""

    def __init__(self, network: nn.Module, latent: int, classes: int, is_uniform: bool, choice: Choice) -> None:
        super().__init__()
        self.network, self.latent, self.classes, self.is_uniform = network, latent, classes, is_uniform
        self.label, self.truncation = choose_class(classes, choice.label), choice.truncation
        if is_uniform and self.truncation is not None:
            raise CheckpointError("The network's latents are uniform. Leave out --truncation.")

    def make_traceable(self) -> None:
        """Put each spectrally normalised weight in place of its parts."""
        for part in self.network.modules():
            with suppress(ValueError):  # this part has none
                remove_spectral_norm(part)

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        label = torch.full((z.shape[0],), self.label, dtype=torch.long, device=z.device)
        images: Tensor = self.network(self._prior(z), label, eval=True)
        return images

    def _prior(self, z: Tensor) -> Tensor:
        """Return normal latents as those that the network was trained with, number by number and in their order."""
        if self.is_uniform:
            return torch.erf(z / math.sqrt(2.0))
        if self.truncation is None:
            return z
        inside = math.erf(self.truncation / math.sqrt(2.0))
        return torch.erfinv(torch.erf(z / math.sqrt(2.0)) * inside) * math.sqrt(2.0)


def read_studiogan(path: Path, code: Path, config: Path, choice: Choice) -> ClassDrawing:
    """Build the generator that a configuration of PyTorch-StudioGAN names, and read its weights as tensors alone.

    Raises:
        CheckpointError: The configuration is of another kind, or the file holds more than tensors or other weights.
        Exception: Whatever the code in the folder raises.
    """
    _prepare(code / "src" if (code / "src" / "config.py").is_file() else code)
    settings = import_module("config").Configurations(str(config))
    if settings.MODEL.backbone in ("stylegan2", "stylegan3") or settings.MODEL.info_type != "N/A":
        raise CheckpointError("StudioGAN's StyleGANs and InfoGANs are not converted. Name a BigGAN, or an older GAN.")
    settings.update_cfgs({"mixed_precision": False}, super="RUN")
    build = import_module("models.model").load_generator_discriminator
    groups = (settings.DATA, settings.OPTIMIZATION, settings.MODEL, settings.STYLEGAN, settings.MODULES, settings.RUN)
    network = build(*groups, "cpu", None)[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "The checkpoint holds more than tensors. Name model=G_ema-*.pth or model=G-*.pth."
        ) from error
    try:
        network.load_state_dict({name.removeprefix("module."): w for name, w in state["state_dict"].items()})
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "The checkpoint's weights are not those of the configuration's generator. Name model=G_ema-*.pth or "
            "model=G-*.pth, and the --config that it was trained with."
        ) from error
    network = network.float().eval().requires_grad_(False)
    classes = 0 if settings.MODEL.g_cond_mtd == "W/O" else int(settings.DATA.num_classes)
    return ClassDrawing(network, int(settings.MODEL.z_dim), classes, settings.MODEL.z_prior == "uniform", choice)


# --------------------------------------------------------------------------------------------------------------- both


def _prepare(code: Path) -> None:
    """Let a project's code be found, and run under the torch of today."""
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    if util.find_spec("pkg_resources") is None:  # newer setuptools have none, and the projects compare versions by it
        from packaging.version import parse

        stand_in = types.ModuleType("pkg_resources")
        stand_in.parse_version = parse  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = stand_in
    # marks for a profiler, which would end up in the exported program
    torch.autograd.profiler.record_function = lambda *_: nullcontext()  # type: ignore[assignment,misc]
    # tensors that were pickled on a GPU
    torch.storage._load_from_bytes = _load_on_cpu


def _load_on_cpu(content: bytes) -> Any:
    """Return a storage inside a pickle, on the CPU."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)


class Picture(nn.Module):
    """Draw images in -1..1, grey where asked for."""

    def __init__(self, drawing: Drawing, *, grey: bool) -> None:
        super().__init__()
        self.drawing, self.grey = drawing, grey

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents, clipped as NVlabs and StudioGAN clip them when they write pictures."""
        images: Tensor = self.drawing(z)
        return (images.mean(1, keepdim=True) if self.grey else images).clamp(-1.0, 1.0)
