"""The fixtures: function-scope handles to one session-wide store.

The store is keyed by content, so that a marker can choose per test and nothing is computed twice. An override may have
any scope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.plugin.options import OWN_BASELINE, marker_values, settings_for
from pytest_medgan.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Settings
    from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
    from pytest_medgan.gate.baseline import Baseline
    from pytest_medgan.records import Embeddings, Extractor, Generator, ImageSet, RealSets, Row


FROM_SETTINGS = pytest.StashKey[bool]()  # the generator is the one that the settings name


@pytest.fixture
def medgan_settings(request: pytest.FixtureRequest) -> Settings:
    """Return what this test is asked to measure: marker, then command line, then ini, then default."""
    return settings_for(request.node)


@pytest.fixture
def medgan_real(request: pytest.FixtureRequest, medgan_settings: Settings) -> RealSets:
    """Return the real images in their three roles: `.training`, `.reference`, `.held_out`, each an ImageSet."""
    return state_of(request.config).bench.real(medgan_settings)


@pytest.fixture
def medgan_extractor(request: pytest.FixtureRequest, medgan_settings: Settings, medgan_real: RealSets) -> Extractor:
    """Return the feature space. An override returns anything with the members of `records.Extractor`."""
    return state_of(request.config).bench.extractor(medgan_settings.extractor, medgan_real)


@pytest.fixture
def medgan_embed(request: pytest.FixtureRequest, medgan_extractor: Extractor) -> Callable[[ImageSet], Embeddings]:
    """Return a function from an ImageSet to its Embeddings, through the store."""
    bench = state_of(request.config).bench

    def embed(images: ImageSet) -> Embeddings:
        return bench.embed(medgan_extractor, images)

    return embed


@pytest.fixture
def medgan_generator(request: pytest.FixtureRequest, medgan_settings: Settings) -> Generator:
    """Return the model under test: `(count, seed) -> uint8 [N,1,H,W]` or [N,3,H,W]. Override it to test your own."""
    request.node.stash[FROM_SETTINGS] = True
    return _named_generator(request, medgan_settings)


def _named_generator(request: pytest.FixtureRequest, settings: Settings) -> Generator:
    """Return the model that the settings name; of several training runs, the first."""
    named = replace(settings, generator=settings.runs[0]) if settings.runs else settings
    generator: Generator = state_of(request.config).bench.generator(named)
    return generator


@pytest.fixture
def medgan_train(request: pytest.FixtureRequest, medgan_real: RealSets) -> Callable[..., Generator]:
    """Return a function that trains a generator on the training images, or loads the one it trained before.

    Call it as `medgan_train(DCGANConfig(...), settings=DCGANSettings(...))`, with the records of `pytest_medgan.gan`.
    An unfinished run is resumed. An overridden `medgan_generator` may return its result.
    """
    state = state_of(request.config)

    def train(config: NetworkConfig, settings: TrainingSettings | None = None) -> Generator:
        return state.bench.train(config, medgan_real.training, settings)

    return train


@pytest.fixture
def medgan_baseline(medgan_settings: Settings) -> Baseline:
    """Return the baseline file; `.row(name)` gives a Row of limits, of kind "missing" where there is none yet."""
    from pytest_medgan.gate.baseline import load

    return load(medgan_settings.baseline or OWN_BASELINE)


@pytest.fixture
def _medgan_models(
    request: pytest.FixtureRequest, medgan_settings: Settings, medgan_generator: Generator
) -> tuple[Generator, Generator | None]:
    """Return the model under test and the accepted one, loaded before the real images, which take longer.

    `medgan_generator` is an argument so that a project may override it by a parametrised fixture.
    """
    bench = state_of(request.config).bench
    generator = medgan_generator
    takes_precedence = medgan_settings.runs or marker_values(request.node).get("generator") is not None
    if takes_precedence and not request.node.stash.get(FROM_SETTINGS, False):  # the project overrides the fixture
        generator = _named_generator(request, medgan_settings)
        request.node.stash[FROM_SETTINGS] = True
    accepted = None if medgan_settings.runs else medgan_settings.paired_with
    return generator, None if accepted is None else bench.generator(replace(medgan_settings, generator=accepted))


@pytest.fixture
def medgan_scores(
    request: pytest.FixtureRequest,
    medgan_settings: Settings,
    _medgan_models: tuple[Generator, Generator | None],
    medgan_real: RealSets,
    medgan_extractor: Extractor,
) -> ModelEvaluation | RunsEvaluation:
    """Return the model's scores, computed when first asked for. The assertion helpers take them.

    With --medgan-runs they are the mean scores of several training runs.
    """
    from pytest_medgan.embedding import resolve_extractor
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Subject
    from pytest_medgan.session.beside import second_evaluation

    state = state_of(request.config)
    marked = marker_values(request.node)
    generator, accepted = _medgan_models
    spec = (
        (medgan_settings.runs or (medgan_settings.generator,))[0]
        if request.node.stash.get(FROM_SETTINGS, False)
        else None
    )
    name = str(marked.get("name") or model_name(spec, generator))
    subject = Subject(medgan_real, resolve_extractor(medgan_extractor), medgan_settings, state.bench, state.shared)
    identity = getattr(generator, "identity", None) or id(generator)
    key = ("evaluation", name, identity, medgan_real.digest, medgan_extractor.identity, medgan_settings)

    def make() -> ModelEvaluation | RunsEvaluation:
        if not medgan_settings.runs:
            return ModelEvaluation(name, generator, subject, accepted=accepted)
        each = [replace(medgan_settings, generator=spec, runs=()) for spec in medgan_settings.runs]
        return RunsEvaluation(
            name,
            [
                ModelEvaluation(f"{name}, run {number}", state.bench.generator(one), subject)
                for number, one in enumerate(each, start=1)
            ],
        )

    evaluation = state.bench.keep_model(key, make)
    if medgan_settings.beside is not None:
        second_evaluation(evaluation)  # what is wrong with the second feature space shows before anything is drawn
    state.remember(request.node, evaluation)
    return evaluation


@pytest.fixture
def medgan_real_row(
    request: pytest.FixtureRequest, medgan_settings: Settings, medgan_real: RealSets, medgan_extractor: Extractor
) -> Row:
    """Return the Real row: held-out real images scored like generated ones. `medgan_real_row.fid + 5.0` is a limit."""
    from pytest_medgan.embedding import resolve_extractor
    from pytest_medgan.evaluate import Subject, real_row

    state, extractor = state_of(request.config), resolve_extractor(medgan_extractor)
    return real_row(Subject(medgan_real, extractor, medgan_settings, state.bench, state.shared))


def model_name(spec: str | None, generator: Any) -> str:
    """Return the name that tables show for a model whose marker gives none.

    Args:
        spec: The generator's string; None where a fixture made it.
        generator: The generator.
    """
    if spec:
        head = spec.split(",")[0]
        return head.rpartition(":")[2] if ":" in head else PurePath(head).stem
    return str(getattr(generator, "__name__", type(generator).__name__))
