"""medgan train, called with command lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.cli import main
from pytest_medgan.evaluate.sources import load_real
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.records import DataSettings

SMALL = ["--size=16", "--latent=8", "--generator-width=4", "--discriminator-width=4", "--batch=8", "--threads=1"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", pixels=pixels, patient=np.repeat(["A", "B"], 10), window=[-1000.0, 400.0])
    return tmp_path / "set.npz"


def test_dcgan_is_trained_resumed_and_loaded(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "train",
        "dcgan",
        "--images",
        str(images),
        "--out",
        str(tmp_path / "run"),
        *SMALL,
        "--checkpoint-every=2",
    ]
    assert main([*command, "--steps=4"]) == 0
    assert "trained on 20 images" in capsys.readouterr().out
    made = load(tmp_path / "run" / "generator.safetensors")
    assert (made.step, made.images, len(made.patients), made.window) == (4, 20, 2, (-1000.0, 400.0))
    assert not {"A", "B"} & set(made.patients)
    assert load_generator(str(tmp_path / "run"))(3, 0).shape == (3, 1, 16, 16)
    assert main([*command, "--steps=6"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--steps=6", "--resume", "--half"]) == 0
    made = load(tmp_path / "run" / "generator.safetensors")
    assert (made.step, made.storage) == (6, "float16")


def test_pggan_is_trained(images: Path, tmp_path: Path) -> None:
    command = ["train", "pggan", "--images", str(images), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*command, "--fading=16", "--stable=16", "--stables=8:24", "--batches=4:16,8:4", "--grid-every=0"]) == 0
    made = load(tmp_path / "run" / "generator.safetensors")
    assert (made.architecture, made.step, made.stage) == ("pggan", 1 + 4 + 6 + 2 + 2, (16, 1.0))


def test_limit_trains_on_the_first_images(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--steps=2", "--grid-every=0"]
    assert main([*command, "--out", str(tmp_path / "all")]) == 0
    assert main([*command, "--out", str(tmp_path / "few"), "--limit=3"]) == 0
    every, few = (load(tmp_path / name / "generator.safetensors") for name in ("all", "few"))
    assert (few.images, len(few.patients)) == (3, 1)
    assert few.training_recipe != every.training_recipe
    assert main([*command, "--out", str(tmp_path / "none"), "--limit=21"]) == 2
    assert "--limit 21" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["dcgan", "--fading=3"], "--fading does not apply to dcgan"),
        (["pggan", "--steps=3", "--noise=1"], "--steps, --noise does not apply to pggan"),
        (["dcgan", "--stables=8:3"], "--stables does not apply to dcgan"),
        (["dcgan", "--size=48"], "size 48 is not possible"),
        (["dcgan", "--size=32"], "The training images are uint8"),
        (["dcgan", "--device=abacus"], "'abacus'"),
        (["dcgan", "--batch=1"], "batch"),
    ],
)
def test_unusable_option_is_one_line_and_status_2(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    command = ["train", *options, "--images", str(images), "--out", str(tmp_path / "run")]
    assert main(command if "--size=48" in options or "--size=32" in options else [*command, "--size=16"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert words in error[-1]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--batches=4", "--batches: '4' cannot be used. Give RESOLUTION:NUMBER pairs"),
        ("--stables=128:many", "--stables: '128:many' cannot be used."),
        ("--learning-rate=fast", "--learning-rate: 'fast' cannot be used. Give a number."),
        ("--loss=hinge", "--loss: invalid choice: 'hinge'"),
    ],
)
def test_value_of_another_kind_is_refused_with_the_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, words: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "pggan", "--out", str(tmp_path / "run"), option])
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_wrong_option_is_refused_before_images_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "dcgan", "--images", str(tmp_path / "gone"), "--out", str(tmp_path / "run"), "--size=100"]
    assert main(command) == 2
    assert "size 100 is not possible" in capsys.readouterr().err


def test_vanished_data_set_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("gone.npz", "gone"):
        assert main(["train", "dcgan", "--images", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_collapse_is_reported_and_losses_are_shown(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_medgan.cli.train.LOG_INTERVAL", 0.0)
    command = ["train", "dcgan", "--images", str(images), "--out", str(tmp_path / "run"), *SMALL, "--steps=50"]
    assert main([*command, "--grid-every=0", "--learning-rate=1e-9"]) == 0  # as initialised: grey, all alike
    said = capsys.readouterr()
    assert "the generator has collapsed" in said.out
    assert "medgan: step 50: discriminator" in said.err
    assert "images/s, 0 min left" in said.err


def test_prepared_set_trains_on_its_training_role_alone(tmp_path: Path) -> None:
    """The reference and the held-out patients lie in the same file; a generator that saw them could not be judged."""
    prepared = tmp_path / "prepared.npz"
    options = ["--size=16", "--crop=image", "--slices=all", "--cache-dir", str(tmp_path / "cache")]
    assert main(["prepare", "phantom:8x2", "--out", str(prepared), *options]) == 0
    command = ["train", "dcgan", "--images", str(prepared), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*command, "--steps=1", "--grid-every=0"]) == 0
    made = load(tmp_path / "run" / "generator.safetensors")
    real = load_real(DataSettings(source=str(prepared)), cache_dir=tmp_path / "cache")
    assert made.images == len(real.training) == 8
    assert set(made.patients) == set(real.training.groups.tolist())
    assert made.training_recipe == real.training.recipe


def test_prepared_set_of_another_size_is_an_error_of_the_size_as_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = tmp_path / "prepared.npz"
    options = ["--size=32", "--crop=image", "--slices=4", "--cache-dir", str(tmp_path / "cache")]
    assert main(["prepare", "phantom:8x2", "--out", str(prepared), *options]) == 0
    command = ["train", "dcgan", "--images", str(prepared), "--out", str(tmp_path / "run"), *SMALL, "--steps=1"]
    assert main(command) == 2
    assert "or set --size" in capsys.readouterr().err
    assert main([*command, "--size=32", "--slices=2"]) == 2
    assert "--slices has no effect on a set" in capsys.readouterr().err
    assert main([*command, "--size=32", "--slices=4", "--grid-every=0"]) == 0


def test_patients_are_refused_where_they_would_be_ignored(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", "--images", str(images), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*command, "--steps=1", "--patients=1"]) == 2
    assert "--patients does not apply" in capsys.readouterr().err


def test_several_runs_of_a_recipe_are_trained_and_resumed(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", "--images", str(images), "--out", str(tmp_path / "runs"), *SMALL, "--steps=3"]
    assert main([*command, "--grid-every=0", "--runs=2", "--seed=5"]) == 0
    made = [load(tmp_path / "runs" / f"seed-{seed}" / "generator.safetensors") for seed in (5, 6)]
    assert [one.seed for one in made] == [5, 6]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("seed-6/generator.safetensors: identity ")
    assert lines[-1].endswith(f"recipe {made[0].run_recipe()}")
    assert main([*command, "--grid-every=0", "--runs=3", "--seed=5", "--resume"]) == 0
    assert (tmp_path / "runs" / "seed-7" / "generator.safetensors").exists()
    assert main([*command, "--runs=0"]) == 2
    assert "--runs 0 is out of range" in capsys.readouterr().err


def test_processes_of_torchrun_share_the_runs(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side: each process trains every second run alone, so that none waits for another."""
    command = ["train", "dcgan", "--images", str(images), *SMALL, "--steps=2", "--grid-every=0", "--runs=3"]
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, seeds in ((1, ["seed-1"]), (0, ["seed-0", "seed-1", "seed-2"])):
        monkeypatch.setenv("RANK", str(rank))
        assert main([*command, "--out", str(tmp_path / "two")]) == 0
        assert sorted(path.name for path in (tmp_path / "two").iterdir()) == seeds
    for seed in range(3):
        one, two = (load(tmp_path / name / f"seed-{seed}" / "generator.safetensors") for name in ("one", "two"))
        assert one.identity() == two.identity()


def test_options_behind_the_images_are_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "dcgan", f"--images={images},size=16", "--out", str(tmp_path / "run"), *SMALL]) == 2
    assert "--images takes no options such as size=. Name the source alone" in capsys.readouterr().err
    images.rename(tmp_path / "a,b=c.npz")
    command = ["train", "dcgan", f"--images={tmp_path}/a,b=c.npz", "--out", str(tmp_path / "run"), *SMALL, "--steps=1"]
    assert main([*command, "--grid-every=0"]) == 0


def test_training_on_all_patients_of_a_file_is_said(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", *SMALL, "--steps=1", "--grid-every=0"]
    assert main([*command, "--images", str(images), "--out", str(tmp_path / "all")]) == 0
    assert "trains on all 20 images of 2 patients in the .npz." in capsys.readouterr().err
    with np.load(images) as arrays:
        np.savez(tmp_path / "alone.npz", pixels=arrays["pixels"])
    assert main([*command, "--images", str(tmp_path / "alone.npz"), "--out", str(tmp_path / "alone")]) == 0
    assert "trains on all" not in capsys.readouterr().err
