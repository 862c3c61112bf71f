"""Paths in settings: relative to where they were written, and never taken for a built-in name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.settings import parse_data, parse_runs
from pytest_medgan.evaluate.sources import prepare
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.session.places import located, located_runs

MODELS = ("generator", "paired_with")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with folders that are named like everything built in."""
    for name in ("phantom", "compact", "inception_v3", *ARCHITECTURES):
        (tmp_path / name).mkdir()
    (tmp_path / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("setting", "name"), [("data", "phantom"), *((setting, name) for setting in MODELS for name in ARCHITECTURES)]
)
def test_path_to_a_folder_stays_a_path(here: Path, setting: str, name: str) -> None:
    """However it is written, it must not become the bare word, which stands for the built-in."""
    for written in (f"./{name}", f"{name}/", f"x/../{name}", str(here / name), here / name, Path(name)):
        (here / "x").mkdir(exist_ok=True)
        assert located(written, here, setting) == f"./{name}"
    assert located(f"./{name},size=32", here, setting) == f"./{name},size=32"


@pytest.mark.parametrize(
    ("setting", "name", "message"),
    [
        ("data", "phantom", r"--medgan-data: 'phantom' could .*Write \./phantom for the path; phantom:96x10 for"),
        ("data", "phantom,size=64", r"Write \./phantom for the path; phantom:96x10 for the built-in"),
        ("generator", "dcgan", r"--medgan-generator: 'dcgan' could .*\./dcgan for the path; rename the path"),
        ("paired_with", "biggan", r"--medgan-paired-with: 'biggan' could .*\./biggan for the path"),
    ],
)
def test_word_that_could_mean_both_is_refused(here: Path, setting: str, name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        located(name, here, setting)
    assert str(here) not in str(caught.value)
    assert located(name, here.parent, setting) == name, "looked for from where it was written, and not there"


def test_word_that_could_mean_both_is_refused_among_runs(here: Path) -> None:
    with pytest.raises(SettingsError, match=r"--medgan-runs: 'dcgan' could"):
        located_runs(["dcgan", "pggan"], here)
    assert parse_runs(located_runs(["./dcgan", "./pggan"], here)) == ("./dcgan", "./pggan")


def test_pattern_of_runs_holds_no_absolute_path(here: Path) -> None:
    """The message for a pattern without a match reaches JUnit files; a match must not become a built-in name."""
    for pattern in ("seed-*", "[x]/seed-?"):
        with pytest.raises(SettingsError, match="matches no file") as caught:
            parse_runs(located_runs([pattern], here))
        assert str(here) not in str(caught.value)
    assert parse_runs(located_runs(["?cgan", "pgg*"], here)) == ("./dcgan", "./pggan")


@pytest.mark.parametrize(("setting", "name"), [("data", "phantom,size=64"), ("generator", "dcgan")])
def test_python_package_of_the_name_is_not_meant(here: Path, setting: str, name: str) -> None:
    (here / name.partition(",")[0] / "__init__.py").touch()
    assert located(name, here, setting) == name


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("data", "phantom:96x10"),
        ("data", "phantom:24x10@1,crop=image"),
        ("generator", "dcgan,weights=state.pt,size=64"),
        ("generator", "model.safetensors"),
        ("generator", "model.safetensors,truncation=0.7"),
        ("generator", "package.module:name"),
        ("extractor", "compact"),
        ("extractor", "inception_v3,weights=random,seed=1"),
        ("beside", "timm:vit_small"),
        ("baseline", "gates/base.yaml"),
        ("baseline", "phantom"),
    ],
)
def test_ordinary_text_is_unchanged(here: Path, setting: str, text: str) -> None:
    assert located(text, here, setting) == text


def test_ordinary_path_is_as_short_as_before(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a path reaches tables and messages; no absolute path may."""
    for written in ("./model.safetensors", str(here / "model.safetensors"), here / "model.safetensors"):
        assert located(written, here, "generator") == "model.safetensors"
    (here / "x").mkdir()
    monkeypatch.chdir(here / "x")
    assert located("model.safetensors", here, "generator") == "../model.safetensors"
    assert located("./phantom,size=32", here, "data") == "../phantom,size=32"
    assert located("compact", here, "extractor") == "compact"
    assert located("phantom", here, "baseline") == "phantom"


def test_weights_named_like_built_in_ones(here: Path) -> None:
    (here / "random").mkdir()
    assert located("inception_v3,weights=random", here, "extractor") == "inception_v3,weights=random"
    (here / "random").rmdir()
    (here / "random").touch()
    assert located("inception_v3,weights=./random", here, "extractor") == "inception_v3,weights=./random"
    with pytest.raises(SettingsError, match=r"weights=: 'random' could mean"):
        located("inception_v3,weights=random", here, "extractor")


def test_word_of_the_message_is_the_default_phantoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`phantom:96x10` must give what `phantom` gives; fewer patients of each keep the test short."""
    from pytest_medgan.evaluate import sources

    monkeypatch.setattr(sources, "PHANTOM_PATIENTS", 4)
    monkeypatch.setattr(sources, "PHANTOM_SLICES", 3)
    (tmp_path / "phantom").mkdir()
    with pytest.raises(SettingsError, match=r"; phantom:4x3 for the built-in"):
        located("phantom", tmp_path, "data")
    found = [
        prepare(parse_data(f"{name},crop=image,size=32"), cache_dir=tmp_path / "cache")
        for name in ("phantom", "phantom:4x3")
    ]
    assert found[0].digest == found[1].digest
    assert sources.phantom_folder("phantom", tmp_path / "cache") == sources.phantom_folder(
        "phantom:4x3", tmp_path / "cache"
    )


SHOW = """
def test_it(medgan_real, medgan_settings):
    print("SEEN", medgan_settings.data.source, len(set(medgan_real.reference.groups)))
"""


@pytest.mark.parametrize("how", ["ini", "line", "absolute", "marker"])
def test_folder_named_phantom_is_read(project: pytest.Pytester, how: str) -> None:
    folder = project.mkdir("phantom")
    shutil.move(project.path / "images.npz", folder / "images.npz")
    shutil.rmtree(folder)
    import numpy as np
    from PIL import Image

    for patient in range(6):
        (folder / f"p{patient}").mkdir(parents=True)
        for picture in range(4):
            pixels = np.random.default_rng([patient, picture]).integers(0, 255, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{patient}" / f"{picture}.png")
    ini = project.path / "pytest.ini"
    data = {"absolute": str(folder)}.get(how, "./phantom") + ",size=32,patient=top"
    text = "\n".join(line for line in ini.read_text().splitlines() if not line.startswith("medgan_data"))
    ini.write_text(text + (f"\nmedgan_data = {data}\n" if how == "ini" else "\n"))
    mark = f"import pytest\npytestmark = pytest.mark.medgan(data={data!r})\n" if how == "marker" else ""
    project.makepyfile(test_gate=mark + SHOW)
    result = project.runpytest("-s", *([f"--medgan-data={data}"] if how in ("line", "absolute") else []))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*SEEN ./phantom *"])


def test_bare_word_beside_such_a_folder_is_one_line(project: pytest.Pytester) -> None:
    project.mkdir("phantom")
    result = project.runpytest("-k", "fid", "--medgan-data=phantom")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*medgan: --medgan-data: 'phantom' could mean*phantom:96x10 for the built-in."])
    project.mkdir("dcgan")
    result = project.runpytest("-k", "fid", "--medgan-generator=dcgan")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*medgan: --medgan-generator: 'dcgan' could mean*call medgan_train*"])
