"""One string, one generator; nothing foreign runs on the way."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.errors import CheckpointError, MedganError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.contract import resolve_generator
from pytest_medgan.gan.latents import latents
from pytest_medgan.gan.others import from_callable
from pytest_medgan.gan.run_folder import write_png


class Draws(nn.Module):
    """z [N,latent] -> images [N,1,16,16]."""

    def __init__(self, latent: int = 12, gain: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(latent, 256)
        self.gain = gain

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z)).reshape(-1, 1, 16, 16) * self.gain


def script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module), path)
    return path


def export(module: nn.Module, path: Path, latent: int = 12) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = {"z": {0: torch.export.Dim("count", min=1, max=4096)}}
        torch.export.save(torch.export.export(module, (torch.zeros(2, latent),), dynamic_shapes=shapes), path)
    return path


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


# ---------------------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("write", [script, export], ids=["TorchScript", "torch.export"])
def test_exported_model_draws_the_same_images(write: Callable[..., Path], tmp_path: Path) -> None:
    from pytest_medgan.gan.grey import to_grey
    from pytest_medgan.gan.latents import latents

    path = write(Draws(), tmp_path / "generator-z12.pt")
    generator = load_generator(str(path))
    with torch.no_grad():
        expected = to_grey(Draws()(torch.from_numpy(latents(0, 40, 3, 12))))
    ours = generator(40, 3)
    assert ours.shape == (40, 1, 16, 16)
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    np.testing.assert_array_equal(generator.sample_range(30, 40, 3), ours[30:])
    assert generator.training_recipe is None
    assert generator.identity == load_generator(str(path)).identity


def test_latent_is_found_in_the_program_or_by_trying(tmp_path: Path) -> None:
    assert load_generator(str(export(Draws(12), tmp_path / "any.pt2")))(2, 0).shape == (2, 1, 16, 16)
    assert load_generator(str(script(Draws(512), tmp_path / "any.pt")))(2, 0).shape == (2, 1, 16, 16)
    with pytest.raises(
        CheckpointError, match="does not say how many numbers a latent has, and fails on 100, 512, 128, 64, 256"
    ):
        load_generator(str(script(Draws(13), tmp_path / "odd.pt")))


def test_model_that_does_not_end_in_minus_one_to_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Make it end in -1\.\.1"):
        load_generator(str(script(Draws(gain=255.0), tmp_path / "wide-z12.pt")))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "model.bin"])
@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path: Path, name: str, legacy: bool) -> None:
    ran = tmp_path / "ran"
    torch.save({"model": Payload(ran)}, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError) as caught:
        load_generator(str(tmp_path / name))
    assert not ran.exists()
    assert caught.value.file == name
    assert name not in str(caught.value)
    if not legacy:
        assert "torch.export.save" in str(caught.value)


@pytest.mark.parametrize("protocol", [0, 2])
def test_payload_hidden_in_an_exported_program_does_not_run(tmp_path: Path, protocol: int) -> None:
    """Every member that could be unpickled is replaced by one that would run code."""
    ran = tmp_path / "ran"
    whole = export(Draws(), tmp_path / "whole.pt2")
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    suspects = [n for n in members if "weight" in n or "inputs" in n or "constants" in n or n.endswith(".pt")]
    assert suspects
    for suspect in suspects:
        contents = [pickle.dumps(Payload(ran), protocol=protocol)]
        if members[suspect][:1] == b"{":
            flagged = members[suspect].replace(b'"use_pickle": false', b'"use_pickle": true')
            contents.append(flagged.replace(b'"use_pickle":false', b'"use_pickle":true'))
        for content in contents:
            evil = tmp_path / "evil.pt2"
            with zipfile.ZipFile(evil, "w", zipfile.ZIP_STORED) as archive:
                for name, original in members.items():
                    replaced = content if name == suspect else original
                    if name != suspect and content[:1] == b"{" and name.rsplit("/", 1)[-1].startswith("weight_"):
                        replaced = pickle.dumps(Payload(ran), protocol=protocol)
                    archive.writestr(name, replaced)
            with contextlib.suppress(CheckpointError):
                load_generator(str(evil))
            assert not ran.exists(), f"{suspect} ran"


def test_long_prompt_is_an_option_and_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_generator(f'{tmp_path / "missing"},prompt="{"a" * 300}"')
    assert "aaa" not in str(caught.value)


def test_bare_pickle_is_told_how_it_can_be_converted(tmp_path: Path) -> None:
    target = tmp_path / "made"
    (tmp_path / "network.pkl").write_bytes(pickle.dumps({"G_ema": Payload(target)}))
    with pytest.raises(CheckpointError, match=r"is a pickle.*medgan convert"):
        load_generator(str(tmp_path / "network.pkl"))
    assert not target.exists()


def test_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = script(Draws(), tmp_path / "whole-z12.pt")
    cut = tmp_path / "cut-z12.pt"
    for length in (0, 3, 500, path.stat().st_size - 1):
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(CheckpointError) as caught:
            load_generator(str(cut))
        assert caught.value.file == "cut-z12.pt"


def test_archive_whose_names_are_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/mödel.json", "{}")
    path.write_bytes(path.read_bytes().replace("ö".encode(), b"\xff\xff"))
    with pytest.raises(CheckpointError, match="truncated"):
        load_generator(str(path))


# -------------------------------------------------------------------------------------------------------- state dicts


def test_state_dict_of_pytorchs_own_example_is_loaded_as_weights_only(finished_run: Path, tmp_path: Path) -> None:
    checkpoint = load(finished_run / "generator.safetensors")
    theirs = {f"module.{n.replace('layers.', 'main.')}": t for n, t in checkpoint.state("generator").items()}
    torch.save(theirs, tmp_path / "netG.pth")
    spec = f"dcgan,weights={tmp_path / 'netG.pth'},size=16,latent=8,generator_width=4,discriminator_width=4"
    generator = load_generator(spec)
    np.testing.assert_array_equal(generator(5, 2), load_generator(str(finished_run))(5, 2))
    with pytest.raises(CheckpointError, match="not those of a DCGAN at 32x32"):
        load_generator(spec.replace("size=16", "size=32"))
    ran = tmp_path / "ran"
    torch.save({**theirs, "extra": Payload(ran)}, tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        load_generator(spec)
    assert not ran.exists()
    torch.save([1, 2], tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        load_generator(spec)
    (tmp_path / "netG.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="truncated"):
        load_generator(spec)


@pytest.mark.parametrize("spec", ["dcgan", "pggan", "dcgan,weights=x,colour=3", "dcgan,weights=x,size=wide"])
def test_architecture_name_without_usable_weights_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError):
        load_generator(spec)


# ---------------------------------------------------------------------------------------------------------- callables

SOURCE = """
import numpy as np
def good(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
class Ranged:
    identity = "v1"
    training_recipe = "abc"
    def __call__(self, count, seed):
        return self.sample_range(0, count, seed)
    def sample_range(self, start, stop, seed):
        return good(100, seed)[start:stop]
ranged = Ranged()
def short(count, seed):
    return good(count - 1, seed)
def floats(count, seed):
    return good(count, seed) / 255.0
def flat(count, seed):
    return good(count, seed)[:, 0]
def nothing(count, seed):
    return None
def global_numbers(count, seed):
    import random, torch
    first = torch.randint(0, 256, (count, 1, 8, 4), dtype=torch.uint8).numpy()
    second = np.random.randint(0, 256, (count, 1, 8, 3), dtype=np.uint8)
    third = np.array([random.randrange(256) for _ in range(8 * count)], np.uint8).reshape(count, 1, 8, 1)
    return np.concatenate([first, second, third], axis=3)
class Parts:
    def __call__(self, count, seed):
        return global_numbers(count, seed)
    def sample_range(self, start, stop, seed):
        return global_numbers(stop - start, seed)
parts = Parts()
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_generators.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_generators", raising=False)
    return "my_generators"


def test_callable_is_checked_and_passed_on(module: str) -> None:
    plain = load_generator(f"{module}:good")
    np.testing.assert_array_equal(plain(5, 3), plain(5, 3))
    assert plain.identity is None
    assert not hasattr(plain, "sample_range")
    ranged = load_generator(f"{module}:ranged")
    assert (ranged.identity, ranged.training_recipe) == ("v1", "abc")
    np.testing.assert_array_equal(ranged.sample_range(3, 5, 0), ranged(5, 0)[3:])


def assert_seed_names_all(draw: Callable[..., Any], *numbers: int) -> None:
    """Fail unless a drawing repeats, changes with the seed, and leaves the caller's random numbers alone."""
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # type: ignore[index]
    first, again = draw(*numbers, 3), draw(*numbers, 3)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # type: ignore[index]
    np.testing.assert_array_equal(first, again)
    for others in (draw(*numbers, 4), draw(*numbers, -3)):
        assert (first[..., :4] != others[..., :4]).any(), "torch's numbers ignore the seed"
        assert (first[..., 4:7] != others[..., 4:7]).any(), "numpy's numbers ignore the seed"
        assert (first[..., 7:] != others[..., 7:]).any(), "Python's numbers ignore the seed"
    assert (before[0] == after[0]).all()
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]


def test_callable_may_use_one_array_for_all_that_it_returns() -> None:
    """`medgan sample` asks for the images of one seed after another and joins them."""
    shared = np.zeros((4, 1, 8, 8), np.uint8)

    def draw(count: int, seed: int) -> Any:
        shared[:] = seed
        return shared[:count]

    generator = from_callable(draw)
    first, second = generator(3, 1), generator(3, 2)
    assert (first == 1).all()
    assert (second == 2).all()


def test_random_numbers_of_a_callable_follow_from_the_seed(module: str) -> None:
    assert_seed_names_all(load_generator(f"{module}:global_numbers"), 5)
    assert_seed_names_all(load_generator(f"{module}:parts").sample_range, 2, 5)  # type: ignore[union-attr]


def test_random_numbers_of_a_callable_of_a_fixture_follow_from_the_seed(module: str) -> None:
    own = importlib.import_module(module)
    source = resolve_generator(own.parts)
    assert source.draw_range is not None
    assert_seed_names_all(source.draw, 5)
    assert_seed_names_all(source.draw_range, 2, 5)
    assert (source.draw_range(0, 2, 3) != source.draw_range(2, 4, 3)).any()
    np.testing.assert_array_equal(source.draw(5, 3), load_generator(f"{module}:parts")(5, 3))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short", "returned 4 images instead of 5"),
        ("floats", r"returned float64 \[5, 1, 8, 8\]\. Return uint8"),
        ("flat", r"returned uint8 \[5, 8, 8\]"),
        ("nothing", "returned NoneType"),
    ],
)
def test_images_of_a_callable_are_checked(module: str, name: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_generator(f"{module}:{name}")(5, 0)


@pytest.mark.parametrize(
    ("name", "words"), [("absent", "no such name"), ("number", "is of type int"), ("good.deep", "no such")]
)
def test_name_that_is_no_callable_is_refused(module: str, name: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_generator(f"{module}:{name}")


def test_module_in_the_working_directory_is_found_by_console_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pytest` and `medgan`, unlike `python -m`, do not put the working directory on the path."""
    (tmp_path / "generators_beside_me.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", str(tmp_path))])
    assert load_generator("generators_beside_me:good")(2, 0).shape == (2, 1, 8, 8)
    del sys.modules["generators_beside_me"]


@pytest.mark.parametrize("name", [":draw", ".mine:draw", "mine..inner:draw"])
def test_name_without_a_module_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="names no module"):
        load_generator(name)


def test_missing_module_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be imported"):
        load_generator("no_such_module_anywhere:draw")


# ------------------------------------------------------------------------------------------------------------- images


def test_npz_with_seeds_returns_the_images_of_the_seed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "made.npz", pixels=pixels, groups=np.repeat(["0", "7"], 10))
    generator = load_generator(str(tmp_path / "made.npz"))
    np.testing.assert_array_equal(generator(10, 7), pixels[10:])
    np.testing.assert_array_equal(generator.sample_range(2, 5, 0), pixels[2:5])
    with pytest.raises(CheckpointError, match="holds 10 images of seed 7, and 11 were asked for"):
        generator(11, 7)


def test_images_without_seeds_are_shuffled_by_seed_without_repeats(tmp_path: Path) -> None:
    pixels = np.arange(30, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.savez(tmp_path / "made.npz", pixels=pixels)
    generator = load_generator(str(tmp_path / "made.npz"))
    first, second = generator(30, 0)[:, 0, 0, 0], generator(30, 1)[:, 0, 0, 0]
    assert sorted(first) == sorted(second) == list(range(30))
    assert list(first) != list(second)
    np.testing.assert_array_equal(generator(4, 0)[:, 0, 0, 0], first[:4])
    with pytest.raises(CheckpointError, match="31 were asked for"):
        generator(31, 0)


def test_images_without_seeds_are_dealt_among_the_seeds_that_are_known(tmp_path: Path) -> None:
    """Groups that share images would count as independent, and errors come out too small."""
    pixels = np.arange(31, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.savez(tmp_path / "made.npz", pixels=pixels)
    loaded = load_generator(str(tmp_path / "made.npz"))
    generator = loaded.dealt((0, 1, 5))
    taken = [generator(10, seed)[:, 0, 0, 0].tolist() for seed in (0, 1, 5)]
    assert len(set(taken[0] + taken[1] + taken[2])) == 30
    assert generator.identity != loaded.dealt((0, 1)).identity != loaded.identity
    with pytest.raises(
        CheckpointError, match=r"10 images of seed 5 \(its share of the 31 images.*11 were asked for.*fewer seeds"
    ):
        generator(11, 5)


def test_images_of_seeds_are_given_to_no_other_seed(tmp_path: Path) -> None:
    pixels = np.arange(30, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.savez(tmp_path / "made.npz", pixels=pixels, groups=np.repeat(["0", "7", "x"], 10))
    loaded = load_generator(str(tmp_path / "made.npz"))
    assert loaded.dealt((0, 7)).identity == loaded.identity
    generator = loaded.dealt((0, 7, 1))
    np.testing.assert_array_equal(generator(10, 7), pixels[10:20, None])
    assert sorted(generator(10, 1)[:, 0, 0, 0]) == list(range(20, 30))
    with pytest.raises(CheckpointError, match="holds 5 images of seed 1"):
        loaded.dealt((0, 1, 2, 7))(6, 1)


def test_folder_of_pictures_is_a_generator(tmp_path: Path) -> None:
    for index in range(5):
        write_png(np.full((8, 8, 1), index * 10, np.uint8), tmp_path / f"{index}.png")
    generator = load_generator(str(tmp_path))
    assert sorted(generator(5, 0)[:, 0, 0, 0]) == [0, 10, 20, 30, 40]
    write_png(np.zeros((9, 8, 1), np.uint8), tmp_path / "9.png")
    with pytest.raises(CheckpointError, match="the others are") as caught:
        load_generator(str(tmp_path))
    assert caught.value.file == "9.png"
    (tmp_path / "9.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(CheckpointError, match="picture is damaged"):
        load_generator(str(tmp_path))


def test_folder_of_pictures_leaves_hidden_files_out_and_takes_every_picture(tmp_path: Path) -> None:
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("0.png", ".ipynb_checkpoints/0-checkpoint.png", ".1.png", "inner/2.dat", "NOTES.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_png(np.full((8, 8, 1), 7, np.uint8), tmp_path / "made.png")
        (tmp_path / "made.png").rename(tmp_path / name)
    (tmp_path / "NOTES.txt").write_text("drawn on Monday")
    generator = load_generator(str(tmp_path))
    assert len(generator(2, 0)) == 2
    with pytest.raises(CheckpointError, match="holds 2 images"):
        generator(3, 0)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("a.dcm", b"\0" * 128 + b"DICM", "dicom"), ("a.nii", b"\x5c\x01\0\0", "nifti"), ("a.npy", b"\x93NUMPY", "npy")],
)
def test_folder_of_pictures_with_other_images_is_refused(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    write_png(np.zeros((8, 8, 1), np.uint8), tmp_path / "0.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"1 files of other images \({kind}\) beside 1 pictures") as caught:
        load_generator(str(tmp_path))
    assert caught.value.file == name


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    np.savez(tmp_path / "evil.npz", pixels=np.array([Payload(ran)], dtype=object))
    with pytest.raises(CheckpointError, match="Python objects"):
        load_generator(str(tmp_path / "evil.npz"))
    assert not ran.exists()


@pytest.mark.parametrize("pixels", [np.zeros((3, 8, 8)), np.zeros((0, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)])
def test_pixels_of_another_kind_are_refused(tmp_path: Path, pixels: Any) -> None:
    np.savez(tmp_path / "odd.npz", pixels=pixels)
    with pytest.raises(CheckpointError, match="Save uint8"):
        load_generator(str(tmp_path / "odd.npz"))


# ----------------------------------------------------------------------------------------------------------- the string


def test_truncation_is_part_of_the_string_and_of_the_identity(finished_run: Path) -> None:
    path = finished_run / "generator.safetensors"
    plain, cut = load_generator(str(path)), load_generator(f"{path},truncation=0.5")
    assert plain.identity != cut.identity
    assert not np.array_equal(plain(4, 0), cut(4, 0))
    for bad in ("truncation=no", "truncation=0", "colour=3"):
        with pytest.raises(SettingsError):
            load_generator(f"{path},{bad}")


@pytest.mark.parametrize("spec", ["absent.pt", "absent/folder", "absent.safetensors", "", "C:\\absent.pt"])
def test_missing_generator_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(MedganError) as caught:
        load_generator(spec)
    assert "\n" not in str(caught.value)


class Squashed(nn.Module):
    """Draws images in 0..`white`, as networks that end in a sigmoid do."""

    def __init__(self, latent: int = 12, white: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.layer = nn.Linear(latent, 256)
        self.white = white

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layer(z)).reshape(-1, 1, 16, 16) * self.white


@pytest.mark.parametrize("save", [script, export])
def test_model_that_returns_0_to_1_is_refused_until_its_range_is_said(
    save: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    path = save(Squashed(), tmp_path / "model-z12.pt2")
    with pytest.raises(CheckpointError, match=r"where -1 to 1 is expected\. .* range=0:1 or range=-1:1 behind"):
        load_generator(str(path))
    said, narrow = load_generator(f"{path},range=0:1"), load_generator(f"{path},range=-1:1")
    with torch.no_grad():
        grey = Squashed()(torch.from_numpy(latents(0, 3, 7, 12))).numpy()
    assert np.abs(said(3, 7).astype(float) - grey * 255).max() <= 1
    assert np.abs(narrow(3, 7).astype(float) - (grey + 1) / 2 * 255).max() <= 1
    assert said.identity != narrow.identity


def test_model_that_returns_0_to_255_is_refused_until_its_range_is_said(tmp_path: Path) -> None:
    path = script(Squashed(white=255.0), tmp_path / "model-z12.pt")
    with pytest.raises(CheckpointError, match=r"outside -1\.\.1.*range=0:255"):
        load_generator(str(path))
    with pytest.raises(CheckpointError, match="outside the range that was said"):
        load_generator(f"{path},range=0:1")
    assert load_generator(f"{path},range=0:255")(2, 0).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("option", ["range=1:0", "range=0", "range=0:nan", "latent=0", "latent=x", "size=3"])
def test_option_of_an_archive_that_cannot_be_used_is_refused(option: str, tmp_path: Path) -> None:
    path = script(Draws(), tmp_path / "model-z12.pt")
    with pytest.raises(SettingsError, match=option.partition("=")[0]):
        load_generator(f"{path},{option}")


def test_latent_is_said_behind_the_name(tmp_path: Path) -> None:
    path = script(Squashed(latent=77), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="latent=NUMBER behind the name"):
        load_generator(f"{path},range=0:1")
    assert load_generator(f"{path},latent=77,range=0:1")(1, 0).shape == (1, 1, 16, 16)


class Opens(nn.Module):
    """Draws images and overwrites a file."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        opened = torch.from_file("stolen", True, 256).fill_(0.0)
        return z.mean() + opened.reshape(1, 1, 16, 16).expand(len(z), 1, 16, 16)


def test_torchscript_that_opens_files_is_refused_unrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stolen").write_bytes(b"\1" * 1024)
    path = script(Opens(), tmp_path / "model-z12.pt")
    with pytest.raises(CheckpointError, match="aten::from_file, which opens files"):
        load_generator(str(path))
    assert (tmp_path / "stolen").read_bytes() == b"\1" * 1024


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Model", "is neither a function"),
        ("Needs", "is a class that needs arguments. Name an object of it"),
        ("no_seed", r"cannot be called with \(count, seed\)"),
        ("three", r"cannot be called with \(count, seed\)"),
        ("number", "is of type int"),
    ],
)
def test_object_that_does_not_take_count_and_seed_is_refused_in_plain_words(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_generators.py").write_text(
        "class Model:\n    pass\n\nclass Needs:\n    def __init__(self, size):\n        pass\n\n"
        "def no_seed(count):\n    pass\n\ndef three(count, seed, more):\n    pass\n\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match=said):
        load_generator(f"odd_generators:{name}")


class Noisy(nn.Module):
    """Adds noise of its own to images of -1..1."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        flat = torch.tanh(z.repeat(1, 2))[:, :16]
        return flat.reshape(-1, 1, 4, 4) * 0.5 + torch.randn(len(z), 1, 4, 4) * 0.1


def test_model_that_draws_noise_of_its_own_is_refused(tmp_path: Path) -> None:
    path = script(Noisy(), tmp_path / "model-z12.pt")
    with pytest.raises(CheckpointError, match="other images when it is called again"):
        load_generator(str(path))


class Channels(nn.Module):
    """Returns images whose channels come last."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z.repeat(1, 2))[:, :16].reshape(-1, 4, 4, 1)


def test_channels_that_come_last_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Channels come last. Make it return \[2,1,4,4\]"):
        load_generator(str(script(Channels(), tmp_path / "model-z12.pt")))


class Endless(nn.Module):
    """Draws images, but never ends where a latent of the batch begins with a number above `patience`."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.patience = patience

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        while float(z[:, 0].max()) > self.patience:
            z = z + 1.0
        return torch.tanh(z).repeat(1, 22)[:, :256].reshape(-1, 1, 16, 16)


def test_model_that_never_ends_is_stopped_while_it_is_loaded(tmp_path: Path) -> None:
    path = script(Endless(patience=-10.0), tmp_path / "model-z12.pt")
    with pytest.raises(CheckpointError, match=r"no answer within 2 seconds.*seconds=NUMBER"):
        load_generator(f"{path},seconds=2")


def test_model_that_never_ends_is_stopped_while_it_draws_and_others_go_on(tmp_path: Path) -> None:
    latest = float(latents(0, 8, 0, 12)[:, 0].max())
    path = script(Endless(patience=max(latest, 2.2)), tmp_path / "model-z12.pt")
    other = load_generator(str(script(Draws(), tmp_path / "other-z12.pt")))
    before = other(3, 1)
    generator = load_generator(f"{path},seconds=6")
    with pytest.raises(CheckpointError, match="no answer within 6 seconds"):
        generator(3200, 0)
    np.testing.assert_array_equal(other(3, 1), before)


def test_model_whose_file_is_written_again_does_not_take_the_old_identity(tmp_path: Path) -> None:
    path = script(Draws(), tmp_path / "model-z12.pt")
    old = load_generator(str(path))
    before = old(3, 0)
    script(Draws(gain=0.5), path)
    new = load_generator(str(path))
    assert new.identity != old.identity
    assert not np.array_equal(new(3, 0), before)
    np.testing.assert_array_equal(old(3, 0), before)  # it is still open
    for _ in range(4):  # and now it no longer is
        load_generator(str(path))
    with pytest.raises(CheckpointError, match="has changed since it was opened"):
        old(3, 0)


@pytest.mark.parametrize("spec", ["absent.pt,seconds=3", "absent.onnx,range=0:1", "absent.safetensors,truncation=0.5"])
def test_missing_file_with_options_is_said_to_be_missing(spec: str) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_generator(spec)


def test_folder_of_pictures_is_in_colour_where_one_is(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    write_png(colour, tmp_path / "0.png")
    write_png(np.full((8, 8, 1), 50, np.uint8), tmp_path / "1.png")
    drawn = load_generator(str(tmp_path))(2, 0)
    assert drawn.shape == (2, 3, 8, 8)
    assert {image.tobytes() for image in drawn} == {colour.transpose(2, 0, 1).tobytes(), bytes([50] * 192)}


def test_array_whose_channels_come_last_is_a_generator(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "made.npz", pixels=pixels)
    drawn = load_generator(str(tmp_path / "made.npz"))(4, 0)
    assert sorted(map(bytes, drawn)) == sorted(map(bytes, pixels.transpose(0, 3, 1, 2)))
