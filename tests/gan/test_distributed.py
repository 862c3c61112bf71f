"""Two processes with the same global batch are one process, up to the order of additions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.training import make_trainer
from pytest_medgan.records import ImageSet

MakeImages = Callable[..., ImageSet]
DCGAN = (
    DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4),
    DCGANSettings(batch=16, seed=3, noise=0.1, shift=2, cutout=0.3, brightness=0.1, penalty=10.0, penalty_every=3),
)
# ten steps: 4x4, the fade to 8x8, 8x8, and into the fade to 16x16
PGGAN = (
    PGGANConfig(16, latent=8, generator_width=8, discriminator_width=8),
    PGGANSettings(fading=48, stable=48, batch=16, seed=3),
)
# both penalties are taken and the augmentation's probability rises
STYLEGAN2 = (
    StyleGAN2Config(16, latent=8, style=8, mapping=2, generator_width=8, discriminator_width=8),
    StyleGAN2Settings(batch=16, seed=3, penalty_every=3, path_every=2, adapt_images=200, target=0.05),
)
# batch norms without a scale of their own, and a penalty through spectral norm and attention
BIGGAN = (
    BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2),
    BigGANSettings(batch=16, seed=3, discriminator_steps=2, penalty=1.0, penalty_every=3, shift=2, learning_rate=1e-3),
)

SCRIPT = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from pytest_medgan.gan import BigGANConfig, BigGANSettings, DCGANConfig, DCGANSettings
from pytest_medgan.gan import PGGANConfig, PGGANSettings, StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.distributed import join
from pytest_medgan.gan.pool import read_npz
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.training import make_trainer
torch.set_num_threads(1)
cpu = torch.device("cpu")
images = read_npz(Path(sys.argv[1]))
with join(cpu) as world:
    assert world.size == 2
    for index, (config, settings) in enumerate({recipes!r}):
        trainer = make_trainer(config, settings, images, world=world, device=cpu, dtype=torch.float64)
        for step in range(10):
            losses = Eager(trainer).step(step)
        state = {{f"weights.{{n}}": t for n, t in trainer.state().items()}}
        state |= {{f"losses.{{n}}": t.detach() for n, t in losses.items()}}
        save_file({{n: t.contiguous() for n, t in state.items()}}, sys.argv[2] + f"-{{index}}-{{world.rank}}")
"""


def torchrun(arguments: list[str], *, processes: int = 2) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    ended = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.fixture(scope="module")
def images_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, pixels=random.integers(0, 256, (40, 1, 16, 16), dtype=np.uint8), recipe="random")
    return path


@pytest.fixture(scope="module")
def two_processes(images_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    (folder / "script.py").write_text(SCRIPT.format(recipes=(DCGAN, PGGAN, STYLEGAN2, BIGGAN)))
    torchrun([str(folder / "script.py"), str(images_file), str(folder / "state")])
    return folder


def distance(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> float:
    """Norm of the difference of all weights over their norm."""
    names = [n for n in theirs if n.startswith("weights.") and theirs[n].is_floating_point()]
    gap = sum(float((ours[n].double() - theirs[n].double()).square().sum()) for n in names)
    size = sum(float(theirs[n].double().square().sum()) for n in names)
    return (gap / size) ** 0.5


@pytest.mark.parametrize(
    ("index", "recipe"),
    [(0, DCGAN), (1, PGGAN), (2, STYLEGAN2), (3, BIGGAN)],
    ids=["dcgan", "pggan", "stylegan2", "biggan"],
)
def test_two_processes_match_one(
    two_processes: Path, images_file: Path, index: int, recipe: tuple[NetworkConfig, TrainingSettings]
) -> None:
    from pytest_medgan.gan.pool import read_npz

    config, settings = recipe
    one = make_trainer(
        config, settings, read_npz(images_file), world=World(), device=torch.device("cpu"), dtype=torch.float64
    )
    before = {f"weights.{n}": t.clone() for n, t in one.state().items()}
    for step in range(10):
        losses = Eager(one).step(step)
    alone = {f"weights.{n}": t for n, t in one.state().items()} | {f"losses.{n}": t for n, t in losses.items()}
    first, second = (load_file(two_processes / f"state-{index}-{rank}") for rank in (0, 1))
    assert first.keys() == second.keys() == alone.keys()
    assert [n for n in first if not torch.equal(first[n], second[n])] == []
    assert distance(first, alone) <= 1e-5
    started = {n: t for n, t in before.items() if n in alone}
    assert distance(started, {n: alone[n] for n in started}) > 1e-3  # ten steps did move them
    for name in losses:
        assert float(first[f"losses.{name}"]) == pytest.approx(float(losses[name]), rel=1e-6)


def test_each_process_takes_its_own_rows() -> None:
    rows = list(range(12))
    shares = [rows[World(rank, 3).share(12)] for rank in range(3)]
    assert shares == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(SettingsError, match="batch 16 cannot be divided equally by 3 processes"):
        World(0, 3).share(16)


@pytest.mark.slow
def test_command_runs_under_torchrun_and_resumes(images_file: Path, tmp_path: Path) -> None:
    """`torchrun -m pytest_medgan train`: rank 0 writes one run, and it can be continued."""
    command = ["-m", "pytest_medgan", "train", "dcgan", "--images", str(images_file), "--out", str(tmp_path / "run")]
    command += ["--size=16", "--latent=8", "--generator-width=4", "--discriminator-width=4", "--batch=8", "--threads=1"]
    command += ["--checkpoint-every=2", "--grid-every=0", "--precision=bfloat16", "--penalty=1"]
    torchrun([*command, "--steps=4"])
    torchrun([*command, "--steps=6", "--resume"])
    final = load(tmp_path / "run" / "generator.safetensors")
    assert (final.step, final.finished) == (6, True)
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 3
