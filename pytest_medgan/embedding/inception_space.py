"""The `inception_v3` feature space: 2048-d average pool and class probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from pytest_medgan.embedding.arithmetic import release_memory
from pytest_medgan.embedding.batches import Batches, Stream
from pytest_medgan.embedding.cache import Cache
from pytest_medgan.embedding.classifier import Classifier
from pytest_medgan.embedding.contract import Answer, FeatureSpace
from pytest_medgan.embedding.engine import Engine, add_colour_engine
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import PREPARATION, final_layer, inception_network
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import Weights, load_weights
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, ImageSet, Progress, UInt8


def load_inception(
    spec: ExtractorSpec, device: str, calibration: ImageSet | None, progress: Progress, cache: Cache | None
) -> FeatureSpace:
    """Return InceptionV3 with the weights that `spec` names.

    Raises:
        ExtractorError: Weights or engine cannot be loaded, or the weights were fine-tuned with another normalisation.
    """
    if spec.volumes:
        raise ExtractorError("inception_v3 takes images. Leave volumes= out, or name an extractor of your own.")
    if spec.size:
        raise ExtractorError("inception_v3 takes images of 299 pixels. Leave size= out.")
    weights = load_weights(spec, calibration, progress, cache)
    if weights.normalisation not in (None, spec.normalisation):
        raise ExtractorError(
            f"The weights were fine-tuned with normalisation={weights.normalisation}. Add it to the extractor."
        )

    def engine_of(network: nn.Module, channels: int) -> Engine:
        return make_engine(inception_network(network, spec.normalisation, channels), spec, device)

    def colour() -> Engine:
        return engine_of(load_weights(spec, calibration, progress, cache).network, 3)

    space = make_space(weights, spec, add_colour_engine(engine_of(weights.network, 1), colour))
    del weights  # an engine has its own copy of them
    release_memory()
    return space


def make_space(weights: Weights, spec: ExtractorSpec, engine: Engine) -> FeatureSpace:
    """Return the feature space of a network that an engine runs."""
    batch = spec.batch or engine.batch
    return FeatureSpace(
        run=Batches(_classified(engine, weights.network), batch).embed,
        identity=f"inception_v3;{weights.identity};pool2048;{spec.normalisation};{PREPARATION}",
        numeric_class=spec.precision,
        summary=f"inception_v3, {weights.summary}, {spec.precision}, engine {engine.name}",
        engine=engine.name,
        unit=batch,
        block=engine.block,
        trained_on=weights.patients,
    )


def _classified(engine: Engine, network: nn.Module) -> Stream:
    """Return the engine's stream with every batch classified."""
    last = final_layer(network)
    classifier = Classifier(last.weight, last.bias)

    def run(pixels: UInt8, batch: int) -> Iterator[Answer]:
        for part in engine.stream(torch.from_numpy(np.ascontiguousarray(pixels)), batch):
            features: Float32 = part.numpy()
            yield features, classifier.apply(features)

    return run
