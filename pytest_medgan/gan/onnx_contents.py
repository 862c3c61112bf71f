"""What an ONNX file holds, read before anything is computed: operators that draw random numbers, and where weights lie.

Weights in files of their own must lie beside the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_medgan.errors import CheckpointError

# operators whose results differ from one call to the next
_RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
)


def files_of_weights(path: Path) -> tuple[Path, ...]:
    """Return the files beside a model that hold weights of it, sorted.

    Raises:
        CheckpointError: A package is missing, the model is damaged or draws random numbers, or a file is not beside it.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError:
        raise CheckpointError(
            "An ONNX file needs the packages onnx and onnxruntime. Install them by pip install 'pytest-medgan[onnx]'.",
            file=path.name,
        ) from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # of protobuf, in several versions of it
        raise damaged(path) from error
    nodes = [node for graph in _graphs(model) for node in graph]
    if random := sorted({node.op_type for node in nodes} & _RANDOM):
        raise CheckpointError(
            f"The model draws random numbers of its own ({', '.join(random)}), so a seed does not name its images. "
            "Export it with its noise as a constant.",
            file=path.name,
        )
    names: set[str] = set()
    for tensor in _tensors(model, nodes):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    files = tuple(path.parent / name for name in sorted(names))
    for name, file in zip(sorted(names), files, strict=True):
        if Path(name).name != name or "\\" in name or name in ("", ".", "..") or file.is_symlink():
            raise CheckpointError(
                "The model's weights lie outside its folder. Save it with its weights beside it, or in one file.",
                file=path.name,
            )
        if not file.is_file():
            raise CheckpointError(
                "The model's weights lie in another file, which is missing. Copy it beside the model.", file=name
            )
    return files


def _graphs(model: Any) -> Iterator[Any]:
    """Yield the nodes of a model's graph, of the graphs within it, and of its functions."""
    waiting = [model.graph.node, *(function.node for function in model.functions)]
    while waiting:
        nodes = waiting.pop()
        yield nodes
        for node in nodes:
            for attribute in node.attribute:
                waiting += [graph.node for graph in (attribute.g, *attribute.graphs) if graph.node]


def _tensors(model: Any, nodes: list[Any]) -> Iterator[Any]:
    """Yield the constant tensors of a model."""
    attributes = [attribute for node in nodes for attribute in node.attribute]
    graphs = [model.graph, *(graph for each in attributes for graph in (each.g, *each.graphs))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def damaged(path: Path) -> CheckpointError:
    """Return the error of a file that is no usable ONNX."""
    return CheckpointError(
        "The file cannot be read as ONNX; it may be damaged, or of a newer version. Export it again, or update "
        "onnxruntime.",
        file=path.name,
    )
