"""Feature spaces of the user's own, named by one string, with their own preparation and identity.

`package.module:callable` names one of
  a function   uint8 [N,1,H,W] or in colour [N,3,H,W] (numpy) -> features [N,D], or (features [N,D], probabilities
               [N,K]). Its identity is its attribute `identity`, or else a digest of its module's source and, of a
               torch module, of its weights; neither covers files that it reads.
  an object    with `identity`, `numeric_class` and `embed(pixels, progress)`: the Extractor protocol itself
  a class      of such objects, made without arguments

With volumes=yes each takes volumes, uint8 [N,1,D,H,W] from the feet up, in place of images; an object says so by an
attribute `takes_volumes`.

`PATH.pt` is a TorchScript module: uint8 [N,1,H,W] or [N,3,H,W] (torch) -> the same; its identity is the digest of the
file.
`PATH.pt2` is an exported program (torch.export.save) of the same form whose batch dimension is dynamic.

A module and a TorchScript file are code: they can do whatever Python or TorchScript can do. Load only what you would
run.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.embedding.arithmetic import arithmetic
from pytest_medgan.embedding.batches import Batches, Stream
from pytest_medgan.embedding.contract import Answer, FeatureSpace, resolve_extractor
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state
from pytest_medgan.errors import ExtractorError
from pytest_medgan.ground.torch_files import file_operators, tensors_only
from pytest_medgan.ground.user_code import calling, find_named
from pytest_medgan.records import Float32, UInt8

BATCH, VOLUMES = 64, 4  # images, and volumes, that are handed over together

Function = Callable[[UInt8], Any]  # uint8 [N,C,H,W], or volumes [N,1,D,H,W] -> features, or features and probabilities


def space_of_function(
    name: str, identity: str, function: Function, batch: int, modules: tuple[str, ...] = ()
) -> FeatureSpace:
    """Return a function over batches as a feature space in float32.

    Args:
        name: What a header line calls it.
        identity: Names what it computes.
        function: uint8 [N,1,H,W] -> features [N,D], or features and probabilities [N,C]; arrays or tensors.
        batch: Images at once.
        modules: Modules of the user's that compute it.
    """
    return FeatureSpace(
        run=Batches(_stream(name, function), batch).embed,
        identity=identity,
        numeric_class="float32",
        summary=name,
        unit=batch,
        modules=modules,
    )


def _stream(name: str, function: Function) -> Stream:
    """Return a function as a stream of answers."""

    def run(pixels: UInt8, batch: int) -> Iterator[Answer]:
        for start in range(0, len(pixels), batch):
            given = pixels[start : start + batch].copy()  # the function may write to it, and may be asked again
            with arithmetic("float32"):
                features, probabilities = _split_answer(function(given))
            if features.ndim != 2 or len(features) != len(given):
                raise ExtractorError(
                    f"{name} returned {list(features.shape)} for {len(given)} images. Return [{len(given)},D]."
                )
            yield features, probabilities

    return run


def _split_answer(answer: object) -> Answer:
    """Return features and probabilities, in whichever form they came; a list of two rows is no pair."""
    if isinstance(answer, tuple | list) and len(answer) == 2 and not _is_row(answer[0]):
        return _to_array(answer[0]), None if answer[1] is None else _to_array(answer[1])
    return _to_array(answer), None


def _is_row(values: object) -> bool:
    """Return whether these are the features of one image."""
    if isinstance(values, tuple | list):
        return bool(values) and np.isscalar(values[0])
    return getattr(values, "ndim", 2) == 1


def _to_array(values: Any) -> Float32:
    """Return a copy of an array or tensor in float32; a function may use one array for all that it returns."""
    if isinstance(values, Tensor):
        values = (values.detach() if values.is_complex() else values.detach().float()).cpu().numpy()
    try:
        if np.iscomplexobj(values):
            raise ExtractorError("The extractor returned complex numbers. Return real ones, such as their magnitudes.")
        return np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ExtractorError(
            f"The extractor returned a {type(values).__name__} that is no array of numbers. Return [N,D]."
        ) from None


def load_other(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return a feature space that is not built in.

    Raises:
        ExtractorError: It cannot be loaded.
    """
    if spec != ExtractorSpec(spec.name, batch=spec.batch, volumes=spec.volumes):
        raise ExtractorError(
            "An extractor of your own has its own weights and preparation. It takes only batch= and volumes=."
        )
    if spec.name.endswith((".pt", ".pt2")):
        return _of_kind(_from_file(spec, device), spec)
    module, colon, _ = spec.name.partition(":")
    if not colon or not module.replace(".", "_").isidentifier():
        raise ExtractorError(
            "The extractor's name is unknown. "
            "Give compact, inception_v3, fid_inception, radimagenet:NETWORK, timm:MODEL, package.module:callable, or a "
            ".pt or .pt2 file."
        )
    return _of_kind(_from_module(module, spec), spec)


def _of_kind(space: FeatureSpace, spec: ExtractorSpec) -> FeatureSpace:
    """Return a space that takes what its string or itself says: images or volumes."""
    if not (spec.volumes or space.takes_volumes):
        return space
    return replace(space, takes_volumes=True, identity=f"{space.identity};volumes")


def _from_module(module: str, spec: ExtractorSpec) -> FeatureSpace:
    """Return the space that a name in a user's module stands for."""
    if "" not in sys.path:  # console scripts do not look in the working directory, where a user's module lies
        sys.path.insert(0, "")
    found = find_named(spec.name, "extractor", ExtractorError)
    if inspect.isclass(found):
        with calling(spec.name, f"The extractor {spec.name!r}", "while it is built", "call it", ExtractorError):
            found = found()
    if hasattr(found, "embed"):
        return replace(resolve_extractor(found), modules=(type(found).__module__, module))
    if not callable(found):
        raise ExtractorError(f"{spec.name} is no function. Give one that takes uint8 [N,1,H,W] and returns [N,D].")
    _check_signature(found, spec.name)
    identity = getattr(found, "identity", None)  # its own, its class's or a property
    if identity is None or callable(identity):
        identity = f"{spec.name};source {hashlib.sha256(_source(sys.modules[module])).hexdigest()[:16]}"
        if isinstance(found, nn.Module):
            weights = {name: value for name, value in found.state_dict().items() if isinstance(value, Tensor)}
            identity += f";weights {digest_state(weights)}"
    return replace(space_of_function(spec.name, str(identity), found, _batch(spec), (module,)), is_users=True)


def _check_signature(function: Function, name: str) -> None:
    """Raise ExtractorError where a function cannot be called with the images alone."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ExtractorError(
            f"{name} cannot be called with the images alone. Give a function that takes uint8 [N,1,H,W]."
        ) from None
    except ValueError:  # a callable of another language, whose parameters are not known
        return


def _batch(spec: ExtractorSpec) -> int:
    """Return how many images or volumes are handed over together."""
    return spec.batch or (VOLUMES if spec.volumes else BATCH)


def _source(module: ModuleType) -> bytes:
    """Return a module's source."""
    try:
        return inspect.getsource(module).encode()
    except (OSError, TypeError):
        raise ExtractorError(
            f"{module.__name__} has no source that could name the extractor. Give the function an attribute identity."
        ) from None


def _from_file(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return the space in a TorchScript file or an exported program."""
    file = Path(spec.name)
    if not file.is_file():
        raise ExtractorError("The extractor names no file. Give one made by torch.jit.save.", file=spec.name)
    identity = f"{file.suffix[1:]};{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    try:
        with tensors_only():
            if file.suffix == ".pt2":
                network: Callable[[Tensor], Any] = torch.export.load(file).module().to(device)
            else:
                script = torch.jit.load(str(file), map_location=device).eval()  # type: ignore[no-untyped-call]
                _refuse_file_operators(script, file)
                network = script
    except pickle.UnpicklingError:
        raise ExtractorError(
            "The extractor's file holds a pickle that is more than tensors, so it is refused. Export it again.",
            file=spec.name,
        ) from None
    except (RuntimeError, OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise ExtractorError(
            "The extractor's file is neither TorchScript nor an exported program. A state_dict goes behind weights=.",
            file=spec.name,
        ) from None

    def answer(pixels: UInt8) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(pixels)).to(device))

    return replace(space_of_function("an extractor from a file", identity, answer, _batch(spec)), is_users=True)


def _refuse_file_operators(script: torch.jit.ScriptModule, file: Path) -> None:
    """Raise ExtractorError where TorchScript holds an operator that reads or writes files."""
    if found := file_operators(script):
        raise ExtractorError(
            f"The extractor's file uses {', '.join(found)}, which opens files, so it is refused. Export it without.",
            file=str(file),
        )
