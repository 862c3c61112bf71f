"""Two small projects that keep their networks as NVlabs and PyTorch-StudioGAN keep theirs; the code is our own."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

PERSISTENCE = '''
"""Make networks from the source in a pickle."""
import types
from torch import nn

HOOKS = []


class Carried(nn.Module):
    def __reduce__(self):
        return rebuild, ({"module_src": self.source, "class_name": type(self).__name__, "state": self.__dict__},)


def import_hook(hook):
    HOOKS.append(hook)


def rebuild(meta):
    meta = types.SimpleNamespace(**meta)
    for hook in HOOKS:
        meta = hook(meta)
    module = types.ModuleType("rebuilt")
    exec(meta.module_src, module.__dict__)
    kind = module.__dict__[meta.class_name]
    kind.source = meta.module_src
    made = kind.__new__(kind)
    made.__dict__.update(meta.state)
    return made
'''

# one convolution per image, noise, classes and truncation, called as StyleGAN3 calls them
NETWORK = """
import torch
from torch import nn
from torch.nn import functional
from torch_utils.persistence import Carried


class Synthesis(Carried):
    def __init__(self, channels):
        super().__init__()
        self.channels, self.style = channels, nn.Linear(8, 4 * channels * 9)
        self.start = nn.Parameter(torch.randn(1, 4, 16, 16))
        self.register_buffer("noise_const", torch.randn(16, 16))

    def forward(self, w, noise_mode="random", force_fp32=False):
        assert force_fp32
        x = self.start.expand(w.shape[0], -1, -1, -1)
        batch_size = int(x.shape[0])
        weights = self.style(w).reshape(-1, 4, 3, 3)
        x = functional.conv2d(x.reshape(1, -1, 16, 16), weights, padding=1, groups=batch_size)
        x = x.reshape(batch_size, self.channels, 16, 16)
        noise = self.noise_const if noise_mode == "const" else torch.randn_like(x)
        return torch.tanh(x + 0.1 * noise) * 1.1


class Generator(Carried):
    def __init__(self, z_dim, c_dim, channels):
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        self.mapping, self.synthesis = nn.Linear(z_dim + c_dim, 8), Synthesis(channels)
        self.register_buffer("average", torch.full((8,), 0.3))

    def forward(self, z, c, truncation_psi=1, **others):
        w = self.average.lerp(torch.tanh(self.mapping(torch.cat([z, c], 1)) * 3), truncation_psi)
        return self.synthesis(w, **others)
"""

CONFIGURATIONS = """
import types


class Configurations:
    def __init__(self, file):
        self.DATA, self.OPTIMIZATION, self.STYLEGAN, self.MODULES, self.RUN = (types.SimpleNamespace() for _ in "12345")
        self.MODEL = types.SimpleNamespace(
            backbone="big_resnet", info_type="N/A", g_cond_mtd="cBN", z_dim=6, z_prior="gaussian"
        )
        self.DATA.num_classes = 4
        for line in open(file):
            name, _, value = line.strip().partition(": ")
            setattr(self.MODEL, name, value)

    def update_cfgs(self, cfgs, super="RUN"):
        vars(getattr(self, super)).update(cfgs)
"""

MODEL = """
import torch
from torch import nn
from torch.nn.utils import spectral_norm


class Generator(nn.Module):
    def __init__(self, z_dim, classes):
        super().__init__()
        self.shared, self.linear = nn.Embedding(classes, 5), spectral_norm(nn.Linear(z_dim + 5, 3 * 64))
        self.norm, self.last = nn.BatchNorm2d(3), spectral_norm(nn.Conv2d(3, 3, 3, padding=1))

    def forward(self, z, label, shared_label=None, eval=False):
        x = self.linear(torch.cat([z, self.shared(label)], 1)).view(-1, 3, 8, 8)
        return torch.tanh(self.last(self.norm(x)))


def load_generator_discriminator(DATA, OPTIMIZATION, MODEL, STYLEGAN, MODULES, RUN, device, logger):
    assert RUN.mixed_precision is False
    return Generator(MODEL.z_dim, DATA.num_classes).to(device), None, None
"""
_MODULES = ("torch_utils", "torch_utils.persistence", "config", "models", "models.model")


class Project:
    """A folder with a project's code, which may be imported while a test runs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = folder / "code"
        for name, text in (
            ("torch_utils/persistence.py", PERSISTENCE),
            ("src/config.py", CONFIGURATIONS),
            ("src/models/model.py", MODEL),
        ):
            (self.code / name).parent.mkdir(parents=True, exist_ok=True)
            (self.code / name).write_text(text, encoding="utf-8")
        self.folder, self.monkeypatch = folder, monkeypatch

    def use(self, below: str = ".") -> None:
        """Let the test import the code."""
        for name in _MODULES:
            self.monkeypatch.delitem(sys.modules, name, raising=False)
        self.monkeypatch.syspath_prepend(str(self.code / below))

    def pickle(
        self,
        content: Any = None,
        *,
        before: str = "",
        classes: int = 0,
        channels: int = 1,
        change: tuple[str, str] = ("", ""),
    ) -> tuple[Path, nn.Module]:
        """Write a .pkl whose source begins with `before`, one part of it changed; return it and its generator."""
        self.use()
        module = types.ModuleType("carried")
        exec(NETWORK, module.__dict__)
        for kind in (module.Generator, module.Synthesis):
            kind.source = before + NETWORK.replace(*change)
        torch.manual_seed(0)
        generator: nn.Module = module.Generator(6, classes, channels).eval()
        path = self.folder / "network.pkl"
        path.write_bytes(pickle.dumps({"G": None, "G_ema": generator} if content is None else content))
        return path, generator

    def checkpoint(self, *lines: str) -> tuple[Path, Path, nn.Module]:
        """Write a checkpoint of a trained generator and its configuration; return both and the generator."""
        self.use("src")
        from models.model import Generator  # type: ignore[import-not-found]

        torch.manual_seed(0)
        network = Generator(6, 4)
        for _ in range(3):  # statistics of batches, and singular vectors
            network(torch.randn(8, 6) + 1, torch.arange(8) % 4)
        torch.save({"state_dict": network.state_dict(), "optimizer": {"param_groups": []}}, self.folder / "G.pth")
        (self.folder / "config.yaml").write_text("\n".join(lines))
        return self.folder / "G.pth", self.folder / "config.yaml", network.eval()
