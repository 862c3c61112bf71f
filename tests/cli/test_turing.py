from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.cli import turing
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.turing import SCHEMA, SCHEMA_VERSION


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


def answered(tmp_path: Path, page: str, reader: str, check: str = "") -> str:
    path = tmp_path / f"{reader}.json"
    answers = [{"image": i, "answer": "real", "confidence": 1 + i % 5, "seconds": 3.0} for i in range(8)]
    data = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "page": page,
        "count": 8,
        "check": check,
        "reader": reader,
    }
    path.write_text(json.dumps(data | {"answers": answers}), encoding="utf-8")
    return str(path)


def config_of(page: Path) -> dict[str, object]:
    text = page.read_text(encoding="utf-8").split('id="config">')[1].split("</script>")[0]
    found: dict[str, object] = json.loads(text)
    return found


def test_a_page_is_made_and_its_answers_are_scored(
    tmp_path: Path, sets: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out" / "page.html"
    assert turing.run(parsed("--real", sets[0], "--fake", sets[1], "--out", str(page), "--count", "4")) == 0
    assert "8 images, half of them real" in capsys.readouterr().out
    config = config_of(page)
    files = [answered(tmp_path, str(config["page"]), reader, str(config["check"])) for reader in ("one", "two")]
    assert turing.run(parsed("score", *files)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["one", "0.500", "0.157"]  # Clopper-Pearson, 4 of 8
    assert lines[3].startswith("all readers")
    assert any("Fleiss" in line for line in lines)
    assert "LUNG1" not in page.read_text(encoding="utf-8")


def test_a_key_kept_apart_is_needed_to_score(
    tmp_path: Path, sets: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    page, key = tmp_path / "page.html", tmp_path / "key.json"
    made = parsed("--real", sets[0], "--fake", sets[1], "--out", str(page), "--count", "4", "--key", str(key))
    assert turing.run(made) == 0
    config = config_of(page)
    assert config["check"] == ""
    answers = answered(tmp_path, str(config["page"]), "one")
    with pytest.raises(DataError, match="score with --key"):
        turing.run(parsed("score", answers))
    assert turing.run(parsed("score", answers, "--key", str(key))) == 0
    assert "0.500" in capsys.readouterr().out


def test_what_is_missing_is_said(tmp_path: Path, sets: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="needs --fake"):
        turing.run(parsed("--real", sets[0], "--out", "x.html"))
    with pytest.raises(SettingsError, match="no answer file"):
        turing.run(parsed("score"))
    with pytest.raises(SettingsError, match="1 to 6 images of each kind and 50"):
        turing.run(parsed("--real", sets[0], "--fake", sets[1], "--out", str(tmp_path / "x.html")))


def test_arrays_that_are_no_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pictures=np.zeros((2, 4, 4), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((2, 4, 4)))
    out = str(tmp_path / "x.html")
    with pytest.raises(DataError, match="cannot be read") as caught:
        turing.run(parsed("--real", str(tmp_path / "a.npz"), "--fake", str(tmp_path / "a.npz"), "--out", out))
    assert caught.value.file == "a.npz"
    with pytest.raises(DataError, match=r"must be uint8 \[N,1,H,W\], not float64"):
        turing.run(parsed("--real", str(tmp_path / "b.npy"), "--fake", str(tmp_path / "b.npy"), "--out", out))
