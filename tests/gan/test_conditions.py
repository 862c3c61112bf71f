"""Classes, prompts and masks behind a generator's name: what reaches the model, and what it is called afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents

SOURCE = """
import torch
from torch import nn

class StyleLike(nn.Module):
    c_dim = 4
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8 + 4, 64)
    def forward(self, z, c):
        assert c.dtype == torch.float32 and c.shape == (len(z), 4)
        return torch.tanh(self.layer(torch.cat([z, c], 1))).reshape(-1, 1, 8, 8)

class Numbered(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 8)
        self.layer = nn.Linear(8, 64)
    def forward(self, z, y=None):
        return torch.tanh(self.layer(z if y is None else z + self.table(y))).reshape(-1, 1, 8, 8)

class Writes:
    def sample(self, count, prompt):
        assert len(prompt) == count and isinstance(prompt, list)
        return torch.tanh(torch.randn(count, 1, 8, 8) + len(prompt[0]) / 10)

class Paints:
    label_nc = 3
    def sample(self, n, seg):
        assert seg.shape == (n, 3, 8, 8) and (seg.sum(1) == 1).all()
        return (seg.argmax(1, keepdim=True) - 1).float()

class PaintsGrey:
    def sample(self, n, masks):
        return masks / 127.5 - 1

def function(count, seed, label):
    import numpy as np
    return np.full((count, 1, 8, 8), 10 * int(label[0]) + seed, np.uint8)
function.identity = "a function"

def plain(count, seed):
    import numpy as np
    return np.zeros((count, 1, 8, 8), np.uint8)

def needs_class(count, seed, label):
    return plain(count, seed)
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conditioned.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "conditioned", raising=False)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(5):
        labels = np.full((8, 8), number % 3, np.uint8)
        labels[:number] = 0
        Image.fromarray(labels).save(folder / f"{number}.png")
    return folder


def test_class_reaches_a_network_of_the_form_of_stylegan_as_one_hot() -> None:
    import conditioned

    generator = load_generator("conditioned:StyleLike,latent=8,class=3")
    with torch.random.fork_rng():
        from pytest_medgan.gan.seeding import seeded

        with seeded(0, 0):
            network = conditioned.StyleLike()
    z = torch.from_numpy(latents(0, 32, 7, 8))
    c = torch.eye(4)[[3] * 32]
    with torch.inference_mode():
        np.testing.assert_array_equal(generator(32, 7), to_grey(network(z, c)))


def test_class_enters_images_identity_and_condition() -> None:
    found = [load_generator(f"conditioned:Numbered,latent=8,class={label}") for label in (0, 1)]
    free = load_generator("conditioned:Numbered,latent=8")
    assert len({each.identity for each in (*found, free)}) == 3
    assert [each.condition for each in (*found, free)] == ["class=0", "class=1", None]
    assert (found[0](4, 0) != found[1](4, 0)).any()
    assert (found[0](4, 0) != free(4, 0)).any()


def test_prompt_with_a_comma_stands_in_quotes() -> None:
    short = load_generator("conditioned:Writes,prompt=CT")
    long = load_generator('conditioned:Writes,range=-1:1,prompt="CT of the chest, lung window"')
    assert long.condition == "prompt=CT of the chest, lung window"
    assert long(8, 0).mean() > short(8, 0).mean()


def test_masks_of_a_folder_are_dealt_to_the_images_of_a_seed(masks: Path) -> None:
    generator = load_generator(f"conditioned:PaintsGrey,masks={masks}")
    images = generator(40, 1)
    assert len(np.unique(images[:5].reshape(5, -1), axis=0)) == len(np.unique(images.reshape(40, -1), axis=0)) == 4
    np.testing.assert_array_equal(images[:5], images[5:10])
    np.testing.assert_array_equal(images[33:37], generator.sample_range(33, 37, 1))  # type: ignore[union-attr]
    assert (generator(5, 2) != images[:5]).any()
    assert str(generator.condition).startswith("masks=")


def test_masks_reach_a_network_of_the_form_of_spade_as_one_hot(masks: Path) -> None:
    images = load_generator(f"conditioned:Paints,masks={masks}")(10, 0)
    assert set(np.unique(images)) == {0, 128, 255}


def test_changed_masks_change_the_identity_of_the_condition(masks: Path) -> None:
    name = f"conditioned:PaintsGrey,masks={masks}"
    before = load_generator(name).condition
    Image.fromarray(np.full((8, 8), 2, np.uint8)).save(masks / "4.png")
    assert load_generator(name).condition != before


def test_function_with_a_parameter_for_the_class_is_given_it() -> None:
    generator = load_generator("conditioned:function,class=2")
    assert generator(3, 5).max() == 25
    assert generator.identity not in (None, "a function")
    assert generator.condition == "class=2"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("conditioned:StyleLike,latent=8,class=4", CheckpointError, "has no class 4. Choose class=0 to class=3"),
        ("conditioned:Numbered,latent=8,prompt=CT", CheckpointError, "takes no prompt: its method has none of"),
        ("conditioned:plain,class=1", CheckpointError, "takes no class"),
        ("conditioned:StyleLike,latent=8", CheckpointError, "its method forward takes 'c'. Put class=NUMBER behind"),
        ("conditioned:needs_class", CheckpointError, "it takes 'label'. Put class=NUMBER behind its name"),
        ("conditioned:Numbered,latent=8,class=-1", SettingsError, "class= takes a whole number"),
        ("conditioned:PaintsGrey,masks=nowhere", CheckpointError, "folder of masks does not exist"),
    ],
)
def test_condition_that_does_not_fit_is_one_line(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        load_generator(name)
    assert "\n" not in str(caught.value)


MONAI = """
import torch
from monai.networks.nets import DiffusionModelUNet, SPADEDiffusionModelUNet
from monai.networks.schedulers import DDIMScheduler

SETTINGS = dict(
    spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 8), num_res_blocks=1, norm_num_groups=4,
    attention_levels=(False, False),
)

def of_a_class():
    network = DiffusionModelUNet(num_class_embeds=3, **SETTINGS)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0, 0.3)  # some are zeros in a network that was not trained
    return network, DDIMScheduler(num_train_timesteps=20)

def of_masks():
    network = SPADEDiffusionModelUNet(label_nc=3, **SETTINGS)
    with torch.no_grad():
        network.out[-1].conv.weight.normal_(0, 0.3)
    return network, DDIMScheduler(num_train_timesteps=20)
"""


@pytest.fixture
def monai_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("monai")
    (tmp_path / "monai_conditioned.py").write_text(MONAI)
    monkeypatch.delitem(sys.modules, "monai_conditioned", raising=False)


@pytest.mark.usefixtures("monai_module")
def test_class_reaches_a_diffusion_model_of_monai() -> None:
    name = "monai_conditioned:of_a_class,latent=1x8x8,steps=2"
    found = [load_generator(f"{name},class={label}") for label in (0, 2)]
    assert (found[0](4, 0) != found[1](4, 0)).any()
    assert found[0].identity != found[1].identity
    with pytest.raises(CheckpointError, match=r"needs a condition\. Add class="):
        load_generator(name)
    with pytest.raises(CheckpointError, match=r"has no class 3\. Choose class=0 to class=2"):
        load_generator(f"{name},class=3")


@pytest.mark.usefixtures("monai_module")
def test_masks_reach_a_spade_diffusion_model_of_monai(masks: Path) -> None:
    name = "monai_conditioned:of_masks,latent=1x8x8,steps=2"
    generator = load_generator(f"{name},masks={masks}")
    np.testing.assert_array_equal(generator(6, 0), generator(6, 0))
    with pytest.raises(CheckpointError, match=r"needs a condition\. Add masks="):
        load_generator(name)


def write_dit(folder: Path) -> Path:
    """Write a DiT pipeline with random weights of a fixed seed."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, sample_size=8,
            patch_size=2, num_embeds_ada_norm=5, norm_num_groups=4,
        )  # fmt: skip
        for weight in transformer.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        vae = diffusers.AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 8), norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=20)
    diffusers.DiTPipeline(transformer, vae, scheduler, {0: "air", 1: "lung"}).save_pretrained(folder)
    return folder


def test_dit_pipeline_draws_images_of_a_class(tmp_path: Path) -> None:
    from pytest_medgan.gan.pipelines import from_pipeline

    folder = write_dit(tmp_path / "dit")
    found = [from_pipeline(folder, steps=2, label=label) for label in (1, 3)]
    images = found[0](9, 0)
    assert images.shape == (9, 3, 16, 16)
    np.testing.assert_array_equal(images, found[0](9, 0))
    assert (images != found[1](9, 0)).any()
    assert found[0].identity != found[1].identity
    assert found[0].condition == "class=1"
    with pytest.raises(CheckpointError, match=r"draws images of a class\. Add class=NUMBER"):
        from_pipeline(folder, steps=2)
    with pytest.raises(SettingsError, match=r"The pipeline has no class 5\. Choose class=0 to class=4"):
        from_pipeline(folder, steps=2, label=5)


def test_pipeline_without_a_class_is_given_none(tmp_path: Path) -> None:
    from tests.gan.test_pipelines import ddpm

    with pytest.raises(CheckpointError, match=r"takes no class\. Leave class= out"):
        load_generator(f"{ddpm(tmp_path / 'model')},steps=1,class=0")
