"""What the configuration of a MONAI bundle builds, and the weights that its networks get."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.state_files import load_state, read_state
from pytest_medgan.ground.digests import digest_file

_CONFIGURATIONS = tuple(f"configs/inference.{suffix}" for suffix in ("json", "yaml", "yml"))
_NETWORKS = ("diffusion_def", "generator_def", "gnetwork_def", "network_def")  # in the order of choice
SCHEDULERS = ("scheduler", "noise_scheduler")
_WEIGHTS = ("load_diffusion_path", "ckpt_path", "load_path")  # keys that hold the file of a network's weights
_AUTOENCODERS = ("models/autoencoder.pt", "models/model_autoencoder.pt")


def find_configuration(path: Path) -> Path | None:
    """Return the configuration of a bundle's inference; None where the folder is no bundle."""
    return next((path / name for name in _CONFIGURATIONS if (path / name).is_file()), None)


class Bundle:
    """A configuration of MONAI, and the parts that it builds."""

    def __init__(self, path: Path, configuration: Path, device: torch.device) -> None:
        try:
            import monai
            from monai.bundle.config_parser import ConfigParser
        except ImportError:
            raise CheckpointError(
                "A bundle needs the package monai. Install it by pip install 'pytest-medgan[monai]'.", file=path.name
            ) from None
        self.version = str(monai.__version__)
        self._path, self._configuration = path, configuration
        try:
            content = ConfigParser.load_config_file(configuration)
            if not isinstance(content, dict):
                raise TypeError("no mapping")
            content |= {"bundle_root": str(path.resolve()), "device": device}
            for name in SCHEDULERS:  # weights are loaded here, not by the configuration
                if isinstance(content.get(name), dict):
                    content[name].pop("_requires_", None)
            self._parser: Any = ConfigParser(content)
            self._parser.get_parsed_content("imports", default=None)  # what the other entries use
        except Exception as error:  # of json, yaml and MONAI
            raise CheckpointError(
                "The bundle's configuration cannot be read. Copy the bundle again.", file=configuration.name
            ) from error
        self._content = content

    def has(self, name: str) -> bool:
        """Return whether the configuration has an entry."""
        return self._content.get(name) not in (None, "")

    def part(self, name: str) -> Any:
        """Return what the configuration builds of an entry; raise CheckpointError where it cannot."""
        try:
            with quiet():
                return self._parser.get_parsed_content(name)
        except Exception as error:  # whatever the code that the bundle names raises
            raise CheckpointError(
                f"The bundle's part {name!r} cannot be built. Build it in Python by monai.bundle.ConfigParser to see "
                "what it says; a package that the bundle needs may be missing.",
                file=self._configuration.name,
            ) from error

    def network(self) -> nn.Module:
        """Return the network that draws, with its weights."""
        name = next((name for name in _NETWORKS if self.has(name)), None)
        if name is None:
            raise CheckpointError(
                f"The bundle's configuration has none of {', '.join(_NETWORKS)}. Name a function that builds the "
                "network, package.module:name.",
                file=self._configuration.name,
            )
        return self._with_weights(name, _WEIGHTS, ("models/model.pt",))

    def autoencoder(self) -> nn.Module | None:
        """Return the autoencoder of a latent diffusion model, with its weights; None where there is none."""
        if not self.has("autoencoder_def"):
            return None
        return self._with_weights("autoencoder_def", ("load_autoencoder_path",), _AUTOENCODERS)

    def _with_weights(self, name: str, keys: Sequence[str], usual: Sequence[str]) -> nn.Module:
        """Return a network with the weights of the file that a key holds, or of a usual name."""
        network = self.part(name)
        if not isinstance(network, nn.Module):
            raise CheckpointError(
                f"The bundle's part {name!r} is a {type(network).__name__} and no network. Correct the configuration.",
                file=self._configuration.name,
            )
        said = [Path(str(self.part(key))) for key in keys if self.has(key)]
        files = [*said, *(self._path / name for name in usual)]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise CheckpointError(
                f"The bundle has no file of weights for {name!r}. Put it there as {usual[0]}.", file=self._path.name
            )
        _load_weights(network, file)
        return network

    def noise_shape(self) -> tuple[int, ...] | None:
        """Return the shape of a diffusion model's noise, [C,H,W]."""
        if self.has("noise"):
            noise = self.part("noise")
            return tuple(noise.shape[1:]) if isinstance(noise, Tensor) and noise.ndim > 1 else None
        return self.latent_shape()

    def latent_shape(self) -> tuple[int, ...] | None:
        """Return the shape of a latent that the configuration says, or None."""
        said = next((self.part(name) for name in ("latent_shape", "latent_size") if self.has(name)), None)
        parts = said if isinstance(said, list | tuple) else (said,)
        return tuple(parts) if parts and all(isinstance(each, int) and each > 0 for each in parts) else None

    def ends_in_sigmoid(self) -> bool:
        """Return whether the post-processing applies a sigmoid to what the network returns."""
        processing = self._content.get("postprocessing")
        transforms = processing.get("transforms", ()) if isinstance(processing, dict) else ()
        names = ("Activations", "Activationsd", "ActivationsD", "ActivationsDict")
        return any(
            isinstance(each, dict)
            and str(each.get("_target_", "")).rpartition(".")[2] in names
            and each.get("sigmoid") is True
            for each in transforms
        )

    def sources(self) -> list[str]:
        """Return digests of the configuration and of the bundle's own code."""
        return [digest_file(file) for file in (self._configuration, *sorted(self._path.glob("scripts/**/*.py")))]


def _load_weights(network: nn.Module, file: Path) -> None:
    """Read the weights of a network, also under the names of the package that came before MONAI 1.4."""
    convert = getattr(network, "load_old_state_dict", None)
    state = read_state(file)
    if not callable(convert) or state.keys() == network.state_dict().keys():
        load_state(network, file)
        return
    try:
        with quiet(), redirect_stdout(StringIO()):
            convert(state)
    except (KeyError, RuntimeError) as error:  # a weight is missing, or of another shape
        raise CheckpointError(
            "The file's weights are those of another network. Build the network as it was trained.", file=file.name
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore in the body what libraries warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
