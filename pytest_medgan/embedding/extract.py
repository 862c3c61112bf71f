"""From a string to a feature space, from images to features: streamed, checked, and never computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from platform import machine

import numpy as np
import torch
from torch import nn

from pytest_medgan.embedding.arithmetic import give_back
from pytest_medgan.embedding.batches import Answer, Batches, joined
from pytest_medgan.embedding.cache import Cache, Compute, image_digests
from pytest_medgan.embedding.canned import apart, canned_images, makers, project
from pytest_medgan.embedding.engines import Engine, make_engine
from pytest_medgan.embedding.inception import PREPARATION, final_layer
from pytest_medgan.embedding.sharding import local_device, place, share, shared
from pytest_medgan.embedding.spaces import load_other
from pytest_medgan.embedding.spec import ExtractorSpec, parse
from pytest_medgan.embedding.weights import Weights, load_weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import (
    CANARY_TOLERANCE,
    Embeddings,
    Extractor,
    Float32,
    Float64,
    ImageSet,
    Progress,
    UInt8,
    no_progress,
)

BLOCK = 128  # images a stored block, where the extractor does not say otherwise


class InceptionExtractor(Batches):
    """InceptionV3 behind the Extractor protocol: 2048-d average pool and class probabilities."""

    def __init__(self, weights: Weights, spec: ExtractorSpec, engine: Engine) -> None:
        super().__init__(spec.batch or engine.batch)
        self.identity = f"inception_v3;{weights.identity};pool2048;{spec.normalisation};{PREPARATION}"
        self.numeric_class = spec.precision
        self.engine = engine.name
        self.summary = f"inception_v3, {weights.summary}, {spec.precision}, engine {engine.name}"
        self.trained_on = weights.patients
        self.block = engine.block  # images it likes to be handed together
        self._engine = engine
        self.unit = self.batch  # does not shrink with memory: processes must agree on who embeds what
        self._head_weight, self._head_bias = _head(weights.network)

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> Answer:
        """uint8 [N,1,H,W] => features float32 [N,2048], probabilities float32 [N,C]."""
        return joined(self.through(pixels, self._stream, progress))

    def _stream(self, pixels: UInt8, batch: int) -> Iterator[Answer]:
        for part in self._engine.stream(torch.from_numpy(np.ascontiguousarray(pixels)), batch):
            features: Float32 = part.numpy()
            yield features, self.probabilities(features)

    def probabilities(self, features: Float32) -> Float32:
        """float32 [N,2048] => softmax of the last layer, computed in float64 on the host whatever the engine."""
        logits = features.astype(np.float64) @ self._head_weight.T + self._head_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Float32 = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return result


def _head(network: nn.Module) -> tuple[Float64, Float64]:
    last = final_layer(network)
    return last.weight.detach().double().numpy(), last.bias.detach().double().numpy()


def load_extractor(
    spec: str,
    *,
    device: str = "cpu",
    calibration: ImageSet | None = None,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> Extractor:
    """The feature space that `spec` names, ready on `device`.

    spec: `NAME[,key=value...]`, e.g. "inception_v3,weights=random". calibration: real images that weights=random sets
    its batch norm from; the cache holds what that came to. Raises ExtractorError, one line, where it cannot be loaded.
    """
    parsed = parse(spec)
    device = local_device(device)
    if parsed.name.startswith("timm:"):
        from pytest_medgan.embedding.timm_models import load_timm

        return load_timm(parsed, device)
    if parsed.name != "inception_v3":
        return load_other(parsed, device)
    weights = load_weights(parsed, calibration, progress, cache)
    if weights.normalisation not in (None, parsed.normalisation):
        raise ExtractorError(
            f"these weights were fine-tuned with normalisation={weights.normalisation}; add it to the extractor"
        )
    extractor = InceptionExtractor(weights, parsed, make_engine(weights.network, parsed, device))
    del weights  # an engine has its own copy of them
    give_back()
    return extractor


def embed_images(
    extractor: Extractor,
    images: ImageSet,
    *,
    cache: Cache | None = None,
    progress: Progress = no_progress,
    before: Callable[[], None] | None = None,
    always: bool = False,
) -> Embeddings:
    """Features of every image, row for row; what the cache holds is not computed again.

    In a process group (sharding.processes) every process embeds its share and all return everything; then all of them
    must call this alike, with the same images. `before` is called where the cache lacks an image; with `always`, in any
    case. Raises ExtractorError where the extractor returns NaN, another width from one block to the next, or another
    count; in every process where it does in one.
    """
    pixels = images.pixels
    if pixels.ndim != 4 or pixels.shape[1] != 1 or pixels.dtype != np.uint8 or len(pixels) == 0:
        raise ExtractorError(
            f"images are {pixels.dtype} {list(pixels.shape)}; an extractor takes uint8 [N,1,H,W], N > 0"
        )
    total = len(pixels)
    rank, size = place()
    mine = share(total, _unit(extractor), rank, size)
    offset = mine.start

    def compute(index: list[int], done: int) -> Answer:
        part = np.ascontiguousarray(pixels[offset:][index])
        answer = extractor.embed(part, lambda what, now, _: progress(what, offset + done + now, total))
        return checked(answer, len(part))

    def work() -> Answer | None:
        if before is not None and always:  # what goes wrong there in one process must reach all, too
            before()
        return _embed(extractor, pixels[mine], compute, cache, before) if mine.stop > mine.start else None

    by = f"embedding in {extractor.identity}, {extractor.numeric_class}, {_unit(extractor)} at a time"
    answer = joined([part for part in shared(work, of=pixels, by=by) if part is not None])
    progress("embedding", total, total)
    return Embeddings(answer[0], images.groups, extractor.identity, images.recipe, answer[1])


def _unit(extractor: Extractor) -> int:
    """Images that are embedded together wherever they are embedded; the same in every process."""
    return int(getattr(extractor, "unit", getattr(extractor, "batch", BLOCK)))


def _embed(
    extractor: Extractor, pixels: UInt8, compute: Compute, cache: Cache | None, before: Callable[[], None] | None
) -> Answer:
    """One process's share, through the cache where there is one."""
    unit, total = _unit(extractor), len(pixels)
    block = max(int(getattr(extractor, "block", BLOCK)) // unit, 1) * unit  # whole batches, so that sharding cuts none
    if cache is None:
        return joined([compute(list(range(i, min(i + block, total))), i) for i in range(0, total, block)])
    space, images = cache.space(extractor.identity, extractor.numeric_class), image_digests(pixels)
    if before is not None and space.lacks(images):
        before()
    return space.gather(images, compute, block)


def checked(answer: Answer, count: int) -> Answer:
    """What an extractor returned for `count` images, as float32, or an ExtractorError that says what is wrong."""
    features = np.asarray(answer[0], dtype=np.float32)
    probabilities = None if answer[1] is None else np.asarray(answer[1], dtype=np.float32)
    if features.ndim != 2 or len(features) != count or features.shape[1] == 0:
        raise ExtractorError(f"the extractor returned {list(features.shape)} for {count} images; return [{count},D]")
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise ExtractorError(
            f"the extractor returned NaN or infinite features for {bad} of {count} images; check its weights"
        )
    if probabilities is not None:
        if probabilities.ndim != 2 or len(probabilities) != count:
            raise ExtractorError(f"the extractor returned probabilities {list(probabilities.shape)} for {count} images")
        sums = probabilities.sum(axis=1)
        if not (np.isfinite(sums).all() and (probabilities >= 0).all() and (abs(sums - 1) < 1e-3).all()):
            raise ExtractorError("the extractor's probabilities are negative, NaN, or do not sum to 1; apply a softmax")
    return features, probabilities


def canary(extractor: Extractor) -> tuple[float, ...]:
    """128 numbers: features of eight canned images, projected to 16 numbers each. Raises ExtractorError as above."""
    images = canned_images()
    features, _ = checked(extractor.embed(images), len(images))
    return project(features)


def stored_canary(extractor: Extractor, cache: Cache, device: str = "cpu") -> tuple[tuple[float, ...], bool]:
    """The canary, and whether it was computed now: it is read where nothing that could move it has changed."""
    cuda = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"{machine()} {torch.backends.cpu.get_cpu_capability()}"
    made_by = makers(extractor, name)
    if made_by is None:
        return canary(extractor), True
    images = canned_images()
    space = cache.space(f"canary {made_by} of {extractor.identity}", extractor.numeric_class, counted=False)

    def compute(index: list[int], done: int) -> Answer:
        return checked(extractor.embed(images[index]), len(index))

    features, _ = space.gather(image_digests(images), compute, len(images))
    return project(features), space.counts.computed > 0


def vouch(extractor: Extractor, known: tuple[float, ...]) -> None:
    """Raises ExtractorError where the extractor no longer computes what its stored canary says."""
    gap = apart(canary(extractor), known)
    if not gap <= CANARY_TOLERANCE.get(extractor.numeric_class, CANARY_TOLERANCE["float32"]):  # NaN must not pass
        raise ExtractorError(
            f"the extractor's features have moved by {gap:.1e} since others were stored under its identity; "
            "give it another identity, or remove the stored ones by `medgan cache prune --all`"
        )
