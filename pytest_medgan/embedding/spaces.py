"""Feature spaces of one's own, named by one string, with their own preparation and identity.

`package.module:callable` names either

  a function   uint8 [N,1,H,W] (numpy) -> features [N,D], or (features [N,D], probabilities [N,C]); its identity is its
               attribute `identity`, or else a digest of its module's source, which does not see weights read from files
  an object    with `identity` and `embed(pixels, progress)`, the Extractor protocol itself
  a class      of such objects, made without arguments

`PATH.pt` is a TorchScript module: uint8 [N,1,H,W] (torch) -> the same; its identity is the digest of the file.
`PATH.pt2` is the same of an exported program (torch.export.save) whose batch dimension is dynamic.

A file and a module are code: they can do whatever Python, or TorchScript, can do. Load only what you would run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.embedding.arithmetic import arithmetic
from pytest_medgan.embedding.batches import Answer, Batches, joined
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Extractor, Float32, Progress, UInt8, no_progress

BATCH = 64


class OtherExtractor(Batches):
    """A function over batches behind the Extractor protocol."""

    numeric_class = "float32"
    module: str | None = None  # the user's, where the function comes from one

    def __init__(self, name: str, identity: str, answer: Callable[[UInt8], Any], batch: int) -> None:
        super().__init__(batch)
        self.identity = identity
        self.summary = name
        self.unit = batch  # does not shrink with memory: processes must agree on who embeds what
        self._answer = answer

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> Answer:
        """uint8 [N,1,H,W] => float32 [N,D], float32 [N,C] or None. Raises ExtractorError on any other answer."""
        return joined(self.through(pixels, self._stream, progress))

    def _stream(self, pixels: UInt8, batch: int) -> Iterator[Answer]:
        for start in range(0, len(pixels), batch):
            given = pixels[start : start + batch]
            with arithmetic(self.numeric_class):
                features, probabilities = _two(self._answer(given))
            if features.ndim != 2 or len(features) != len(given):
                raise ExtractorError(
                    f"{self.summary} returned {list(features.shape)} for {len(given)} images; return [{len(given)},D]"
                )
            yield features, probabilities


def _two(answer: object) -> Answer:
    """Features and probabilities, whichever form they came in."""
    if isinstance(answer, tuple | list) and len(answer) == 2:
        return _array(answer[0]), None if answer[1] is None else _array(answer[1])
    return _array(answer), None


def _array(values: Any) -> Float32:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def load_other(spec: ExtractorSpec, device: str) -> Extractor:
    """What `spec` names that is not built in. Raises ExtractorError where it cannot be loaded."""
    if spec != ExtractorSpec(spec.name, batch=spec.batch):
        raise ExtractorError("an extractor of your own takes no key but batch=; it has its own weights and preparation")
    if spec.name.endswith((".pt", ".pt2")):
        return _from_file(spec, device)
    module, colon, name = spec.name.partition(":")
    if not colon or not module.replace(".", "_").isidentifier():
        raise ExtractorError(
            "no such feature space; give inception_v3, timm:MODEL, package.module:callable or a .pt or .pt2 file"
        )
    return _from_module(module, name, spec)


def _from_module(module: str, name: str, spec: ExtractorSpec) -> Extractor:
    if "" not in sys.path:  # console scripts do not look in the working directory, where a user's module lies
        sys.path.insert(0, "")
    try:
        loaded = importlib.import_module(module)
        found = getattr(loaded, name)
    except (ImportError, AttributeError) as error:
        raise ExtractorError(
            f"{spec.name} cannot be imported ({error}); check the name and the working directory"
        ) from None
    if inspect.isclass(found):
        found = found()
    if hasattr(found, "embed"):
        if not isinstance(found, Extractor):
            raise ExtractorError(f"{spec.name} has embed but no identity and numeric_class; give it both")
        return found
    if not callable(found):
        raise ExtractorError(f"{spec.name} is no function; give one that takes uint8 [N,1,H,W] and returns [N,D]")
    identity = getattr(found, "identity", None)
    if identity is None:
        identity = f"{spec.name};source {hashlib.sha256(_source(loaded)).hexdigest()[:16]}"
    extractor = OtherExtractor(spec.name, str(identity), found, spec.batch or BATCH)
    extractor.module = module
    return extractor


def _source(module: Any) -> bytes:
    try:
        return inspect.getsource(module).encode()
    except (OSError, TypeError):
        raise ExtractorError(
            f"{module.__name__} has no source to identify; give the function an attribute identity"
        ) from None


def _from_file(spec: ExtractorSpec, device: str) -> Extractor:
    file = Path(spec.name)
    if not file.is_file():
        raise ExtractorError("the extractor names no file; give one made by torch.jit.save", file=spec.name)
    identity = f"{file.suffix[1:]};{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    try:
        if file.suffix == ".pt2":
            network: Callable[[Tensor], Any] = torch.export.load(file).module().to(device)
        else:
            with warnings.catch_warnings():  # deprecated in favour of torch.export, which is offered beside it
                warnings.simplefilter("ignore")
                network = torch.jit.load(str(file), map_location=device).eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise ExtractorError(
            "the extractor's file is neither TorchScript nor an exported program; a state_dict goes behind weights=",
            file=spec.name,
        ) from None

    def answer(pixels: UInt8) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(pixels)).to(device))

    return OtherExtractor("an extractor from a file", identity, answer, spec.batch or BATCH)
