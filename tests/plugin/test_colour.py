"""Images in colour, as a user gates them: MISSING, accepted, PASS, and red where hues or sharpness changed."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TILES = '''
"""Tiles of stained tissue: dark blue nuclei on pink. The model's lie nearer to the middle than real ones."""
import os

import numpy as np
from scipy.ndimage import gaussian_filter

PINK, BLUE = np.array([225.0, 150.0, 190.0]), np.array([70.0, 50.0, 140.0])

def tiles(count, seed, spread=12.0):
    rng = np.random.default_rng([seed, 79])
    rows, columns = np.mgrid[:32, :32]
    centre = 16 + spread * (rng.random((count, 2)) - 0.5)
    distance = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    nucleus = np.exp(-distance / 40)[:, None]
    images = PINK[:, None, None] * (1 - nucleus) + BLUE[:, None, None] * nucleus
    return np.clip(images + rng.normal(0, 6, images.shape), 0, 255).round().astype(np.uint8)

CHANGE = os.environ.get("TOY_CHANGE", "")

def model(count, seed):
    images = tiles(count, seed, spread=7)
    if CHANGE == "hue":
        images = np.ascontiguousarray(images[:, ::-1])  # blue for red: grey levels hardly change
    elif CHANGE == "blur":
        images = gaussian_filter(images, (0, 0, 3, 3))
    elif CHANGE == "grey":
        images = images.mean(1, keepdims=True).round().astype(np.uint8)
    return images

model.identity = "toy tiles " + CHANGE

class Network:
    """The same tiles as numbers of -1..1, blurred by latents."""
    def sample(self, count, seed):
        return model(count, seed).astype(np.float32) / 127.5 - 1
'''
COMPACT = "compact,engine=folded"  # onnxruntime cannot be loaded twice in one process, as pytester would
HOW = ("-k", "fid", "--medgan-data=tiles,channels=3,size=32,crop_size=32", "--medgan-samples=128")


def draw(name: str, count: int, seed: int) -> np.ndarray:
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(TILES, names)
    return names[name](count, seed)


def write_tiles(folder: Path, pixels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(pixels.transpose(0, 2, 3, 1)):
        Image.fromarray(image.squeeze()).save(folder / f"{number:03}.png")


@pytest.fixture
def tissue(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return the project with a folder of coloured pictures of 16 patients, and a module that draws such pictures."""
    monkeypatch.delenv("TOY_CHANGE", raising=False)
    project.makepyfile(tissue=TILES)
    for patient in range(16):
        write_tiles(project.path / "tiles" / f"patient-{patient}", draw("tiles", 32, 1000 + patient))
    return project


def write_onnx(project: Path, change: str) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    flat = draw("tiles", 256, 5).reshape(256, -1) / 127.5 - 1.0
    _, spread, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    weight = (directions * spread[:, None] / 16)[:12].reshape(12, 3, -1)
    mean = flat.mean(0).reshape(3, -1)
    order = [2, 1, 0] if change == "hue" else [0, 1, 2]
    constants = {
        "mean": mean[order].reshape(-1).astype(np.float32),
        "weight": weight[:, order].reshape(12, -1).astype(np.float32),
        "shape": np.array([-1, 3, 32, 32]),
    }
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["z", "weight", "mean"], ["flat"]),
         helper.make_node("Reshape", ["flat", "shape"], ["images"])],
        "components",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 12])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(project / "model.onnx"))


def write_made(project: Path, change: str) -> None:
    pixels = draw("model", 512, 0)  # which reads the change from the environment
    write_tiles(project / "made", pixels)
    np.savez(project / "made.npz", pixels=pixels.transpose(0, 2, 3, 1))  # channels last, as imaging libraries have them


def write_nothing(project: Path, change: str) -> None:
    """Leave the model to the environment."""


WALKS = [
    pytest.param((COMPACT, "tissue:model", write_nothing), id="callable"),
    pytest.param(
        ("inception_v3,weights=random,engine=folded", "tissue:model", write_nothing),
        id="inception",
        marks=pytest.mark.slow,
    ),
    pytest.param((COMPACT, "tissue:Network,range=-1:1", write_nothing), id="object", marks=pytest.mark.slow),
    pytest.param((COMPACT, "model.onnx,range=-1:1", write_onnx), id="ONNX", marks=pytest.mark.slow),
    pytest.param((COMPACT, "made", write_made), id="pictures", marks=pytest.mark.slow),
    pytest.param((COMPACT, "made.npz", write_made), id="array", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("walk", WALKS)
def test_colours_are_gated_from_missing_over_accepted_to_pass_and_red_where_changed(
    walk: tuple[str, str, Callable[[Path, str], None]],
    tissue: pytest.Pytester,
    accept: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space, generator, write = walk
    if generator.startswith("model.onnx") and importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")

    def run(change: str = "", *more: str) -> pytest.RunResult:
        monkeypatch.setenv("TOY_CHANGE", change)
        write(tissue.path, change)
        return tissue.runpytest(*HOW, f"--medgan-extractor={space}", f"--medgan-generator={generator}", *more)

    missing = run()
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*"])
    assert accept() == 0
    assert "channels: 3" in Path("medgan-baseline.yaml").read_text(encoding="utf-8")
    run().assert_outcomes(passed=1)
    for change in ("hue", "blur") if write is write_nothing else ("hue",):
        changed = run(change)
        changed.assert_outcomes(failed=1)
        changed.stdout.fnmatch_lines(["*FID*FAIL*"])


def test_every_metric_but_that_of_hounsfield_units_measures_colours_and_sheets_show_them(
    tissue: pytest.Pytester,
) -> None:
    named = "medgan_scores.at(64)"
    tissue.makepyfile(
        test_all="def test_all(medgan_scores):\n"
        f"    scores = {named}\n"
        "    left = {name: str(cause) for name, cause in scores.unmeasured.items()}\n"
        "    print('UNMEASURED', sorted(left.items()))\n"
    )
    done = tissue.runpytest(
        "-s", "-k", "test_all", *HOW[2:], f"--medgan-extractor={COMPACT}", "--medgan-generator=tissue:model",
        "--medgan-metrics=all", "--medgan-report=html", "--medgan-report-real",
    )  # fmt: skip
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["real images: *crop on the image, grey levels without HU*"])
    (line,) = [line for line in done.outlines if "UNMEASURED" in line]
    assert "implausible_rate" in line
    assert "needs HU and so images of one channel, and these are in colour" in line
    for name in ("fid", "kid", "intensity_distance", "ms_ssim", "duplicate_rate", "inception_score"):
        assert f"'{name}'" not in line
    page = next(Path("medgan-report").glob("*.html")).read_text(encoding="utf-8")
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))
        for found in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    ]
    assert shown
    assert all(sheet.ndim == 3 and np.ptp(sheet.astype(int), axis=2).max() > 60 for sheet in shown)


@pytest.mark.parametrize(
    ("data", "change", "words"),
    [
        ("tiles,channels=3,size=32,crop_size=32", "grey", "*draws grey images, and the real ones are in colour*"),
        ("images.npz,size=32,crop_size=32", "", "*draws images in colour*real ones are grey*Add channels=3 to*"),
    ],
)
def test_grey_and_colour_together_are_one_line_that_names_the_option(
    data: str, change: str, words: str, tissue: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CHANGE", change)
    done = tissue.runpytest(
        "-k", "fid", f"--medgan-data={data}", f"--medgan-extractor={COMPACT}", "--medgan-generator=tissue:model",
        "--medgan-samples=64",
    )  # fmt: skip
    assert done.ret != 0
    done.stdout.fnmatch_lines([words])
    assert "Traceback" not in done.stdout.str()


def test_coloured_pictures_without_channels_are_one_line_that_names_the_option(tissue: pytest.Pytester) -> None:
    done = tissue.runpytest("-k", "fid", "--medgan-data=tiles,size=32,crop_size=32", "--medgan-generator=tissue:model")
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*The picture is in colour*add channels=3 to the data*"])


def test_baseline_of_grey_images_is_not_compared_with_the_same_images_in_three_channels(
    tissue: pytest.Pytester, accept: Callable[..., int]
) -> None:
    tissue.makepyfile(
        threefold="import numpy as np, toy\n"
        "def draw(count, seed):\n"
        "    return np.repeat(toy.model(count, seed), 3, axis=1)\n"
        "draw.identity = 'three equal channels'\n"
        "def embed(pixels):\n"
        "    return toy.Features().embed(pixels)[0]\n"
        "embed.identity = 'toy projections'\n"
    )
    how = ("-k", "fid", "--medgan-samples=128", "--medgan-extractor=threefold:embed")
    tissue.runpytest(*how, "--medgan-generator=toy:model").assert_outcomes(failed=1)
    assert accept() == 0
    other = tissue.runpytest(
        *how, "--medgan-data=images.npz,size=32,crop_size=32,channels=3", "--medgan-generator=threefold:draw"
    )
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(["*INCOMPARABLE*", "*channels: 3 != absent*"])
