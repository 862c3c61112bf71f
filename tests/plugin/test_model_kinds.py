"""Every kind of generator that one string names: MISSING, accepted, PASS, and red where the model was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.plugin.conftest import MODULE

Write = Callable[[Path, float], None]  # (project, gain): write the model; less gain is less diversity


def principal_components(number: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [1024] and components [number,1024] of the toy's images, in -1..1."""
    names: dict[str, object] = {}
    exec(MODULE, names)
    blobs = names["blobs"]
    assert callable(blobs)
    flat = blobs(512, 5).reshape(512, -1).astype(np.float64) / 127.5 - 1.0
    mean = flat.mean(0)
    _, spread, directions = np.linalg.svd(flat - mean, full_matrices=False)
    return mean.astype(np.float32), (directions * spread[:, None] / np.sqrt(512))[:number].astype(np.float32)


def write_onnx(project: Path, gain: float) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    mean, components = principal_components()
    constants = {"mean": mean, "weight": components * gain, "shape": np.array([-1, 1, 32, 32])}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["z", "weight", "mean"], ["flat"]),
         helper.make_node("Reshape", ["flat", "shape"], ["images"])],
        "components",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 12])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 32, 32])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(project / "model.onnx"))


KINDS = [pytest.param("model.onnx", write_onnx, "onnxruntime", id="ONNX")]


@pytest.mark.parametrize(("generator", "write", "needs"), KINDS)
def test_kind_is_gated_from_missing_over_accepted_to_pass_and_red(
    generator: str, write: Write, needs: str, project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    if needs:
        pytest.importorskip(needs)
    write(project.path, 0.6)
    how = ("-k", "fid", f"--medgan-generator={generator}", "--medgan-samples=128")
    missing = project.runpytest(*how)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*"])
    assert accept() == 0
    project.runpytest(*how).assert_outcomes(passed=1)
    write(project.path, 0.3)
    changed = project.runpytest(*how)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*FID*FAIL*"])
