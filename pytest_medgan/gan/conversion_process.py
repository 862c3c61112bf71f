"""The process that runs a foreign network's code: `python -m pytest_medgan.gan.conversion_process FOLDER`.

It reads FOLDER/order.json, gives up the network for good, reads the foreign network, and leaves an exported program and
FOLDER/answer.json.
"""

from __future__ import annotations

import io
import json
import math
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.ground.isolation import cut_network, end_with_parent

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pytest_medgan.gan.foreign_networks import Drawing

ORDER, ANSWER = "order.json", "answer.json"
TORCHSCRIPT = ".pt"  # the suffix of the file that is to be written; any other stands for torch.export
_MOST = 1e-4  # by which the exported program's values may differ from the network's
_WORDS = 200  # letters of a foreign error's text
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")  # paths of this machine


def main(folder: Path) -> None:
    """Carry out the order that lies in a folder."""
    end_with_parent()
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    isolation = cut_network()
    if isolation is None and not order["allow_network"]:
        answer: dict[str, Any] = {"network": True}
    else:
        answer = {**_answer(order, folder / order["out"]), "isolation": isolation}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _answer(order: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return what became of an order: the file that was written, or the problem in words."""
    from pytest_medgan.errors import MedganError  # torch starts threads, so it is imported now at the earliest

    try:
        return _convert(order, out)
    except MedganError as error:
        return {"problem": str(error)}
    except ModuleNotFoundError as error:
        return {
            "problem": f"The code needs the Python module {error.name!r}, which is neither in --code nor installed. "
            "Correct --code, or install it."
        }
    except Exception as error:  # foreign code may raise anything
        return {
            "problem": f"The code of the network fails ({_reason(error, order['code'])}). Use the source that the "
            "network was trained with, or a version of torch that it was written for."
        }


def _reason(error: Exception, code: str) -> str:
    """Return the first line of what a foreign error says, or else the function that it comes from."""
    text = str(error).replace(code, "CODE").strip().partition("\n")[0][:_WORDS]
    return text or f"no reason given, in {traceback.extract_tb(error.__traceback__)[-1].name}"


def _convert(order: dict[str, Any], out: Path) -> dict[str, Any]:
    """Read the network, export it, and compare both.

    Raises:
        CheckpointError: It draws no images, or the exported program draws others.
    """
    import torch

    from pytest_medgan.errors import CheckpointError
    from pytest_medgan.gan.foreign_networks import Choice, Picture, read_nvlabs, read_studiogan

    network, code = Path(order["network"]), Path(order["code"])
    choice = Choice(order["label"], order["truncation"])
    drawing: Drawing
    if order["config"] is None:
        drawing = read_nvlabs(network, code, choice)
    else:
        drawing = read_studiogan(network, code, Path(order["config"]), choice)
    z = torch.randn(5, drawing.latent, generator=torch.Generator().manual_seed(0))
    picture = Picture(drawing, grey=order["grey"]).eval()
    said = {
        "latent": drawing.latent,
        "noise": drawing.noise,
        "range": [-1.0, 1.0],
        "class": order["label"],
        "truncation": order["truncation"],
        "grey": order["grey"],
        "source": order["source"],
    }
    with torch.no_grad():
        low, high = _check(drawing(z))
        images = picture(z)
        drawing.make_traceable()
        try:
            exported = _export(picture, z[:2], out, json.dumps(said, sort_keys=True))
        except Exception as error:  # whatever torch raises for code that it cannot follow
            raise CheckpointError(
                f"torch cannot follow the network's code ({_reason(error, order['code'])}). {_action(drawing, out)}"
            ) from error
        try:
            difference = float((exported(z) - images).abs().max())
        except RuntimeError:  # it draws as many images as it was traced with, and no other number
            difference = math.inf
    if not difference <= _MOST:
        how = f"values differ by {difference:.2g}" if difference < math.inf else "or fails on another number of them"
        raise CheckpointError(
            f"The exported program draws other images than the network ({how}). {_action(drawing, out)}"
        )
    return {"latent": drawing.latent, "shape": list(images.shape[1:]), "low": low, "high": high, "differs": difference}


def _check(images: Any) -> tuple[float, float]:
    """Return the least and the greatest value of five images; raise CheckpointError where they are none."""
    from torch import Tensor

    from pytest_medgan.errors import CheckpointError
    from pytest_medgan.gan.probing import MOST, check_shape

    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise CheckpointError("The network returns no images. Convert a generator that returns float [N,C,H,W].")
    check_shape(images, 5)
    if not bool(images.isfinite().all()):
        raise CheckpointError("The network's images hold NaN or infinity. Use an earlier checkpoint.")
    low, high = float(images.min()), float(images.max())
    if float((images.abs() > MOST).float().mean()) > 0.5:
        raise CheckpointError(
            f"The network's values are {low:.3g} to {high:.3g}, where -1 to 1 is expected. Convert a network that "
            "draws images in -1..1."
        )
    return low, high


def _export(picture: nn.Module, z: Tensor, out: Path, said: str) -> nn.Module:
    """Write a network as a file that says of itself what it is, and return what was written as a network."""
    import torch

    from pytest_medgan.gan.description import ENTRY

    content = io.BytesIO()  # a file would hold its own name
    exported: nn.Module
    if out.suffix == TORCHSCRIPT:
        exported = torch.jit.trace(picture, z, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(exported, content, _extra_files={ENTRY: said})
    else:
        program = torch.export.export(picture, (z,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
        for part in program.graph_module.modules():
            for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
                for name in _TRACES:  # equal networks give equal files, and no path leaves the machine
                    node.meta.pop(name, None)
        torch.export.save(program, content, extra_files={ENTRY: said})
        exported = program.module()
    out.write_bytes(content.getvalue())
    return exported


def _action(drawing: Drawing, out: Path) -> str:
    """Return what to do about a program that cannot be exported."""
    if out.suffix == TORCHSCRIPT:
        return "Name the other format, --out G.pt2 (torch.export)."
    if drawing.noise:  # TorchScript cannot take a layer's noise as an input
        return "Draw its images in a function of (count, seed) of your own."
    return "Make its noise constant where it draws any, or name the other format, --out G.pt (TorchScript)."


if __name__ == "__main__":
    main(Path(sys.argv[1]))
