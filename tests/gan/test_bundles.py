"""Bundles of MONAI in the layout of its model zoo: used only where trusted, drawn as MONAI itself draws them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.bundles import from_bundle
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents
from tests.monai_bundles import GAN, LATENT, write_bundle

pytest.importorskip("monai")

RANGE = (-4.0, 4.0)


def test_gan_draws_what_its_network_and_sigmoid_return(tmp_path: Path) -> None:
    from monai.networks.nets.generator import Generator

    bundle = write_bundle(tmp_path / "hands", GAN)
    network = Generator((12,), (8, 8, 8), (8, 4, 1), (2, 2, 1)).eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt"))
    z = torch.from_numpy(latents(0, 32, 3, 12))
    with torch.inference_mode():
        expected = to_grey(2.0 * torch.sigmoid(network(z)) - 1.0)
    generator = load_generator(f"{bundle},trust=yes")
    np.testing.assert_array_equal(generator(32, 3), expected)
    assert generator.identity == load_generator(f"{bundle},trust=yes").identity is not None


def test_latent_diffusion_is_drawn_by_the_sampler_of_the_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "brains", LATENT)
    own = from_bundle(bundle, is_trusted=True, values=RANGE)
    inferer = write_bundle(tmp_path / "plain", LATENT, inferer=None)
    theirs = from_bundle(inferer, is_trusted=True, values=RANGE)
    images = own(20, 1)
    assert images.shape == (20, 1, 32, 32)
    np.testing.assert_array_equal(images, own(20, 1))
    np.testing.assert_array_equal(images[:5], own(5, 1))
    assert np.abs(images.astype(int) - theirs(20, 1)).max() <= 1  # MONAI's own LatentDiffusionInferer
    assert own.identity != theirs.identity


def test_weights_configuration_code_and_steps_enter_the_identity(tmp_path: Path) -> None:
    def identity(name: str, steps: int | None = None, sampler: str = "", **changes: Any) -> str | None:
        bundle = write_bundle(tmp_path / name, LATENT, **changes)
        if sampler:
            code = bundle / "scripts" / "sampler.py"
            code.write_text(code.read_text() + sampler)
        return from_bundle(bundle, is_trusted=True, values=RANGE, steps=steps).identity

    first = identity("first")
    assert first == identity("first")
    others = [identity("gain", gain=0.9), identity("steps", steps=4), identity("code", sampler="# changed")]
    assert len({first, *others}) == 4


def test_bundle_that_is_not_trusted_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bundle = write_bundle(tmp_path / "model", GAN, imports=[f"$open({str(mark)!r}, 'w')"])
    for name in (str(bundle), f"{bundle},trust=no"):
        with pytest.raises(CheckpointError, match=r"may run any Python code\. Add trust=yes") as caught:
            load_generator(name)
        assert caught.value.file == "model"
    assert not mark.exists()
    load_generator(f"{bundle},trust=yes")
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "changes", "words"),
    [
        (GAN, {"network_def": {"_target_": "no.such.Network"}}, "part 'network_def' cannot be built"),
        (GAN, {"network_def": {"_target_": "builtins.dict"}}, "is a dict and no network"),
        (GAN, {"network_def": None}, "has none of"),
        (GAN, {"latent_size": 5}, "fails on latents|another network|another shape"),
        (LATENT, {"latent_shape": [4, 4]}, r"expected, or \[C,D,H,W\] for volumes"),
        (LATENT, {"latent_shape": [2, 4, 4, 4]}, "fails on latents"),
        (LATENT, {"noise": None, "latent_shape": None}, "does not say the shape of its noise"),
        (LATENT, {"noise_scheduler": {"_target_": "builtins.dict"}}, "cannot be built|parts of type"),
    ],
)
def test_bundle_that_cannot_be_used_is_one_line(
    content: dict[str, Any], changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "model", content)
    file = bundle / "configs" / "inference.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(CheckpointError, match=words) as caught:
        from_bundle(bundle, is_trusted=True, values=RANGE)
    assert "\n" not in str(caught.value)
    assert caught.value.file


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe{"])
def test_damaged_configuration_is_one_line(damage: bytes, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "model", GAN)
    (bundle / "configs" / "inference.json").write_bytes(damage)
    with pytest.raises(CheckpointError, match="configuration cannot be read"):
        from_bundle(bundle, is_trusted=True)


def test_missing_weights_name_the_usual_file(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "model", GAN)
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(CheckpointError, match=r"no file of weights for 'network_def'. Put it there as models/model.pt"):
        from_bundle(bundle, is_trusted=True)


def test_weights_that_monai_saved_during_training_are_found(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "model", GAN)
    first = from_bundle(bundle, is_trusted=True)(8, 0)
    file = bundle / "models" / "model.pt"
    torch.save({"model": torch.load(file), "optimizer": {"step": 3}}, file)
    np.testing.assert_array_equal(from_bundle(bundle, is_trusted=True)(8, 0), first)


def test_package_of_the_bundle_is_forgotten(tmp_path: Path) -> None:
    import sys

    before = list(sys.path)
    from_bundle(write_bundle(tmp_path / "model", LATENT), is_trusted=True, values=RANGE)
    assert "scripts.sampler" not in sys.modules
    assert sys.path == before


def test_bundle_in_yaml_is_read(tmp_path: Path) -> None:
    import yaml

    bundle = write_bundle(tmp_path / "model", GAN)
    file = bundle / "configs" / "inference.json"
    first = from_bundle(bundle, is_trusted=True)(4, 0)
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(json.loads(file.read_text())))
    file.unlink()
    np.testing.assert_array_equal(from_bundle(bundle, is_trusted=True)(4, 0), first)
