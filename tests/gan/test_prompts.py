"""Pipelines of diffusers that draw to a prompt: the real classes with random weights, read without the network."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.pipelines import from_pipeline
from pytest_medgan.gan.seeding import seed_of

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write_tokenizer(folder: Path, longest: int) -> Any:
    """Return a tokenizer that knows the letters, each alone or at the end of a word."""
    folder.mkdir(parents=True)
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=longest)


def write(folder: Path, *, seed: int = 0, longest: int = 12) -> Path:
    """Write a StableDiffusionPipeline with random weights of a fixed seed."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=54, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                max_position_embeddings=longest, bos_token_id=52, eos_token_id=53, pad_token_id=53,
            )
        )  # fmt: skip
        unet = diffusers.UNet2DConditionModel(
            sample_size=8, layers_per_block=1, block_out_channels=(8, 16), cross_attention_dim=16, norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=4,
        )  # fmt: skip
        vae = diffusers.AutoencoderKL(
            in_channels=1, out_channels=1, latent_channels=4, block_out_channels=(8, 8), norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
        pipeline = diffusers.StableDiffusionPipeline(
            vae=vae, text_encoder=text, tokenizer=write_tokenizer(folder.with_suffix(".tokens"), longest), unet=unet,
            scheduler=diffusers.DDIMScheduler(num_train_timesteps=20, clip_sample=False), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipeline.save_pretrained(folder)
    return folder


def change_index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_pipeline_draws_the_same_images_of_a_prompt_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "model")
    capfd.readouterr()
    first, second = (from_pipeline(folder, steps=2, prompt="lung") for _ in range(2))
    images = first(10, 3)
    assert capfd.readouterr() == ("", "")
    assert images.shape == (10, 1, 16, 16)
    np.testing.assert_array_equal(images, second(10, 3))
    np.testing.assert_array_equal(images[:5], first(5, 3))
    assert (images != first(10, 4)).any()
    assert len(np.unique(images.reshape(10, -1), axis=0)) == 10
    assert first.identity == second.identity is not None
    assert first.condition == "prompt=lung"
    other = from_pipeline(folder, steps=2, prompt="bone")
    assert (images != other(10, 3)).any()
    assert other.identity != first.identity


def test_images_are_those_of_the_pipeline_itself(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    ours = from_pipeline(folder, steps=2, prompt="lung, ct")(8, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed_of(5, number)) for number in range(8)]
    how = {"generator": generators, "num_inference_steps": 2, "output_type": "np"}
    theirs = pipeline(prompt=["lung, ct"] * 8, **how).images
    np.testing.assert_array_equal(ours, to_grey(torch.from_numpy(theirs.transpose(0, 3, 1, 2).copy()) * 2 - 1))


def test_pipeline_is_named_with_its_prompt_and_drawn_in_its_own_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "model")
    capfd.readouterr()
    apart = load_generator(f'{folder},prompt="lung, ct",steps=2')
    here = from_pipeline(folder, steps=2, prompt="lung, ct")
    np.testing.assert_array_equal(apart(10, 3), here(10, 3))
    assert (apart.identity, apart.condition) == (here.identity, "prompt=lung, ct")
    assert capfd.readouterr() == ("", "")


def test_weights_of_the_text_model_and_words_of_the_tokenizer_enter_the_identity(tmp_path: Path) -> None:
    def identity(folder: Path) -> str | None:
        return from_pipeline(folder, steps=1, prompt="lung").identity

    first = write(tmp_path / "first")
    assert identity(write(tmp_path / "again")) == identity(first)
    others = [write(tmp_path / "seed", seed=1), write(tmp_path / "longer", longest=13)]
    copied = write(tmp_path / "text")
    weights = copied / "text_encoder" / "model.safetensors"
    weights.write_bytes((others[0] / "text_encoder" / "model.safetensors").read_bytes())
    words = write(tmp_path / "words")
    file = words / "tokenizer" / "tokenizer.json"
    tokens = json.loads(file.read_text())
    tokens["model"]["vocab"] |= {"l": 20, "u": 11}  # the letters change their numbers
    file.write_text(json.dumps(tokens))
    assert len({identity(each) for each in (first, *others, copied, words)}) == 5


def test_prompt_that_is_missing_or_too_long_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r'draws to a prompt\. Add prompt="WORDS"') as caught:
        from_pipeline(folder, steps=1)
    assert caught.value.file == "model"
    with pytest.raises(CheckpointError, match=r"prompt has 13 tokens, and the pipeline reads 12\. Shorten prompt="):
        from_pipeline(folder, steps=1, prompt="lung without")
    assert from_pipeline(folder, steps=1, prompt="lung withou").condition == "prompt=lung withou"  # 12 tokens
    with pytest.raises(CheckpointError, match=r"takes no class\. Leave class= out"):
        from_pipeline(folder, steps=1, prompt="lung", label=1)
    from tests.gan.test_pipelines import ddpm

    with pytest.raises(CheckpointError, match=r"takes no prompt\. Leave prompt= out"):
        from_pipeline(ddpm(tmp_path / "plain"), steps=1, prompt="lung")


def test_checker_of_photographs_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    expected = from_pipeline(folder, steps=1, prompt="lung")(8, 0)
    checker = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    change_index(folder, **checker)
    np.testing.assert_array_equal(from_pipeline(folder, steps=1, prompt="lung")(8, 0), expected)


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.mkdir, (self.target,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text_encoder": ["transformers", "AutoModel"]}, "'text_encoder' is no class of diffusers"),
        ({"tokenizer": ["evil_module", "CLIPTokenizer"]}, "'tokenizer' is no class of diffusers"),
        ({"image_encoder": ["transformers", "CLIPVisionModelWithProjection"]}, "'image_encoder' is no class"),
        ({}, "'text_encoder' has no model.safetensors"),
    ],
    ids=["any model", "foreign module", "images", "pickle"],
)
def test_text_model_of_foreign_code_or_in_a_pickle_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model")
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    change_index(folder, **changes)
    if not changes:
        (folder / "text_encoder" / "model.safetensors").unlink()
        (folder / "text_encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match=words) as caught:
        from_pipeline(folder, steps=1, prompt="lung")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_missing_package_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"with a prompt .*transformers.* pip install 'pytest-medgan\[prompt\]'"):
        from_pipeline(folder, steps=1, prompt="lung")
