"""What a session's store keeps from one session to the next."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.embedding.spaces import space_of_function
from pytest_medgan.errors import ExtractorError
from pytest_medgan.evaluate import Settings, Workbench
from pytest_medgan.evaluate.file_state import file_state
from pytest_medgan.evaluate.workbench import MODELS
from pytest_medgan.records import DataSettings, ImageSet

SPACE = """
import pathlib
import numpy as np

class Space:
    identity, numeric_class = "counted", "float32"
    asked = 0
    def embed(self, pixels, progress=lambda *a: None):
        Space.asked += len(pixels)
        factor = np.float32(pathlib.Path("weights.txt").read_text())
        return pixels.reshape(len(pixels), -1)[:, ::64][:, :16].astype(np.float32) * factor, None
"""


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's feature space that reads its weights from a file and counts what it embeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "counted_space.py").write_text(SPACE)
    (tmp_path / "weights.txt").write_text("1.0")
    monkeypatch.delitem(sys.modules, "counted_space", raising=False)
    return fresh()


def fresh() -> Any:
    module: ModuleType = importlib.reload(importlib.import_module("counted_space"))
    return module.Space()


def images(seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    return ImageSet(pixels, np.array(["P"] * 20), f"noise {seed}")


def session(space: Any, *sets: ImageSet) -> tuple[tuple[float, ...], int]:
    """One session: its canary, and how many images it embedded in all."""
    bench, before = Workbench(Path("cache")), space.asked
    resolved = resolve_extractor(space)
    canary = bench.canary(resolved)
    for given in sets:
        bench.embed(resolved, given)
    return canary, space.asked - before


def test_second_session_embeds_no_image(space: Any) -> None:
    whole = space_of_function("file", "digest of the file", lambda pixels: space.embed(pixels)[0], 64)

    def in_a_session() -> tuple[tuple[float, ...], int]:
        before = type(space).asked
        bench = Workbench(Path("cache"))
        canary = bench.canary(whole)
        bench.embed(whole, images())
        return canary, type(space).asked - before

    first, asked = in_a_session()
    assert asked == 28  # eight canned ones
    assert in_a_session() == (first, 0)


def test_foreign_extractor_is_checked_once_per_session(space: Any) -> None:
    first, asked = session(space, images())
    assert asked == 28
    assert session(space, images(), images()) == (first, 8)  # the canned ones alone
    Path("weights.txt").write_text("1.01")  # and nothing is left to embed
    with pytest.raises(ExtractorError, match=r"they differ by 1\.0e-02"):
        session(space, images())


def test_session_that_embeds_checks_the_stored_canary(space: Any) -> None:
    session(space, images())
    assert session(space, images(), images(1))[1] == 28
    Path("weights.txt").write_text("1.01")  # which neither the identity nor the source tells
    with pytest.raises(ExtractorError, match=r"they differ by 1\.0e-02"):
        session(space, images(), images(2))
    Path("weights.txt").write_text("1.0001")  # within what machines differ by
    assert session(space, images(2))[1] == 28


def test_changed_source_under_an_old_identity_is_refused(space: Any) -> None:
    """The stored features are those of the source before."""
    session(space, images())
    module = Path("counted_space.py")
    whole = module.read_text()
    module.write_text(whole.replace("* factor", "* 2 * factor"))
    with pytest.raises(ExtractorError, match="other features than those stored under the same identity"):
        session(fresh(), images())
    module.write_text(f"{whole}# a comment\n")
    assert session(fresh(), images())[1] == 8


def test_extractor_without_source_is_checked_every_time(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session(space, images())
    monkeypatch.setattr(sys.modules["counted_space"], "__file__", None)
    assert session(space, images())[1] == 8


def test_models_that_were_not_asked_for_lately_are_released(tmp_path: Path) -> None:
    bench, made = Workbench(tmp_path), []

    def keep(number: int) -> int:
        return bench.keep_model(number, lambda: made.append(number) or number)

    for number in range(MODELS):
        assert keep(number) == number
    keep(0)  # the first one is asked for again, so the second one is now the oldest
    keep(MODELS)
    assert made == [*range(MODELS), MODELS]
    keep(0)
    assert made[-1] == MODELS
    keep(1)
    assert made[-1] == 1


def test_model_that_was_written_anew_is_loaded_anew(tmp_path: Path) -> None:
    """A test may export one checkpoint after the other to the same path."""
    bench, path = Workbench(tmp_path / "cache"), tmp_path / "made.npz"
    settings = Settings(DataSettings(str(tmp_path), size=8), generator=str(path), seeds=(0,))
    drawn = []
    for grey in (10, 200):
        np.savez(path, pixels=np.full((20, 8, 8), grey, np.uint8))
        generator = bench.generator(settings)
        assert bench.generator(settings) is generator
        drawn.append((int(generator(4, 0).mean()), generator.identity))
    assert [grey for grey, _ in drawn] == [10, 200]
    assert drawn[0][1] != drawn[1][1]


@pytest.mark.parametrize("name", ["model.onnx.data", "model.onnx_data", "model.bin"])
def test_state_of_files_sees_the_data_beside_a_model(name: str, tmp_path: Path) -> None:
    """Weights that a model keeps in a file of their own used to be replaced unseen."""
    model, data, other = tmp_path / "model.onnx", tmp_path / name, tmp_path / "another.onnx.data"
    for path in (model, data, other):
        path.write_bytes(b"1")
    (tmp_path / "model").mkdir()
    before = file_state(f"{model},latent=512")
    assert [Path(file).name for file, _, _ in before] == sorted(["model.onnx", name])
    other.write_bytes(b"22")
    assert file_state(f"{model},latent=512") == before
    data.write_bytes(b"22")
    assert file_state(f"{model},latent=512") != before


def test_state_of_files_sees_weights_and_the_parts_of_a_folder(tmp_path: Path) -> None:
    weights, part = tmp_path / "w.safetensors", tmp_path / "pipeline" / "unet" / "weights.bin"
    part.parent.mkdir(parents=True)
    for path in (weights, part):
        path.write_bytes(b"1")
    for spec in (f"package.module:build,weights={weights}", f"{weights},latent=512", str(tmp_path / "pipeline")):
        before = file_state(spec)
        assert before == file_state(spec)
        for path in (weights, part):
            path.write_bytes(path.read_bytes() + b"2")
        assert file_state(spec) != before
    assert file_state("package.module:build") == file_state("dcgan") == ()
