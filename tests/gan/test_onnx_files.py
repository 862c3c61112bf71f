"""ONNX files as generators: the graph says what it takes, and nothing outside its folder is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents
from pytest_medgan.gan.onnx_files import from_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WEIGHT = np.random.default_rng(0).normal(size=(12, 256)).astype(np.float32)


def graph(
    *,
    takes: tuple[Any, ...] = ("n", 12),
    end: str = "Tanh",
    gain: float = 1.0,
    shape: tuple[int, ...] = (-1, 1, 16, 16),
    dtype: int = TensorProto.FLOAT,
    extra: str = "",  # a second input, a second output, or an operator
) -> Any:
    """Return a model that multiplies latents by a matrix and ends in a function of each number."""
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    constants = {
        "weight": WEIGHT.astype(kind),
        "rows": np.array([-1, 12]),
        "gain": np.array(gain, kind),
        "shape": np.array(shape),
    }
    nodes = [
        helper.make_node("Reshape", ["z", "rows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["grey"]),
        helper.make_node(end, ["grey"], ["ended"]),
        helper.make_node("Mul", ["ended", "gain"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["images"]),
    ]
    inputs = [helper.make_tensor_value_info("z", dtype, takes)]
    outputs = [helper.make_tensor_value_info("images", dtype, [None] * len(shape))]
    if extra == "input":
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    elif extra == "output":
        nodes.append(helper.make_node("Neg", ["images"], ["masks"]))
        outputs.append(helper.make_tensor_value_info("masks", dtype, [None] * 4))
    elif extra == "flat output":
        outputs.append(helper.make_tensor_value_info("flat", dtype, [None] * 2))
    elif extra == "batch mean":
        nodes[2:2] = [
            helper.make_node("ReduceMean", ["grey", "first axis"], ["mean"]),
            helper.make_node("Sub", ["grey", "mean"], ["centred"]),
        ]
        nodes[4] = helper.make_node(end, ["centred"], ["ended"])
        constants["first axis"] = np.array([0])
    elif extra:
        nodes[3:4] = [
            helper.make_node(extra, ["ended"], ["noise"]),
            helper.make_node("Mul", ["noise", "gain"], ["scaled"]),
        ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_model(
        helper.make_graph(nodes, "draws", inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "model.onnx", **how: Any) -> Path:
        onnx.save(graph(**how), str(tmp_path / name))
        return tmp_path / name

    return write


def expected(count: int, seed: int) -> Any:
    values = np.tanh(latents(0, count, seed, 12).astype(np.float64) @ WEIGHT.astype(np.float64))
    return to_grey(torch.from_numpy(values).reshape(-1, 1, 16, 16))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"takes": (1, 12)},
        {"takes": (5, 12)},
        {"takes": (50, 12)},
        {"takes": ("n", 12, 1, 1)},
        {"takes": (7, 3, 2, 2)},
        {"dtype": TensorProto.DOUBLE},
        {"extra": "flat output"},
    ],
    ids=["plain", "one", "five", "fifty", "DCGAN", "map", "double", "two outputs"],
)
def test_graph_draws_the_images_of_its_latents(how: dict[str, Any], save: Callable[..., Path]) -> None:
    generator = load_generator(str(save(**how)))
    ours = generator(40, 3)
    assert ours.shape == (40, 1, 16, 16)
    assert np.abs(ours.astype(int) - expected(40, 3).astype(int)).max() <= 1
    np.testing.assert_array_equal(ours, generator(40, 3))
    np.testing.assert_array_equal(generator(9, 3), ours[:9])
    np.testing.assert_array_equal(generator.sample_range(30, 40, 3), ours[30:])
    assert (generator(40, 4) != ours).any()


def test_identity_names_the_weights_and_the_range(save: Callable[..., Path]) -> None:
    path = save()
    plain = load_generator(str(path)).identity
    assert plain == load_generator(str(save("copy.onnx"))).identity
    assert plain == load_generator(f"{path},range=-1:1").identity == load_generator(f"{path},latent=12").identity
    assert plain != load_generator(f"{path},range=-1.2:1.2").identity
    assert plain != load_generator(str(save(gain=0.9))).identity


def test_progress_is_reported(save: Callable[..., Path]) -> None:
    seen: list[tuple[str, int, int]] = []
    load_generator(str(save()), progress=lambda *what: seen.append(what))(40, 0)
    assert seen == [("drawing images", 32, 40), ("drawing images", 40, 40)]


def test_open_latent_needs_to_be_said(save: Callable[..., Path]) -> None:
    path = save(takes=("n", "d"))
    with pytest.raises(CheckpointError, match="does not say how many numbers"):
        load_generator(str(path))
    assert load_generator(f"{path},latent=12")(2, 0).shape == (2, 1, 16, 16)
    wide = save(takes=("n", 3, "h", "w"))
    assert load_generator(f"{wide},latent=3x2x2")(2, 0).shape == (2, 1, 16, 16)
    with pytest.raises(CheckpointError, match=r"takes latents of 3x\?x\?"):
        load_generator(f"{wide},latent=12")


@pytest.mark.parametrize("latent", ["11", "6x2", "0", "x", "12x"])
def test_latent_that_does_not_fit_the_graph_is_refused(latent: str, save: Callable[..., Path]) -> None:
    with pytest.raises((CheckpointError, SettingsError), match="latent"):
        load_generator(f"{save()},latent={latent}")


def test_sigmoid_graph_is_refused_until_its_range_is_said(save: Callable[..., Path]) -> None:
    path = save(end="Sigmoid")
    with pytest.raises(CheckpointError, match="range=0:1 or range=-1:1"):
        load_generator(str(path))
    tanh = load_generator(str(save("half.onnx", gain=0.5)))(8, 0).astype(int)  # tanh(x) = 2 sigmoid(2 x) - 1
    assert tanh.min() < 80
    ours = load_generator(f"{path},range=0:1")(8, 0)
    values = 2 / (1 + np.exp(-latents(0, 8, 0, 12).astype(np.float64) @ WEIGHT.astype(np.float64))) - 1
    assert np.abs(ours.reshape(8, -1) - to_grey(torch.from_numpy(values)).astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"gain": 255.0}, r"Make it end in -1\.\.1"),
        ({"extra": "input"}, "takes 'z' and 'label'. Put class=NUMBER behind the name"),
        ({"extra": "output"}, "returns 'images', 'masks'"),
        ({"extra": "RandomNormalLike"}, r"random numbers of its own \(RandomNormalLike\)"),
        ({"shape": (-1, 16, 16, 1)}, "Channels come last"),
        ({"shape": (-1, 2, 4, 8, 4)}, "volumes of one channel"),
        ({"shape": (-1, 256)}, r"returns \[2, 256\] for 2 latents"),
        ({"takes": (12,)}, "of 1 dimensions"),
        ({"takes": ("n", 5)}, "fails on latents of"),
        ({"takes": (1 << 30, 12)}, "more than 16777216 numbers"),
        ({"end": "Sqrt"}, "NaN or infinite"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_graph_that_is_no_generator_is_refused_in_words(
    how: dict[str, Any], words: str, save: Callable[..., Path]
) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_generator(str(save(**how)))
    assert caught.value.file == "model.onnx"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 1, 40, 4000])
def test_damaged_file_is_one_line(cut: int, save: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    path = save()
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        load_generator(str(path))
    assert capfd.readouterr() == ("", "")


def test_every_damaged_byte_is_one_line_or_a_generator(save: Callable[..., Path]) -> None:
    path = save()
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        head = [*range(300), *range(len(whole) - 300, len(whole))]  # the weights between are numbers
        damaged[random.choice(head)] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            assert load_generator(str(path))(2, 0).dtype == np.uint8
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("batch", ["n", 2, 5, 16])
def test_graph_whose_images_depend_on_their_batch_is_refused(batch: int | str, save: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="depend on the other images of their batch"):
        load_generator(str(save(takes=(batch, 12), extra="batch mean")))


# ----------------------------------------------------------------------------------------------- weights beside a model


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    onnx.save_model(
        graph(), str(tmp_path / "model.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=1024
    )
    return tmp_path / "model.onnx"


def test_weights_in_a_file_beside_enter_the_identity(parted: Path, save: Callable[..., Path]) -> None:
    generator = load_generator(str(parted))
    np.testing.assert_array_equal(generator(4, 0), load_generator(str(save("whole.onnx")))(4, 0))
    assert generator.identity == load_generator(str(parted)).identity
    beside = parted.parent / "weights.bin"
    values = np.frombuffer(beside.read_bytes(), np.float32).copy()
    values[:256] *= 0.5
    beside.write_bytes(values.tobytes())
    changed = load_generator(str(parted))
    assert changed.identity != generator.identity
    assert (changed(4, 0) != generator(4, 0)).any()
    beside.unlink()
    with pytest.raises(CheckpointError, match="another file, which is missing"):
        load_generator(str(parted))


@pytest.mark.parametrize("where", ["../weights.bin", "/etc/hostname", "sub/weights.bin", "link.bin"])
def test_weights_outside_the_folder_are_refused(where: str, parted: Path) -> None:
    model = onnx.load(str(parted), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = where
    (parted.parent / "link.bin").symlink_to("/etc/hostname")
    onnx.save(model, str(parted))
    with pytest.raises(CheckpointError, match="lie outside its folder"):
        load_generator(str(parted))


# ------------------------------------------------------------------------------------------------------ the environment


def test_missing_package_is_said_with_the_command(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"pip install 'pytest-medgan\[onnx\]'"):
        from_onnx(save())


def test_gpu_that_onnxruntime_does_not_know_is_refused(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(SettingsError, match="not available to onnxruntime"):
        from_onnx(save(), device="cuda")
