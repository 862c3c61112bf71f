"""Exported networks whose second input takes the class: numbers and one-hot, in each of the three formats."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.class_inputs import ClassChoice, ClassInput, NetworkInput, fit_class
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import latents

CLASSES = 5


class Numbered(nn.Module):
    """z [N,12], label int64 [N] -> images [N,1,8,8]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.embedding = nn.Embedding(CLASSES, 12)
            self.layer = nn.Linear(12, 64)

    def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z + self.embedding(label))).reshape(-1, 1, 8, 8)


class OneHot(nn.Module):
    """z [N,12], c float32 [N,5] -> images [N,1,8,8]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.embedding = nn.Linear(CLASSES, 12)
            self.layer = nn.Linear(12, 64)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z + self.embedding(c))).reshape(-1, 1, 8, 8)


class Turned(Numbered):
    """Take the class first."""

    def forward(self, label: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z + self.embedding(label))).reshape(-1, 1, 8, 8)


class Column(Numbered):
    """Take int32 [N,1]."""

    def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return super().forward(z, label[:, 0])


class Small(Numbered):
    """Take uint8 [N]."""


class MayBeLeftOut(Numbered):
    """Draw class 1 where none is given."""

    def forward(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        given = torch.ones(len(z), dtype=torch.long) if label is None else label
        return torch.tanh(self.layer(z + self.embedding(given))).reshape(-1, 1, 8, 8)


Z = torch.zeros(4, 12)
NUMBER, ONE_HOT = torch.zeros(4, dtype=torch.long), torch.zeros(4, CLASSES)


def script(network: nn.Module, path: Path, _: tuple[torch.Tensor, ...]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), path)
    return path


def export(network: nn.Module, path: Path, example: tuple[torch.Tensor, ...]) -> Path:
    batch = torch.export.Dim("batch", min=2, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = tuple({0: batch} for _ in example)
        torch.export.save(torch.export.export(network.eval(), example, dynamic_shapes=shapes), path)
    return path


def export_by_name(network: nn.Module, path: Path, example: tuple[torch.Tensor, ...]) -> Path:
    batch = torch.export.Dim("batch", min=2, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = {"z": {0: batch}, "label": {0: batch}}
        named = {"label": example[1]}
        torch.export.save(torch.export.export(network.eval(), example[:1], named, dynamic_shapes=shapes), path)
    return path


def onnx(network: nn.Module, path: Path, _: tuple[torch.Tensor, ...], *, batch: int | str = "n") -> Path:
    """Write the network as a graph, node by node: torch's own exporter needs a package more."""
    package = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    is_one_hot = isinstance(network, OneHot)
    shape, rows = np.array([-1, 1, 8, 8]), np.array([-1])
    nodes = [helper.make_node("Reshape", ["label", "rows"], ["flat"]),
             helper.make_node("Gather", ["embedding.weight", "flat"], ["of_class"])]  # fmt: skip
    kind, form = TensorProto.INT32 if isinstance(network, Column) else TensorProto.INT64, [batch]
    if isinstance(network, Column):
        form = [batch, 1]
    if isinstance(network, Small):
        kind = TensorProto.UINT8
        nodes = [helper.make_node("Cast", ["label"], ["wide"], to=TensorProto.INT64),
                 helper.make_node("Gather", ["embedding.weight", "wide"], ["of_class"])]  # fmt: skip
    if is_one_hot:
        kind, form = TensorProto.FLOAT, [batch, CLASSES]
        nodes = [helper.make_node("Gemm", ["label", "embedding.weight", "embedding.bias"], ["of_class"], transB=1)]
    nodes += [
        helper.make_node("Add", ["z", "of_class"], ["moved"]),
        helper.make_node("Gemm", ["moved", "layer.weight", "layer.bias"], ["grey"], transB=1),
        helper.make_node("Tanh", ["grey"], ["ended"]),
        helper.make_node("Reshape", ["ended", "shape"], ["images"]),
    ]
    inputs = [
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, 12]),
        helper.make_tensor_value_info("label", kind, form),
    ]
    if isinstance(network, Turned):
        inputs.reverse()
    constants = {**weights, "shape": shape, "rows": rows}
    graph = helper.make_graph(
        nodes,
        "draws",
        inputs,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    package.save(model, str(path))
    return path


FILES = [
    pytest.param(script, "a-z12.pt", Numbered, (Z, NUMBER), "", id="TorchScript, number"),
    pytest.param(script, "a-z12.pt", OneHot, (Z, ONE_HOT), f",classes={CLASSES}", id="TorchScript, one-hot"),
    pytest.param(script, "a-z12.pt", Turned, (NUMBER, Z), "", id="TorchScript, class first"),
    pytest.param(script, "a-z12.pt", MayBeLeftOut, (Z, NUMBER), "", id="TorchScript, optional"),
    pytest.param(export, "a.pt2", Numbered, (Z, NUMBER), "", id="torch.export, number"),
    pytest.param(export, "a.pt2", OneHot, (Z, ONE_HOT), "", id="torch.export, one-hot"),
    pytest.param(export, "a.pt2", Turned, (NUMBER, Z), "", id="torch.export, class first"),
    pytest.param(export, "a.pt2", Column, (Z, NUMBER[:, None].int()), "", id="torch.export, [N,1]"),
    pytest.param(export_by_name, "a.pt2", Numbered, (Z, NUMBER), "", id="torch.export, by name"),
    pytest.param(onnx, "a.onnx", Numbered, (), "", id="ONNX, number"),
    pytest.param(onnx, "a.onnx", OneHot, (), "", id="ONNX, one-hot"),
    pytest.param(onnx, "a.onnx", Turned, (), "", id="ONNX, class first"),
    pytest.param(onnx, "a.onnx", Column, (), "", id="ONNX, [N,1]"),
    pytest.param(onnx, "a.onnx", Small, (), "", id="ONNX, uint8"),
]


def drawn_by_torch(network: nn.Module, label: int, seed: int) -> np.ndarray:
    """Return the images uint8 [40,1,8,8] that the network itself draws of a class."""
    z = torch.from_numpy(latents(0, 40, seed, 12))
    number = torch.full((40,), label)
    with torch.no_grad():
        if isinstance(network, OneHot):
            images = network(z, nn.functional.one_hot(number, CLASSES).float())
        elif isinstance(network, Turned):
            images = network(number, z)
        else:
            images = network(z, number[:, None] if isinstance(network, Column) else number)
    return to_grey(images)


@pytest.mark.parametrize(("write", "file", "kind", "example", "options"), FILES)
def test_class_reaches_the_network_and_the_identity(
    *,
    write: Callable[..., Path],
    file: str,
    kind: type[nn.Module],
    example: tuple[torch.Tensor, ...],
    options: str,
    tmp_path: Path,
) -> None:
    network = kind()
    path = write(network, tmp_path / file, example)
    generators = [load_generator(f"{path},class={label}{options}") for label in (0, 3)]
    for label, generator in zip((0, 3), generators, strict=True):
        images = generator(40, 7)
        assert np.abs(images.astype(int) - drawn_by_torch(network, label, 7).astype(int)).max() <= 1
        np.testing.assert_array_equal(generator(40, 7), images)
        np.testing.assert_array_equal(generator(9, 7), images[:9])
        assert generator.condition == f"class={label}"
    assert (generators[0](40, 7) != generators[1](40, 7)).any()
    identities = {generator.identity for generator in generators}
    assert len(identities) == 2
    assert load_generator(f"{path},class=3{options}").identity == generators[1].identity


def test_graph_of_a_fixed_batch_takes_the_class_of_every_image(tmp_path: Path) -> None:
    path = onnx(Numbered(), tmp_path / "five.onnx", (), batch=5)
    images = load_generator(f"{path},class=2")(40, 1)
    assert np.abs(images.astype(int) - drawn_by_torch(Numbered(), 2, 1).astype(int)).max() <= 1


def test_class_that_may_be_left_out_is_left_out(tmp_path: Path) -> None:
    path = script(MayBeLeftOut(), tmp_path / "a-z12.pt", ())
    generator = load_generator(str(path))
    assert generator.condition is None
    np.testing.assert_array_equal(generator(40, 1), load_generator(f"{path},class=1")(40, 1))


@pytest.mark.parametrize(("write", "file", "example"), [(script, "a-z12.pt", ()), (export, "a.pt2", (Z, NUMBER)),
                                                        (onnx, "a.onnx", ())])  # fmt: skip
def test_class_that_was_not_said_or_is_unknown_is_refused(
    write: Callable[..., Path], file: str, example: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    path = write(Numbered(), tmp_path / file, example)
    with pytest.raises(CheckpointError, match=r"takes 'z' and 'label'. Put class=NUMBER behind the name") as caught:
        load_generator(str(path))
    assert caught.value.file == file
    with pytest.raises(CheckpointError, match=r"The model fails .*with class=5.*\. Choose a class that it has"):
        load_generator(f"{path},class=5")


def test_one_hot_class_beyond_those_known_is_refused(tmp_path: Path) -> None:
    path = export(OneHot(), tmp_path / "a.pt2", (Z, ONE_HOT))
    with pytest.raises(CheckpointError, match=r"has no class 5\. Choose class=0 to class=4"):
        load_generator(f"{path},class=5")
    scripted = script(OneHot(), tmp_path / "a-z12.pt", ())
    with pytest.raises(CheckpointError, match="has no class 5"):
        load_generator(f"{scripted},class=5,classes=5")
    with pytest.raises(CheckpointError, match=r"a whole number \[N\]. Choose a class .*add classes=NUMBER"):
        load_generator(f"{scripted},class=3")
    with pytest.raises(SettingsError, match=r"has classes= and no class to draw"):
        load_generator(f"{scripted},classes=5")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    scripted = script(OneHot(), tmp_path / "a-z12.pt", ())
    with pytest.raises(SettingsError, match="a whole number of at least 2"):
        load_generator(f"{scripted},class=0,classes=1")


def test_network_of_latents_alone_takes_no_class(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.tanh(z).reshape(-1, 1, 3, 4)

    path = export(Plain(), tmp_path / "a.pt2", (Z,))
    with pytest.raises(CheckpointError, match=r"takes the latent alone and no class. Leave class= out"):
        load_generator(f"{path},class=0")


LATENT = NetworkInput("z", torch.float32, (12,))


@pytest.mark.parametrize(
    ("second", "choice", "words"),
    [
        (NetworkInput("c", torch.float32, (None,)), ClassChoice(1), "does not say how many classes"),
        (NetworkInput("c", torch.float32, (3,)), ClassChoice(1, 4), "has 3 classes. Correct classes="),
        (NetworkInput("c", torch.float32, (1 << 30,)), ClassChoice(1), "has 1073741824 classes"),
        (NetworkInput("c", torch.float32, ()), ClassChoice(1), r"float32 \[\?\], which is no class"),
        (NetworkInput("c", torch.float32, (1, 8, 8)), ClassChoice(1), r"\[\?,1,8,8\], which is no class"),
        (NetworkInput("c", torch.int64, ()), ClassChoice(1, 4), "is not one-hot. Leave classes= out"),
    ],
)
def test_second_input_that_takes_no_such_class_is_refused(
    second: NetworkInput, choice: ClassChoice, words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        fit_class([LATENT, second], choice, file="a.onnx")


def test_three_inputs_are_refused() -> None:
    third = NetworkInput("noise", torch.float32, (4,))
    with pytest.raises(CheckpointError, match=r"takes 'z', 'y', 'noise'\. Export one that takes the latent, or"):
        fit_class([LATENT, NetworkInput("y", torch.int64, ()), third], ClassChoice(1), file="a.onnx")


def test_said_number_of_classes_fills_an_open_size() -> None:
    given = fit_class([LATENT, NetworkInput("c", torch.float32, (None,))], ClassChoice(1, 4), file="a.onnx")
    assert given == ClassInput("c", 1, 1, torch.float32, (4,))
    assert given.of(2, torch.device("cpu")).tolist() == [[0, 1, 0, 0]] * 2
