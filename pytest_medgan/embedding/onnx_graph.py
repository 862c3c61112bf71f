"""The folded network as an ONNX model, written node by node, for ONNX Runtime and OpenVINO (extra `onnx`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch

from pytest_medgan.embedding.topology import FEATURES, INPUT_SIZE, Convolution, run

OPSET = 18
INTERMEDIATE_REPRESENTATION = 9  # of ONNX 1.14; read by every ONNX Runtime since 1.15


class _Graph:
    """Operations whose tensors are names in a growing ONNX graph."""

    def __init__(self, convolutions: Mapping[str, Convolution]) -> None:
        from onnx import helper

        self._helper = helper
        self._convolutions = convolutions
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}  # float32

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self.constants[name] = values
        return name

    def _node(self, operation: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operation, list(inputs), [output], **(attributes or {})))
        return output

    def _convolution(self, name: str, x: str, *, bias: bool) -> str:
        settings = self._convolutions[name]
        inputs = [x, self._constant(f"{name}.weight", settings.weight.numpy())]
        if bias:
            inputs.append(self._constant(f"{name}.bias", settings.bias.numpy()))
        vertical, horizontal = settings.padding
        attributes = {"strides": [settings.stride] * 2, "pads": [vertical, horizontal, vertical, horizontal]}
        return self._node("Conv", inputs, attributes)

    def convolve(self, name: str, x: str) -> str:
        return self._node("Relu", [self._convolution(name, x, bias=True)])

    def convolve_pooled(self, name: str, x: str) -> str:
        attributes = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 1}
        y = self._node("AveragePool", [self._convolution(name, x, bias=False)], attributes)
        bias = self._constant(f"{name}.bias", self._convolutions[name].bias.numpy()[:, None, None])
        return self._node("Relu", [self._node("Add", [y, bias])])

    def max_pool(self, x: str) -> str:
        return self._node("MaxPool", [x], {"kernel_shape": [3, 3], "strides": [2, 2]})

    def join(self, parts: Sequence[str]) -> str:
        return self._node("Concat", parts, {"axis": 1})

    def mean(self, x: str) -> str:
        return self._node("Flatten", [self._node("GlobalAveragePool", [x])])


@torch.no_grad()
def onnx_model(convolutions: Mapping[str, Convolution]) -> bytes:
    """The model, serialised: "grey" float32 [n,1,299,299] => float32 [n,2048]. Raises ImportError without onnx."""
    from onnx import TensorProto, helper

    graph = _Graph(convolutions)
    output = run(graph, "grey")
    grey = helper.make_tensor_value_info("grey", TensorProto.FLOAT, ["n", 1, INPUT_SIZE, INPUT_SIZE])
    features = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", FEATURES])
    whole = helper.make_graph(graph.nodes, "inception_v3", [grey], [features])
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=INTERMEDIATE_REPRESENTATION)
    for name, values in graph.constants.items():  # put in place: the helpers would copy all of them twice
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type, tensor.raw_data = name, TensorProto.FLOAT, values.astype("<f4").tobytes()
        tensor.dims.extend(values.shape)
    serialised: bytes = model.SerializeToString()
    return serialised
