"""A network with folded batch norms as an ONNX model, written node by node, for ONNX Runtime (extra `onnx`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_medgan.embedding.operations import Network

OPSET = 18
INTERMEDIATE_REPRESENTATION = 9  # of ONNX 1.14; read by every ONNX Runtime since 1.15
INPUT = "images"


class _Graph:
    """Operations whose tensors are names in a growing ONNX graph."""

    def __init__(self, network: Network) -> None:
        from onnx import helper

        self._helper = helper
        self._network = network
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[np.float32]] = {}

    def _constant(self, name: str, values: npt.NDArray[np.float32]) -> str:
        """Keep a constant and return its name."""
        self.constants[name] = values
        return name

    def _node(self, operation: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None) -> str:
        """Return the name of a new node's output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operation, list(inputs), [output], **(attributes or {})))
        return output

    def _convolution(self, name: str, x: str, *, bias: bool) -> str:
        """Return a convolution without its activation."""
        convolution = self._network.convolutions[name]
        inputs = [x, self._constant(f"{name}.weight", convolution.weight.numpy())]
        if bias:
            inputs.append(self._constant(f"{name}.bias", convolution.bias.numpy()))
        settings = convolution.settings
        attributes = {"strides": [settings.stride] * 2, "pads": list(settings.padding), "group": settings.groups}
        return self._node("Conv", inputs, attributes)

    def convolve(self, name: str, x: str) -> str:
        """Return the convolution `name` and its activation."""
        y = self._convolution(name, x, bias=True)
        activation = self._network.convolutions[name].settings.activation
        if activation == "relu":
            return self._node("Relu", [y])
        if activation == "relu6":
            bounds = [self._constant(f"bound {bound}", np.array(bound, np.float32)) for bound in (0, 6)]
            return self._node("Clip", [y, *bounds])
        return y

    def convolve_pooled(self, name: str, x: str) -> str:
        """Return a 3x3 average pool, the 1x1 convolution `name` and a ReLU; the equal result of convolving first."""
        attributes = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 1}
        y = self._node("AveragePool", [self._convolution(name, x, bias=False)], attributes)
        bias = self._constant(f"{name}.bias", self._network.convolutions[name].bias.numpy()[:, None, None])
        return self._node("Relu", [self._node("Add", [y, bias])])

    def max_pool(self, x: str) -> str:
        """Return a 3x3 maximum pool of stride 2."""
        return self._node("MaxPool", [x], {"kernel_shape": [3, 3], "strides": [2, 2]})

    def add(self, x: str, y: str) -> str:
        """Return the sum."""
        return self._node("Add", [x, y])

    def join(self, parts: Sequence[str]) -> str:
        """Return the parts joined along the second axis."""
        return self._node("Concat", parts, {"axis": 1})

    def mean(self, x: str) -> str:
        """Return the mean of every map."""
        return self._node("Flatten", [self._node("GlobalAveragePool", [x])])

    def mean_magnitude(self, x: str) -> str:
        """Return the mean absolute value of every map."""
        return self.mean(self._node("Abs", [x]))

    def quarter_means(self, x: str, side: int) -> str:
        """Return the mean of every quarter of every map."""
        attributes = {"kernel_shape": [side // 2] * 2, "strides": [side // 2] * 2}
        return self._node("Flatten", [self._node("AveragePool", [x], attributes)])


@torch.no_grad()
def onnx_model(network: Network) -> bytes:
    """Return the serialised model: "images" float32 [n,channels,S,S] => float32 [n,D].

    Raises:
        ImportError: The package onnx is not installed.
    """
    from onnx import TensorProto, helper

    graph = _Graph(network)
    output = network.run(graph, INPUT)
    images = helper.make_tensor_value_info(
        INPUT, TensorProto.FLOAT, ["n", network.channels, network.size, network.size]
    )
    features = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", network.width])
    whole = helper.make_graph(graph.nodes, network.name, [images], [features])
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=INTERMEDIATE_REPRESENTATION)
    for name, values in graph.constants.items():  # added directly, because the helpers would copy each array twice
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type, tensor.raw_data = name, TensorProto.FLOAT, values.astype("<f4").tobytes()
        tensor.dims.extend(values.shape)
    serialised: bytes = model.SerializeToString()
    return serialised
