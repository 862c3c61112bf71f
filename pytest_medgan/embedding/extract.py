"""From a string to a feature space, and from images to features: streamed, checked, and never computed twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_medgan.embedding.batches import join_answers
from pytest_medgan.embedding.cache import Cache, Compute, image_digests
from pytest_medgan.embedding.compact import NAME as COMPACT
from pytest_medgan.embedding.compact import load_compact
from pytest_medgan.embedding.contract import Answer, FeatureSpace, check_answer, resolve_extractor
from pytest_medgan.embedding.fid_inception import NAME as FID_INCEPTION
from pytest_medgan.embedding.fid_inception import load_fid_inception
from pytest_medgan.embedding.hub_files import require_given_sha256
from pytest_medgan.embedding.inception_space import load_inception
from pytest_medgan.embedding.kinds import check_kind
from pytest_medgan.embedding.radimagenet import load_radimagenet
from pytest_medgan.embedding.sharding import place, share, shared
from pytest_medgan.embedding.spaces import load_other
from pytest_medgan.embedding.spec import parse
from pytest_medgan.embedding.timm_models import load_timm
from pytest_medgan.embedding.xrv import load_xrv
from pytest_medgan.errors import ExtractorError
from pytest_medgan.ground.processes import local_device
from pytest_medgan.records import Embeddings, Extractor, ImageSet, Progress, UInt8, no_progress

LOADERS = {  # the name of a space, or what stands before its colon -> what loads it
    COMPACT: load_compact,
    FID_INCEPTION: load_fid_inception,
    "radimagenet": load_radimagenet,
    "timm": load_timm,
    "xrv": load_xrv,
}


def load_extractor(
    spec: str,
    *,
    device: str = "cpu",
    calibration: ImageSet | None = None,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> FeatureSpace:
    """Return the feature space that a string names, ready on a device.

    Args:
        spec: `NAME[,key=value...]`, for example "compact" or "inception_v3,weights=random". A file behind weights= is
            refused where it does not have the hash that sha256= asks for.
        device: "cpu", "cuda" or "cuda:N".
        calibration: Real images; only random weights need them, to set their batch norms.
        cache: Keeps how random weights were calibrated.
        progress: Told how far the loading is.

    Raises:
        SettingsError: The string cannot be parsed.
        ExtractorError: The space cannot be loaded; one line says why.
    """
    parsed = parse(spec)
    device = local_device(device)
    if parsed.sha256:
        require_given_sha256(parsed)
    if parsed.name == "inception_v3":
        return load_inception(parsed, device, calibration, progress, cache)
    load = LOADERS.get(parsed.name.partition(":")[0])
    if load is not None:
        return load(parsed, device)
    return load_other(parsed, device)


def embed_images(
    extractor: Extractor,
    images: ImageSet,
    *,
    cache: Cache | None = None,
    progress: Progress = no_progress,
    before: Callable[[], None] | None = None,
    always: bool = False,
) -> Embeddings:
    """Return the features of every image, row for row; what the cache holds is not computed again.

    In a process group (`sharding.processes`) every process embeds its share and all return everything. All of them must
    call this alike, with the same images.

    Args:
        extractor: The feature space.
        images: uint8 [N,1,H,W], or in colour [N,3,H,W], or volumes [N,1,D,H,W], N at least 1.
        cache: Keeps features by image.
        progress: Told how many images are done.
        before: Called where the cache lacks an image, before anything is embedded.
        always: Call `before` even where the cache lacks nothing.

    Raises:
        ExtractorError: The extractor takes no images or volumes of this kind, or returns NaN, another count, or another
            width from one block to the next; or `cache.moved` says that it is not what the stored features are of. It
            is raised in every process where it happens in one.
    """
    space, pixels = resolve_extractor(extractor), images.pixels
    if pixels.ndim not in (4, 5) or pixels.shape[1] not in (1, 3) or pixels.dtype != np.uint8 or len(pixels) == 0:
        raise ExtractorError(
            f"The images to embed are {pixels.dtype} {list(pixels.shape)}. Give uint8 [N,1,H,W] or [N,3,H,W], or "
            "volumes [N,1,D,H,W], N at least 1."
        )
    check_kind(space, pixels)
    total = len(pixels)
    rank, size = place()
    mine = share(total, space.unit, rank, size)
    offset = mine.start

    def compute(index: list[int], done: int) -> Answer:
        part = np.ascontiguousarray(pixels[offset:][index])
        answer = space.embed(part, lambda what, now, _: progress(what, offset + done + now, total))
        return check_answer(answer, len(part))

    def work() -> Answer | None:
        if before is not None and always:  # an error there in one process must reach all of them, too
            before()
        return _embed_share(space, pixels[mine], compute, cache, before) if mine.stop > mine.start else None

    by = f"embedding in {space.identity}, {space.numeric_class}, {space.unit} at a time"
    answer = join_answers([part for part in shared(work, of=pixels, by=by) if part is not None])
    progress("embedding", total, total)
    return Embeddings(answer[0], images.groups, space.identity, images.recipe, answer[1])


def _embed_share(
    space: FeatureSpace, pixels: UInt8, compute: Compute, cache: Cache | None, before: Callable[[], None] | None
) -> Answer:
    """Return the features of one process's share, through the cache where there is one."""
    total = len(pixels)
    block = max(space.block // space.unit, 1) * space.unit  # whole batches, so that sharing splits none
    if cache is None:
        return join_answers([compute(list(range(i, min(i + block, total))), i) for i in range(0, total, block)])
    stored, images = cache.space(space.identity, space.numeric_class), image_digests(pixels)
    if before is not None and stored.lacks(images):
        before()
    if (problem := cache.moved.get((space.identity, space.numeric_class))) is not None:
        raise ExtractorError(problem)
    return stored.gather(images, compute, block)
