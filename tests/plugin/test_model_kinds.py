"""Every kind of generator that one string names: MISSING, accepted, PASS, and red where the model was changed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.gan.stand_in import PERSISTENCE
from tests.monai_bundles import GAN, LATENT, write_bundle
from tests.plugin.conftest import MODULE

Write = Callable[[Path, float], None]  # (project, gain): write the model; less gain is less diversity


def principal_components(number: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [1024] and components [number,1024] of the toy's images, in -1..1."""
    names: dict[str, object] = {}
    exec(MODULE, names)
    blobs = names["blobs"]
    assert callable(blobs)
    flat = blobs(512, 5).reshape(512, -1).astype(np.float64) / 127.5 - 1.0
    mean = flat.mean(0)
    _, spread, directions = np.linalg.svd(flat - mean, full_matrices=False)
    return mean.astype(np.float32), (directions * spread[:, None] / np.sqrt(512))[:number].astype(np.float32)


def write_onnx(project: Path, gain: float) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    mean, components = principal_components()
    constants = {"mean": mean, "weight": components * gain, "shape": np.array([-1, 1, 32, 32])}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["z", "weight", "mean"], ["flat"]),
         helper.make_node("Reshape", ["flat", "shape"], ["images"])],
        "components",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 12])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 32, 32])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(project / "model.onnx"))


MODELS = """
import numpy as np
import torch
from torch import nn

GAIN = {gain}
MEAN, COMPONENTS = (torch.from_numpy(array) for array in np.load("components.npz").values())

class Decodes:
    def decode(self, z):
        return (MEAN + GAIN * z @ COMPONENTS).reshape(-1, 1, 32, 32)

class Samples:
    def sample(self, count):
        return Decodes().decode(torch.randn(count, len(COMPONENTS)))

class Forward(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(*COMPONENTS.shape)
    def forward(self, z):
        return self.layer(z).reshape(-1, 1, 32, 32)
"""


def write_models(project: Path, gain: float) -> None:
    import torch

    mean, components = principal_components()
    np.savez(project / "components.npz", mean=mean, components=components)
    weights = {"layer.weight": torch.from_numpy(components.T.copy() * gain), "layer.bias": torch.from_numpy(mean)}
    torch.save(weights, project / "weights.pt")
    (project / "kinds_of_models.py").write_text(MODELS.format(gain=gain))


MONAI = """
import torch
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet, VarAutoEncoder
from monai.networks.schedulers import DDIMScheduler

def diffusion():
    network = DiffusionModelUNet(
        spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 16), num_res_blocks=1,
        attention_levels=(False, False), norm_num_groups=4,
    )
    with torch.no_grad():
        network.out[-1].conv.weight.normal_(0, 0.1)  # zeros in a network that was not trained
        network.out[-1].conv.bias.fill_(-3.0)  # darkens the images
    return network, DDIMScheduler(num_train_timesteps=20, beta_end=0.3)

def autoencoder():
    return AutoencoderKL(
        spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 16), num_res_blocks=1, norm_num_groups=4,
        attention_levels=(False, False), with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False,
    )

class Coder(VarAutoEncoder):
    def __init__(self):
        super().__init__(2, (1, 32, 32), 1, 8, (4, 8), (2, 2))
"""


def write_monai(project: Path, gain: float) -> None:
    """Write random weights of a fixed seed, multiplied by gain; those of the diffusion model grow where it falls."""
    import torch
    from torch import nn

    (project / "monai_models.py").write_text(MONAI)
    names: dict[str, object] = {}
    exec(MONAI, names)
    for name in ("autoencoder", "Coder", "diffusion"):
        torch.manual_seed(0)
        build = names[name]
        assert callable(build)
        built = build()
        network = built[0] if isinstance(built, tuple) else built
        assert isinstance(network, nn.Module)
        factor = 0.9 - gain / 2 if name == "diffusion" else gain
        torch.save({key: value * factor for key, value in network.state_dict().items()}, project / f"{name}.pt")


PIPELINE = """
import diffusers
import torch

torch.manual_seed(0)
network = diffusers.UNet2DModel(
    sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4, 8), norm_num_groups=2,
    down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"), add_attention=False,
)
with torch.no_grad():
    network.conv_out.bias.fill_({bias})
scheduler = diffusers.DDIMScheduler(num_train_timesteps=20, beta_end=0.3)
diffusers.DDIMPipeline(network, scheduler).save_pretrained("pipeline")
"""


def write_pipeline(project: Path, gain: float) -> None:
    """Write a pipeline of random weights of a fixed seed; its images grow darker where gain falls.

    Another process does it: pytester unloads what a test imported first, and halves of diffusers that were loaded at
    different times do not know each other's classes.
    """
    subprocess.run([sys.executable, "-c", PIPELINE.format(bias=1.5 * gain - 2.7)], cwd=project, check=True)


PROMPTED = """
import json
from pathlib import Path

import diffusers
import torch
import transformers

letters = "abcdefghijklmnopqrstuvwxyz"
tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
Path("vocab.json").write_text(json.dumps({{token: number for number, token in enumerate(tokens)}}))
Path("merges.txt").write_text("#version: 0.2")
tokenizer = transformers.CLIPTokenizer("vocab.json", "merges.txt", model_max_length=8)
torch.manual_seed(0)
text = transformers.CLIPTextModel(transformers.CLIPTextConfig(
    vocab_size=54, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=8, bos_token_id=52, eos_token_id=53, pad_token_id=53,
))
unet = diffusers.UNet2DConditionModel(
    sample_size=16, layers_per_block=1, block_out_channels=(8, 16), cross_attention_dim=16, norm_num_groups=4,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    attention_head_dim=4,
)
vae = diffusers.AutoencoderKL(
    in_channels=1, out_channels=1, latent_channels=4, block_out_channels=(8, 8), norm_num_groups=4,
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
)
with torch.no_grad():
    vae.decoder.conv_out.bias.fill_({bias})
diffusers.StableDiffusionPipeline(
    vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, safety_checker=None, feature_extractor=None,
    scheduler=diffusers.DDIMScheduler(num_train_timesteps=20, clip_sample=False, steps_offset=1),
    requires_safety_checker=False,
).save_pretrained("prompted")
"""


def write_prompted_pipeline(project: Path, gain: float) -> None:
    """Write a pipeline with a text model, as `write_pipeline` does; its images grow brighter where gain falls."""
    subprocess.run([sys.executable, "-c", PROMPTED.format(bias=-gain)], cwd=project, check=True)


def write_gan_bundle(project: Path, gain: float) -> None:
    write_bundle(project / "bundle", GAN, gain=2.0 - 2.0 * gain)


def write_latent_bundle(project: Path, gain: float) -> None:
    write_bundle(project / "bundle", LATENT, gain=gain)


STYLEGAN = """
import pickle, sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, "code")
names = {}
source = Path("code/network.py").read_text()
exec(source, names)
kind = names["Generator"]
kind.source = source
mean, components = (torch.from_numpy(array) for array in np.load("components.npz").values())
pickle.dump({"G_ema": kind(mean, components * GAIN)}, open("network.pkl", "wb"))
"""
STYLEGAN_SOURCE = """
from torch_utils.persistence import Carried


class Generator(Carried):
    def __init__(self, mean, components):
        super().__init__()
        self.z_dim, self.c_dim = len(components), 0
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)

    def forward(self, z, c, truncation_psi=1, noise_mode="random"):
        return (self.mean + z @ self.components).reshape(-1, 1, 32, 32)
"""


def write_converted(project: Path, gain: float) -> None:
    """Pickle a network together with its source, as NVlabs do, and convert it."""
    mean, components = principal_components()
    np.savez(project / "components.npz", mean=mean, components=components)
    (project / "code" / "torch_utils").mkdir(parents=True, exist_ok=True)
    (project / "code" / "torch_utils" / "persistence.py").write_text(PERSISTENCE)
    (project / "code" / "network.py").write_text(STYLEGAN_SOURCE)
    subprocess.run([sys.executable, "-c", STYLEGAN.replace("GAIN", str(gain))], cwd=project, check=True)
    command = ["convert", "network.pkl", "--code", "code", "--out", "G.pt2", "--trust", "--allow-network"]
    subprocess.run([sys.executable, "-m", "pytest_medgan", *command], cwd=project, check=True)


PROGRAM = """
import numpy as np
import torch
from torch import nn


class Components(nn.Module):
    def __init__(self, mean, components):
        super().__init__()
        self.mean, self.components = nn.Buffer(torch.from_numpy(mean)), nn.Buffer(torch.from_numpy(components))

    def forward(self, z):
        return (self.mean + z @ self.components).reshape(-1, 1, 32, 32)


held = np.load("components.npz")
batch = torch.export.Dim("batch", min=2, max=4096)
network = Components(held["mean"], held["components"] * np.float32(GAIN))
program = torch.export.export(network, (torch.zeros(4, 12),), dynamic_shapes=({0: batch},))
torch.export.save(program, "model.pt2")
"""


def write_program(project: Path, gain: float) -> None:
    """Export a model in a process of its own: pytester unloads the compiler, which cannot be loaded twice."""
    mean, components = principal_components()
    np.savez(project / "components.npz", mean=mean, components=components)
    subprocess.run([sys.executable, "-c", PROGRAM.replace("GAIN", str(gain))], cwd=project, check=True)


def made_images(gain: float) -> np.ndarray:
    """Return images uint8 [512,32,32] of the model of principal components."""
    mean, components = principal_components()
    z = np.random.default_rng(0).normal(size=(512, 12)).astype(np.float32)
    levels = (mean + gain * z @ components) * 127.5 + 128
    return np.clip(levels, 0, 255).astype(np.uint8).reshape(-1, 32, 32)


def write_pictures(project: Path, gain: float) -> None:
    from PIL import Image

    (project / "pictures").mkdir(exist_ok=True)
    for number, image in enumerate(made_images(gain)):
        Image.fromarray(image).save(project / "pictures" / f"{number:03}.png")


def write_array(project: Path, gain: float) -> None:
    np.savez(project / "made.npz", pixels=made_images(gain))


KINDS = [
    pytest.param("model.onnx", write_onnx, "onnxruntime", id="ONNX", marks=pytest.mark.slow),
    pytest.param("model.pt2,latent=12", write_program, "", id="torch.export", marks=pytest.mark.slow),
    pytest.param("pictures", write_pictures, "", id="pictures", marks=pytest.mark.slow),
    pytest.param("made.npz", write_array, "", id="array"),
    pytest.param("kinds_of_models:Decodes,latent=12", write_models, "", id="decode", marks=pytest.mark.slow),
    pytest.param("kinds_of_models:Samples", write_models, "", id="sample", marks=pytest.mark.slow),
    pytest.param("kinds_of_models:Forward,latent=12,weights=weights.pt", write_models, "", id="forward"),
    pytest.param(
        "monai_models:autoencoder,latent=3x16x16,range=-4:4,weights=autoencoder.pt",
        write_monai,
        "monai",
        id="AutoencoderKL",
    ),
    pytest.param(
        "monai_models:Coder,latent=8,range=0:1,weights=Coder.pt",
        write_monai,
        "monai",
        id="VarAutoEncoder",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "monai_models:diffusion,latent=1x32x32,steps=2,weights=diffusion.pt",
        write_monai,
        "monai",
        id="DiffusionModelUNet",
        marks=pytest.mark.slow,
    ),
    pytest.param("bundle,trust=yes", write_gan_bundle, "monai", id="bundle of a GAN"),
    pytest.param(
        "bundle,trust=yes,range=-4:4,steps=2",
        write_latent_bundle,
        "monai",
        id="bundle of a latent diffusion model",
        marks=pytest.mark.slow,
    ),
    pytest.param("G.pt2", write_converted, "", id="converted StyleGAN", marks=pytest.mark.slow),
    pytest.param("pipeline,steps=2", write_pipeline, "diffusers", id="DDIMPipeline", marks=pytest.mark.slow),
    pytest.param(
        "prompted,prompt=lung,steps=2",
        write_prompted_pipeline,
        "transformers",
        id="StableDiffusionPipeline",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("generator", "write", "needs"), KINDS)
def test_kind_is_gated_from_missing_over_accepted_to_pass_and_red(
    generator: str, write: Write, needs: str, project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    write(project.path, 0.6)
    how = ("-k", "fid", f"--medgan-generator={generator}", "--medgan-samples=128")
    missing = project.runpytest(*how)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*"])
    assert accept() == 0
    project.runpytest(*how).assert_outcomes(passed=1)
    write(project.path, 0.3)
    changed = project.runpytest(*how)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*FID*FAIL*"])


CONDITIONED = """
import torch
from kinds_of_models import COMPONENTS, MEAN

class OfAClass:
    def decode(self, z, class_labels):
        return (MEAN + 0.6 * z @ COMPONENTS).reshape(-1, 1, 32, 32) - 0.05 * class_labels.reshape(-1, 1, 1, 1)
"""


def test_another_condition_is_incomparable_and_may_be_a_row_of_its_own(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    write_models(project.path, 0.6)
    project.makepyfile(labelled=CONDITIONED)

    def gate(condition: str) -> pytest.RunResult:
        name = f"labelled:OfAClass,latent=12{condition}"
        return project.runpytest("-k", "fid", f"--medgan-generator={name}", "--medgan-samples=128", "--medgan-full")

    gate(",class=1").stdout.fnmatch_lines(["*MISSING*"])
    assert accept() == 0
    gate(",class=1").assert_outcomes(passed=1)
    other = gate(",class=2")
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(["*INCOMPARABLE*", "*condition: class=2 != class=1*"])
    assert accept() == 2  # the row of class 1 would be replaced
    assert accept("another class", "medgan-baseline.yaml", "--override", "fingerprint") == 0
    gate(",class=2").assert_outcomes(passed=1)


# the rows of the table of generators in docs/how-to/own-generator.md, and the walk of each
WALKS = {
    "a checkpoint of `medgan train`": "tests/test_retrained_example.py",
    "a state dict of DCGAN, PGGAN, StyleGAN2 or BigGAN as built here": "tests/gan/test_loading.py",
    "a Python class, object or network": "forward",
    "a model of a class, a prompt or masks": "test_another_condition",
    "a TorchScript or torch.export file": "torch.export",
    "a network of StyleGAN2-ADA, StyleGAN3 or PyTorch-StudioGAN": "converted StyleGAN",
    "an ONNX file": "ONNX",
    "a MONAI autoencoder or GAN": "AutoencoderKL",
    "a MONAI diffusion model": "DiffusionModelUNet",
    "a MONAI bundle": "bundle of a GAN",
    "a diffusers pipeline": "DDIMPipeline",
    "a Stable Diffusion pipeline": "StableDiffusionPipeline",
    "a function that draws volumes": "tests/plugin/test_volume_models.py",
    "volumes already made": "tests/plugin/test_volume_models.py",
    "a model of images in colour": "tests/plugin/test_colour.py",
    "pictures already made": "pictures",
    "an array already made": "array",
}


def test_every_row_of_the_documented_table_has_a_walk() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "how-to" / "own-generator.md").read_text()
    table = text.partition("| you have | name it | notes |\n")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[1:]]
    assert rows == list(WALKS)
    known = {str(kind.id) for kind in KINDS}
    for walk in WALKS.values():
        assert walk in known or walk == "test_another_condition" or (root / walk).is_file()
