from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.cli import turing
from pytest_medgan.errors import DataError, SettingsError


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    turing.add_parser(parser.add_subparsers())
    return parser.parse_args(["turing", *arguments])


@pytest.fixture
def sets(tmp_path: Path) -> tuple[str, str]:
    """Real images as an array file, generated ones as a folder of pictures named after a patient."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", pixels=rng.integers(0, 256, (6, 1, 16, 16), dtype=np.uint8))
    folder = tmp_path / "fake"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"LUNG1-{i:03d}.png")
    return str(tmp_path / "real.npz"), str(folder)


def answered(tmp_path: Path, config: dict[str, object], reader: str) -> str:
    """Write the answers of a reader who calls each of eight images real."""
    path = tmp_path / f"{reader}.json"
    answers = [{"image": i, "answer": "real", "confidence": 1 + i % 5, "seconds": 3.0} for i in range(8)]
    copied = {key: config[key] for key in ("schema", "schema_version", "page", "count", "commitment")}
    path.write_text(json.dumps({**copied, "reader": reader, "answers": answers}), encoding="utf-8")
    return str(path)


def config_of(page: Path) -> dict[str, object]:
    text = page.read_text(encoding="utf-8").split('id="config">')[1].split("</script>")[0]
    found: dict[str, object] = json.loads(text)
    return found


def test_page_is_made_and_answers_beside_its_key_are_scored(
    tmp_path: Path, sets: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert turing.run(parsed("--real", sets[0], "--fake", sets[1], "--out", str(page), "--count", "4")) == 0
    printed = capsys.readouterr().out
    assert "8 images, half of them real" in printed
    assert f"{tmp_path / 'page.key.json'}: the key" in printed
    files = [answered(tmp_path, config_of(page), reader) for reader in ("one", "two")]
    assert turing.run(parsed("score", *files)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["one", "0.500", "0.157"]  # Clopper-Pearson, 4 of 8
    assert lines[3].startswith("all readers")
    assert any("Fleiss" in line for line in lines)
    assert "LUNG1" not in page.read_text(encoding="utf-8")
    assert "LUNG1" not in (tmp_path / "page.key.json").read_text(encoding="utf-8")


def test_named_key_file_is_written_and_read(
    tmp_path: Path, sets: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    page, key = tmp_path / "out" / "page.html", tmp_path / "keys" / "k.json"
    made = parsed("--real", sets[0], "--fake", sets[1], "--out", str(page), "--count", "4", "--key", str(key))
    assert turing.run(made) == 0
    assert not page.with_suffix(".key.json").exists()
    answers = answered(tmp_path, config_of(page), "one")
    with pytest.raises(DataError, match="key of the answers' page was not found"):
        turing.run(parsed("score", answers))
    assert turing.run(parsed("score", answers, "--key", str(key))) == 0
    assert "0.500" in capsys.readouterr().out


def test_statistic_that_separates_the_sets_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(100, 150, (2, 30, 1, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "real.npy", noise[0])
    np.save(tmp_path / "fake.npy", noise[1] + 60)
    real, fake, out = (str(tmp_path / name) for name in ("real.npy", "fake.npy", "page.html"))
    assert turing.run(parsed("--real", real, "--fake", fake, "--out", out, "--count", "4")) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "mean grey level alone separates" in warnings[0]


def test_absent_option_is_named(tmp_path: Path, sets: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="--fake is absent"):
        turing.run(parsed("--real", sets[0], "--out", "x.html"))
    with pytest.raises(SettingsError, match="No answer file is named"):
        turing.run(parsed("score"))
    with pytest.raises(SettingsError, match="show 50 images of each kind, only 1 to 6"):
        turing.run(parsed("--real", sets[0], "--fake", sets[1], "--out", str(tmp_path / "x.html")))
    assert not (tmp_path / "x.html").exists()


def test_answers_without_score_are_refused(tmp_path: Path, sets: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="without `score`"):
        turing.run(parsed("make", "a.json", "--real", sets[0], "--fake", sets[1], "--out", str(tmp_path / "x.html")))


def test_phantom_and_generator_are_accepted_as_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The held-out images of a study set the window; the generator draws as many images as are shown."""
    page = tmp_path / "page.html"
    words = ("--real", "phantom:4x4", "--fake", "fixtures/dcgan_phantom.safetensors", "--count", "4")
    assert turing.run(parsed(*words, "--out", str(page), "--cache-dir", str(tmp_path / "cache"))) == 0
    assert config_of(page)["window"] == [-1000.0, 400.0]
    assert "8 images" in capsys.readouterr().out
