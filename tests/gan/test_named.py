"""Models that `package.module:name` names: classes, objects and functions that build them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents

SOURCE = '''
import random
import numpy as np
import torch
from torch import nn

class Decoder(nn.Module):
    """z [N,100] -> images in -1..1, with dropout that eval mode switches off."""
    window = (-1000, 400)
    training_recipe = "slices"
    def __init__(self, width=100):
        super().__init__()
        self.layer = nn.Linear(width, 64)
        self.drop = nn.Dropout(0.5)
    def forward(self, z):
        return torch.tanh(self.drop(self.layer(z))).reshape(-1, 1, 8, 8)

def build():
    return Decoder(12)

decoder = Decoder()

class Coder(nn.Module):
    """An autoencoder: forward takes images, decode takes maps."""
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 1, 4, 4)
    def forward(self, images, weights):
        raise RuntimeError("not to be called")
    def decode(self, z):
        return torch.sigmoid(self.up(z))

class Arrays:
    """Draws arrays by numpy's global random numbers."""
    def sample(self, n):
        return np.random.normal(0, 0.4, (n, 1, 8, 8)).clip(-1, 1)

class Mixed:
    """Draws by all random numbers there are."""
    identity = "mixed 1"
    def sample(self, count):
        return (torch.randn(count, 1, 8, 8) + random.random() + np.random.rand()).clip(-1, 1)

class Seeds:
    """Draws grey levels by a seed of its own."""
    def sample(self, num_samples, seed):
        return np.random.default_rng(seed).integers(0, 256, (num_samples, 1, 8, 8), dtype=np.uint8)

class Reused:
    """Draws the same into one array."""
    shared = np.zeros((64, 1, 8, 8), np.uint8)
    def sample(self, num_samples, seed):
        self.shared[:num_samples] = Seeds().sample(num_samples, seed)
        return self.shared[:num_samples]

class Both:
    """Is a function of (count, seed) and has decode."""
    def __call__(self, count, seed):
        return np.full((count, 1, 8, 8), seed, np.uint8)
    def decode(self, z):
        raise RuntimeError("not to be called")

class Noisy(Decoder):
    """Adds noise of torch's."""
    def forward(self, z):
        images = super().forward(z)
        return images * 0.5 + 0.1 * torch.randn_like(images)

class Unruly(Decoder):
    """Adds noise that no seed names."""
    def forward(self, z):
        images = super().forward(z)
        return images * 0.5 + 0.1 * torch.from_numpy(np.random.default_rng().normal(size=images.shape)).float()

class Held:
    """What diffusers' models return."""
    def __init__(self, sample):
        self.sample = sample

class Holds(Decoder):
    def decode(self, z):
        return Held(super().forward(z))

class Pair(Decoder):
    def decode(self, z):
        return super().forward(z), z

class Flat(Decoder):
    def forward(self, z):
        return self.layer(z)

class Zeros(Decoder):
    """Samples from latents, not from a count."""
    def sample(self, z):
        raise RuntimeError("not to be called")

class Two:
    def draw(self, z):
        return torch.tanh(z[:, :64]).reshape(-1, 1, 8, 8)

class Nothing:
    pass

class Needs:
    def __init__(self, file):
        pass

def build_nothing():
    return 3
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_models.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    return "my_models"


def assert_is_a_sequence(generator: Any, shape: tuple[int, ...] = (1, 8, 8)) -> None:
    """Check that the first images of a seed do not depend on how many are drawn, and that a seed matters."""
    images = generator(40, 3)
    assert images.shape == (40, *shape)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, generator(40, 3))
    np.testing.assert_array_equal(images[:5], generator(5, 3))
    np.testing.assert_array_equal(images[30:40], generator.sample_range(30, 40, 3))
    assert (generator(40, 4) != images).any()
    assert (images[:8] != images[32:]).any()


@pytest.mark.parametrize(
    "name",
    ["Decoder", "decoder", "build,latent=12", "Coder,latent=3x2x2,range=0:1", "Arrays", "Mixed", "Seeds", "Noisy",
     "Holds", "Zeros", "Two,method=draw,latent=64"],
)  # fmt: skip
def test_model_is_adapted(module: str, name: str) -> None:
    importlib.import_module(module)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert_is_a_sequence(load_generator(f"{module}:{name}"))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_network_draws_its_latents_in_eval_mode_and_says_what_it_was_trained_on(module: str) -> None:
    generator = load_generator(f"{module}:decoder")
    decoder = sys.modules["my_models"].decoder
    with torch.no_grad():
        expected = to_grey(decoder.eval()(torch.from_numpy(latents(0, 40, 3, 100))))
    assert np.abs(generator(40, 3).astype(int) - expected.astype(int)).max() <= 1
    assert (generator.window, generator.training_recipe) == ((-1000, 400), "slices")


def test_callable_of_count_and_seed_wins(module: str) -> None:
    assert load_generator(f"{module}:Both")(3, 7).tolist() == np.full((3, 1, 8, 8), 7).tolist()
    with pytest.raises(SettingsError, match=r"takes \(count, seed\) and has no such options. Leave latent= out"):
        load_generator(f"{module}:Both,latent=5")


def test_negative_seed_is_refused(module: str) -> None:
    with pytest.raises(SettingsError, match="negative"):
        load_generator(f"{module}:Arrays")(1, -1)


# ----------------------------------------------------------------------------------------------------------- identities


def test_model_may_use_one_array_for_all_that_it_returns(module: str) -> None:
    """Images are drawn in blocks of 32, each by a call of its own."""
    expected = load_generator(f"{module}:Seeds")(64, 0)
    assert len(np.unique(expected.reshape(64, -1), axis=0)) == 64
    np.testing.assert_array_equal(load_generator(f"{module}:Reused")(64, 0), expected)


def test_identity_names_code_weights_and_options(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = f"{module}:build,latent=12"
    plain = load_generator(whole).identity
    assert plain is not None
    assert plain == load_generator(whole).identity
    others = {load_generator(f"{whole},range=-2:2").identity, load_generator(f"{module}:Decoder").identity}
    decoder = sys.modules["my_models"].Decoder(12)
    save_file(decoder.state_dict(), tmp_path / "weights.safetensors")
    others.add(load_generator(f"{whole},weights={tmp_path / 'weights.safetensors'}").identity)
    (tmp_path / "my_models.py").write_text(SOURCE.replace("torch.tanh(self.drop", "torch.tanh(1.1 * self.drop"))
    monkeypatch.delitem(sys.modules, "my_models")
    others.add(load_generator(whole).identity)
    assert len(others - {plain}) == 4


def test_object_without_weights_that_can_be_read_has_the_identity_that_it_says(module: str) -> None:
    assert load_generator(f"{module}:Arrays").identity is None
    said = load_generator(f"{module}:Mixed").identity
    assert said is not None
    sys.modules["my_models"].Mixed.identity = "mixed 2"
    assert load_generator(f"{module}:Mixed").identity not in (None, said)


# -------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("form", ["safetensors", "torch", "parallel", "lightning"])
def test_weights_come_from_a_state_dict(module: str, form: str, tmp_path: Path) -> None:
    load_generator(f"{module}:Decoder")
    torch.manual_seed(7)
    network = sys.modules["my_models"].Decoder().eval()
    state = network.state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "parallel":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        torch.save(state if form == "torch" else {"state_dict": state, "epoch": 3}, path)
    with torch.no_grad():
        expected = to_grey(network(torch.from_numpy(latents(0, 8, 0, 100))))
    ours = load_generator(f"{module}:Decoder,weights={path}")(8, 0)
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    assert (load_generator(f"{module}:Decoder")(8, 0) != ours).any()


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.mkdir, (self.target,)


def test_weights_that_cannot_be_used_are_refused_in_words(module: str, tmp_path: Path) -> None:
    state = {"layer.weight": torch.zeros(64, 100), "layer.bias": torch.zeros(64)}
    files = {
        "short.pt": ({"layer.bias": state["layer.bias"]}, "lacks 'layer.weight'"),
        "more.pt": ({**state, "extra": torch.zeros(1)}, "has besides 'extra'"),
        "wide.pt": ({**state, "layer.bias": torch.zeros(65)}, "another shape"),
        "code.pt": ({"layer": Payload(tmp_path / "ran")}, "more than tensors"),
        "list.pt": ([1, 2], "no state dict"),
    }
    for name, (content, words) in files.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(CheckpointError, match=words) as caught:
            load_generator(f"{module}:Decoder,weights={tmp_path / name}")
        assert caught.value.file == name
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(CheckpointError, match="may be truncated"):
        load_generator(f"{module}:Decoder,weights={tmp_path / 'cut.safetensors'}")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_generator(f"{module}:Decoder,weights={tmp_path / 'absent.pt'}")
    with pytest.raises(CheckpointError, match="is no torch module"):
        load_generator(f"{module}:Arrays,weights={tmp_path / 'more.pt'}")
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nothing", "is neither a function of"),
        ("build_nothing", "is neither a function of"),
        ("Needs", "is a class that needs arguments"),
        ("build", "does not say how many numbers a latent has"),
        ("build,latent=13", "fails on latents of 13 numbers"),
        ("Coder,latent=3x2x2", "range=0:1 or range=-1:1"),
        ("Coder,latent=4x2x2,range=0:1", "fails on latents of 16 numbers"),
        ("Unruly", "other images when it is called again"),
        ("Pair", "returns a tuple"),
        ("Flat", r"returns \[8, 64\] for 8 latents"),
        ("Arrays,latent=5", "Leave latent= out"),
        ("Seeds,range=0:1", "no other range"),
        ("Decoder,method=draw", "no method 'draw'"),
        ("Decoder,range=-0.1:0.1", "outside the range that was said"),
    ],
)
def test_model_that_does_not_fit_is_refused_in_one_sentence(module: str, name: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_generator(f"{module}:{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["size=3", "latent=x", "latent=4x", "range=1:0"])
def test_option_that_is_unknown_or_cannot_be_read_is_refused(module: str, option: str) -> None:
    with pytest.raises(SettingsError, match=option.partition("=")[0]):
        load_generator(f"{module}:Decoder,{option}")


VOLUMES = """
import numpy as np
import torch
from torch import nn

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(100, 6 * 8 * 8)
        self.most = 0
    def forward(self, z):
        self.most = max(self.most, len(z))
        return torch.tanh(self.layer(z)).reshape(-1, 1, 6, 8, 8)

class Sampler:
    def sample(self, n):
        return np.random.normal(0, 0.4, (n, 1, 6, 8, 8)).clip(-1, 1)

class Coloured:
    def sample(self, n):
        return np.random.normal(0, 0.4, (n, 2, 6, 8, 8)).clip(-1, 1)
"""


@pytest.fixture
def volume_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "named_volumes.py").write_text(VOLUMES)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("named_volumes", None)
    return "named_volumes"


@pytest.mark.parametrize("name", ["Decoder", "Sampler"])
def test_model_of_volumes_says_their_shape_and_draws_them_one_by_one(name: str, volume_module: str) -> None:
    generator = load_generator(f"{volume_module}:{name}")
    assert generator.volume_shape == (6, 8, 8)
    some = generator(35, 3)
    assert some.shape == (35, 1, 6, 8, 8)
    np.testing.assert_array_equal(generator.sample_range(31, 34, 3), some[31:34])
    assert len({volume.tobytes() for volume in some}) == 35
    assert load_generator(f"{volume_module}:{name}").sample_range(34, 35, 3).tolist() == some[34:].tolist()


def test_volumes_of_a_network_are_those_of_the_seeds_latents(volume_module: str) -> None:
    generator = load_generator(f"{volume_module}:Decoder")
    network = generator._model.network  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = to_grey(torch.cat([network(z[None]) for z in torch.from_numpy(latents(0, 34, 5, 100))]))
    np.testing.assert_array_equal(generator(34, 5), expected)


def test_volumes_of_several_channels_are_refused(volume_module: str) -> None:
    with pytest.raises(CheckpointError, match="volumes of one channel"):
        load_generator(f"{volume_module}:Coloured")


def test_masks_in_colour_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    (tmp_path / "masks").mkdir()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "masks" / "a.png")
    (tmp_path / "masked.py").write_text("class Model:\n    def decode(self, z, masks):\n        return z\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CheckpointError, match=r"The masks are in colour\. Save them in grey"):
        load_generator(f"masked:Model,latent=4,masks={tmp_path / 'masks'}")


# ------------------------------------------------------------------------------------------------------------- builders

BUILDERS = """
import numpy as np
import torch
from torch import nn

class Decoder(nn.Module):
    def __init__(self, latent):
        super().__init__()
        self.layer = nn.Linear(latent, 64)
    def forward(self, z):
        return torch.tanh(self.layer(z)).reshape(-1, 1, 8, 8)

CALLS = []

def build(latent=16, width=64):
    return Decoder(latent)

def build_seeded(latent=16, seed=0):
    return Decoder(latent)

def build_function(low=3, high=9):
    return lambda count, seed: np.full((count, 1, 8, 8), low + high + seed, np.uint8)

def build_broken(latent=16, width=64):
    return Decoder(latents)

def draw(count=8, seed=0):
    CALLS.append((count, seed))
    return np.full((count, 1, 8, 8), seed, np.uint8)

def draw_sizes(size=8, random_state=0):
    return draw(size, random_state)

def draw_unusual(k=8, key=0):
    return np.full((k, 1, 8, 8), key, np.uint8)

def draw_needy(k=None, key=None):
    return np.full((k, 1, 8, 8), key, np.uint8)

def draw_any(*numbers):
    return draw(*numbers)
"""


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_builders.py").write_text(BUILDERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_builders", raising=False)
    return "my_builders"


@pytest.mark.parametrize("name", ["build", "build_seeded"])
def test_builder_whose_parameters_have_defaults_builds(name: str, builders: str) -> None:
    generator = load_generator(f"{builders}:{name},latent=16")
    assert_is_a_sequence(generator)
    assert generator.identity is not None


def test_builder_of_a_function_builds(builders: str) -> None:
    assert load_generator(f"{builders}:build_function")(2, 5).tolist() == np.full((2, 1, 8, 8), 17).tolist()


@pytest.mark.parametrize("name", ["draw", "draw_sizes", "draw_unusual", "draw_needy", "draw_any"])
def test_function_whose_parameters_have_defaults_draws(name: str, builders: str) -> None:
    assert load_generator(f"{builders}:{name}")(3, 7).tolist() == np.full((3, 1, 8, 8), 7).tolist()
    with pytest.raises(SettingsError, match=r"takes \(count, seed\) and has no such options"):
        load_generator(f"{builders}:draw,latent=16")


@pytest.mark.parametrize("name", ["draw", "draw_sizes"])
def test_function_that_names_a_seed_is_not_called_while_it_is_loaded(name: str, builders: str) -> None:
    load_generator(f"{builders}:{name}")
    assert sys.modules["my_builders"].CALLS == []


def test_error_of_a_builder_with_defaults_is_named(builders: str) -> None:
    with pytest.raises(
        CheckpointError, match=r"raises NameError \('latents'\) while it is built \(my_builders.py, line"
    ):
        load_generator(f"{builders}:build_broken,latent=16")


# ---------------------------------------------------------------------------------------------------------- one by one

COUPLED = """
import torch
from torch import nn
from torch.nn import functional as F

class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 64)
    def forward(self, z):
        return torch.tanh(F.batch_norm(self.layer(z), None, None, training=True)).reshape(-1, 1, 8, 8)

class Grey(Module):
    def forward(self, z):
        return (127.5 * (super().forward(z) + 1)).to(torch.uint8)

class Volumes(Module):
    def forward(self, z):
        return torch.tanh(self.layer(z) - self.layer(z).mean(0)).reshape(-1, 1, 4, 4, 4) - 0.2

class Noisy(Module):
    def forward(self, z):
        return torch.tanh(self.layer(z) + torch.randn(len(z), 64)).reshape(-1, 1, 8, 8)
"""


def test_model_whose_images_depend_on_their_batch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "coupled.py").write_text(COUPLED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "coupled", raising=False)
    for name in ("Module,range=-1:1", "Module,range=-2:2", "Grey"):
        with pytest.raises(CheckpointError, match="depend on the other images of their batch"):
            load_generator(f"coupled:{name.replace(',', ',latent=12,') if ',' in name else name + ',latent=12'}")
    assert_is_a_sequence(load_generator("coupled:Noisy,latent=12"))
    assert load_generator("coupled:Volumes,latent=12,range=-1:1")(2, 0).shape == (2, 1, 4, 4, 4)  # drawn one by one
