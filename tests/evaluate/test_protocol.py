"""The source paper's table in one call, from a test and from the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.cli import main
from pytest_medgan.embedding.kinds import TRIED
from pytest_medgan.errors import CheckpointError, DataError
from pytest_medgan.evaluate import Table, Workbench, jang2022
from pytest_medgan.metrics import frechet_distance
from pytest_medgan.records import DataSettings
from tests.toy_images import write_real_images

MODULE = '''
"""A toy model and a toy feature space with two classes."""
import numpy as np

def model(count, seed, grey=20):
    rng = np.random.default_rng([seed, 5])
    rows, columns = np.mgrid[:32, :32]
    centre = 16 + 12 * (rng.random((count, 2)) - 0.5)
    away = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    images = 60 + grey + 100 * np.exp(-away / 40) + rng.normal(0, 4, (count, 32, 32))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]

def real(count, seed):
    return model(count, seed, grey=0)

def small(count, seed):
    return model(count, seed)[:, :, ::2, ::2]

class Space:
    identity, numeric_class = "toy", "float32"
    embedded = 0
    def embed(self, pixels, progress=lambda *a: None):
        Space.embedded += len(pixels)
        n, side = len(pixels), pixels.shape[-1] // 4
        features = pixels.reshape(n, 4, side, 4, side).mean((2, 4)).reshape(n, 16).astype(np.float32) / 64
        alive = 1 / (1 + np.exp(-(features[:, :1] - features[:, -1:])))
        return features, np.concatenate([alive, 1 - alive], 1).astype(np.float32)
'''
SIX = ["inception_score", "fid", "precision", "recall", "improved_precision", "improved_recall"]
DATA = DataSettings(source="images.npz", size=32, crop_size=32)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_table", raising=False)
    (tmp_path / "toy_table.py").write_text(MODULE)
    write_real_images(tmp_path / "images.npz", MODULE, "real", each=8)
    return tmp_path


def measured(project: Path, samples: int | None = 48) -> Table:
    bench = Workbench(project / "cache")
    return jang2022(DATA, {"toy": "toy_table:model"}, bench, extractor="toy_table:Space", samples=samples)


def test_table_has_the_rows_and_metrics_of_the_paper(project: Path) -> None:
    table = measured(project)
    assert list(table.rows) == ["Real", "toy"]
    assert [list(scores.metrics) for scores in table.rows.values()] == [SIX, SIX]
    assert table.rows["toy"].groups == ("0", "1", "2")
    assert (table.rows["toy"].n_real, table.rows["toy"].n_fake) == (64, 48)  # half of all slices are the reference
    assert table.fingerprint.inputs["split"] == "slice"
    assert "48 images" in table.scaled_down
    assert "6,080" in table.scaled_down


def test_real_row_of_the_table_is_the_held_out_half(project: Path) -> None:
    table, bench = measured(project), Workbench(project / "cache")
    from pytest_medgan.evaluate import Settings

    settings = Settings(DataSettings(source="images.npz", size=32, crop_size=32, split="slice"))
    real = bench.real(settings)
    space = bench.extractor("toy_table:Space", real)
    reference, held_out = (space.embed(images.pixels)[0] for images in (real.reference, real.held_out))
    whole = jang2022(DATA, {}, bench, extractor="toy_table:Space", samples=64).rows["Real"]["fid"].mean
    assert whole == pytest.approx(frechet_distance(real=reference, fake=held_out), rel=1e-6)
    assert table.rows["Real"]["fid"].mean < table.rows["toy"]["fid"].mean


def test_more_samples_than_held_out_images_are_an_error(project: Path) -> None:
    with pytest.raises(DataError, match="128 images per column were asked for and 64 real ones are held out"):
        measured(project, 128)


def test_model_of_another_size_is_named_before_images_are_embedded(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--data", "images.npz,size=32,crop_size=32", "--extractor", "toy_table:Space"]
    models = ["--model", "good=toy_table:model", "--model", "bad=toy_table:small"]
    assert main([*arguments, *models, "--samples", "48"]) == 2
    message = "Model 'bad': The generator returned images of 16x16 pixels, and the real images have 32x32."
    assert message in capsys.readouterr().err
    assert sys.modules["toy_table"].Space.embedded == 3 * TRIED  # together, again and apart: the space's own trial


def test_model_that_cannot_be_loaded_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--data", "images.npz,size=32,crop_size=32", "--extractor", "toy_table:Space"]
    for wrong in ("toy_table:no_such_model", "toy_table:model,colour=red"):
        assert main([*arguments, "--model", "good=toy_table:model", "--model", f"bad={wrong}"]) == 2
        assert "Model 'bad': " in capsys.readouterr().err


def test_absent_model_is_an_error_before_images_are_read(tmp_path: Path) -> None:
    nowhere = replace(DATA, source=str(tmp_path / "no-studies"))  # would be the error, were it looked at
    with pytest.raises(CheckpointError, match="The generator does not exist"):
        jang2022(nowhere, {"a": "nope.safetensors"}, Workbench(tmp_path / "cache"), extractor="nope:Space")
    assert not (tmp_path / "cache").exists()


def test_command_prints_measured_beside_published_figures(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--protocol", "jang2022", "--data", "images.npz,size=32,crop_size=32"]
    arguments += ["--model", "dcgan=toy_table:model", "--model", "pggan=toy_table:model"]
    arguments += ["--extractor", "toy_table:Space", "--samples", "48", "--out", "table.json"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    groups, heading, *rows = printed.splitlines()
    for column in ("Real", "dcgan", "pggan", "DCGAN (paper)", "PGGAN (paper)", "Real (paper)"):
        assert column in heading
    assert groups.index("measured here") == heading.index("Real")
    assert groups.index("the paper's own figures, on NSCLC-Radiomics") == heading.index("(paper)") - len("Real ")
    assert any("its models and its data, not yours" in line for line in rows)
    fid = next(line for line in rows if line.startswith("FID"))
    assert "120.75" in fid
    assert "6.79" in fid
    stored = json.loads((project / "table.json").read_text())
    assert list(stored["rows"]) == ["Real", "dcgan", "pggan"]
    assert f"{stored['rows']['dcgan']['metrics']['fid']['mean']:.3f}" in fid
    assert any("a trial: 48 images" in line for line in rows)
    assert "48 images" in stored["scaled_down"]


def test_command_keeps_patients_apart_where_it_is_asked_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = []
    for split in ("", ",split=patient"):
        arguments = [
            "evaluate",
            "--data",
            f"images.npz,size=32,crop_size=32{split}",
            "--model",
            "dcgan=toy_table:model",
        ]
        assert main([*arguments, "--extractor", "toy_table:Space", "--samples", "16", "--out", "table.json"]) == 0
        stored.append(json.loads((project / "table.json").read_text()))
        assert ("slices of one patient are in both sets" in capsys.readouterr().out) is (split == "")
    assert [each["fingerprint"]["inputs"]["split"] for each in stored] == ["slice", "patient"]
