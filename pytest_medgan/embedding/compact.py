"""The `compact` feature space: few, whitened statistics of the maps of EfficientNet-Lite0 (ImageNet).

Of each image it takes the mean and the mean absolute value of every map that ends a stage of the network, and the means
over quarters of the maps of one late stage (`efficientnet_lite.run`). These 2,336 numbers are projected to 128 by a map
that ships with the package. It was fitted once, by `benchmarks/feature_spaces/fit_projection.py`: each number divided
by its spread, principal components, each divided by its standard deviation, over turned, zoomed, shifted and mirrored
nodule patches of 87 patients of LIDC-IDRI. So features depend on nothing but the image, whichever reference it
is compared with. Neighbours are looked for in the first columns alone, which hold most of the variation. Images in
colour enter the network as they are, and the same map, which was fitted on grey images. The network's own classifier
gives the probabilities of ImageNet's 1,000 classes, for the inception score.

The fitted map is derived from LIDC-IDRI (Armato et al. 2011, doi 10.7937/K9/TCIA.2015.LO9QL9SX), licensed CC BY 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pytest_medgan.embedding.arithmetic import release_memory
from pytest_medgan.embedding.batches import Batches, Stream
from pytest_medgan.embedding.classifier import Classifier
from pytest_medgan.embedding.compact_weights import SHA256, read_compact_weights
from pytest_medgan.embedding.contract import Answer, FeatureSpace
from pytest_medgan.embedding.efficientnet_lite import SIZE, STATISTICS, make_network
from pytest_medgan.embedding.engine import TensorStream, add_colour_engine
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.projection import Projection, read_projection
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import UInt8

NAME = "compact"
PROJECTION = Path(__file__).with_name("compact_projection.safetensors")
BALL_DIMENSIONS = 12  # columns in which neighbours are looked for; benchmarks/embedding.md says why


def load_compact(spec: ExtractorSpec, device: str) -> FeatureSpace:
    """Return the compact space on `device`.

    Raises:
        ExtractorError: `spec` sets what the space fixes, its weights are missing, or its engine does not run here.
    """
    free = ExtractorSpec(NAME, precision=spec.precision, engine=spec.engine, batch=spec.batch)
    if spec != free:
        raise ExtractorError(
            "compact has its own weights and preparation. It takes only precision=, engine= and batch=."
        )
    projection = read_projection(PROJECTION)
    state = read_compact_weights()
    engine = add_colour_engine(
        make_engine(make_network(state), spec, device),
        lambda: make_engine(make_network(read_compact_weights(), 3), spec, device),
    )
    classifier = Classifier(state["_fc.weight"], state["_fc.bias"])
    batch = spec.batch or engine.batch
    weights = f"efficientnet_lite0:{SHA256[:16]};bilinear {SIZE}"
    maps = FeatureSpace(
        run=Batches(_raw(engine.stream), batch).embed,
        identity=f"{NAME} maps;{weights}",
        numeric_class=spec.precision,
        summary=f"the maps of {NAME}",
        engine=engine.name,
        unit=batch,
        block=engine.block,
        is_maps=True,
    )
    space = replace(
        maps,
        run=Batches(_finished(engine.stream, projection, classifier), batch).embed,
        identity=f"{NAME};{weights};projection:{projection.digest};balls {BALL_DIMENSIONS}",
        summary=f"{NAME}, {spec.precision}, engine {engine.name}",
        ball_dimensions=BALL_DIMENSIONS,
        maps=maps,
        is_maps=False,
    )
    del state  # the engine has its own copy
    release_memory()
    return space


def _raw(stream: TensorStream) -> Stream:
    """Return the engine's stream, the statistics of the maps as they are."""

    def run(pixels: UInt8, batch: int) -> Iterator[Answer]:
        for part in stream(torch.from_numpy(np.ascontiguousarray(pixels)), batch):
            yield part[:, :STATISTICS].numpy().astype(np.float32, copy=False), None

    return run


def _finished(stream: TensorStream, projection: Projection, classifier: Classifier) -> Stream:
    """Return the engine's stream with every batch projected and classified."""

    def run(pixels: UInt8, batch: int) -> Iterator[Answer]:
        for part in stream(torch.from_numpy(np.ascontiguousarray(pixels)), batch):
            raw = part.numpy()
            yield projection.apply(raw[:, :STATISTICS]), classifier.apply(raw[:, STATISTICS:])

    return run
