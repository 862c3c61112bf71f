"""The fixtures: function-scope handles to one session-wide store.

The store is keyed by content, so that a marker can choose per test and nothing is computed twice. An override may have
any scope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.earlier import remove_candidates
from pytest_medgan.plugin.markers import MODEL, marker_values, names_model
from pytest_medgan.plugin.options import OWN_BASELINE, settings_for
from pytest_medgan.plugin.overrides import fixtures_being_made, is_replaced
from pytest_medgan.plugin.precedence import model_name
from pytest_medgan.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Settings, Subject
    from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
    from pytest_medgan.gate.baseline import Baseline
    from pytest_medgan.records import Embeddings, Extractor, Generator, ImageSet, RealSets, Row

T = TypeVar("T")

NAMED = pytest.StashKey[dict[str, object]]()  # what the plugin's own fixtures returned, by the name of the fixture


@dataclass(frozen=True)
class _Models:
    """What a test measures."""

    name: str  # the name that tables show
    generator: Generator
    accepted: Generator | None  # the accepted model, for paired comparisons
    settings: Settings  # without the runs of a lower level where the project's own fixture makes the model


@pytest.fixture
def medgan_settings(request: pytest.FixtureRequest) -> Settings:
    """Return what this test is asked to measure: marker, then command line, then ini, then default."""
    return settings_for(request.node)


@pytest.fixture
def medgan_real(request: pytest.FixtureRequest, medgan_settings: Settings) -> RealSets:
    """Return the real images in their three roles: `.training`, `.reference`, `.held_out`, each an ImageSet."""
    return _noted(request, "medgan_real", state_of(request.config).bench.real(medgan_settings))


@pytest.fixture
def medgan_extractor(request: pytest.FixtureRequest, medgan_settings: Settings, medgan_real: RealSets) -> Extractor:
    """Return the feature space. An override returns anything with the members of `records.Extractor`."""
    space: Extractor = state_of(request.config).bench.extractor(medgan_settings.extractor, medgan_real)
    return _noted(request, "medgan_extractor", space)


@pytest.fixture
def _medgan_inputs(
    request: pytest.FixtureRequest, medgan_settings: Settings, medgan_real: RealSets, medgan_extractor: Extractor
) -> tuple[RealSets, Extractor]:
    """Return real images and feature space; a marker precedes a fixture that the project overrides."""
    bench, settings = state_of(request.config).bench, medgan_settings
    real = _preferred(request, "medgan_real", medgan_real, lambda: bench.real(settings), ("data",))

    def make() -> Extractor:
        return bench.extractor(settings.extractor, real)

    named = _named(request)
    if real is not medgan_real and "medgan_extractor" in named:
        if medgan_extractor is not named["medgan_extractor"]:
            raise SettingsError(
                "The marker's data= replaces the images of the fixture medgan_real, and the fixture medgan_extractor "
                "changes the extractor that was made for them. Leave data= out, or one of the fixtures."
            )
        return real, make()  # the fixture's was made for other images, on which random weights are calibrated
    return real, _preferred(request, "medgan_extractor", medgan_extractor, make, ("extractor",))


@pytest.fixture
def medgan_embed(
    request: pytest.FixtureRequest, _medgan_inputs: tuple[RealSets, Extractor]
) -> Callable[[ImageSet], Embeddings]:
    """Return a function from an ImageSet to its Embeddings, through the store."""
    bench, (_, extractor) = state_of(request.config).bench, _medgan_inputs

    def embed(images: ImageSet) -> Embeddings:
        return bench.embed(extractor, images)

    return embed


@pytest.fixture
def medgan_generator(request: pytest.FixtureRequest, medgan_settings: Settings) -> Generator:
    """Return the model under test: `(count, seed) -> uint8 [N,1,H,W]` or [N,3,H,W]. Override it to test your own."""
    return _noted(request, "medgan_generator", _named_generator(request, medgan_settings))


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
def _medgan_models(request: pytest.FixtureRequest, medgan_settings: Settings, medgan_generator: Generator) -> _Models:
    """Return the model under test and the accepted one, loaded before the real images, which take longer.

    `medgan_generator` is an argument so that a project may override it by a parametrised fixture.
    """
    bench, marked, named = state_of(request.config).bench, marker_values(request.node), _named(request)
    settings, spec = medgan_settings, (medgan_settings.runs or (medgan_settings.generator,))[0]
    generator = _preferred(
        request, "medgan_generator", medgan_generator, lambda: _named_generator(request, settings), MODEL
    )
    if "medgan_generator" not in named and not names_model(marked):
        settings, spec = replace(settings, runs=()), None  # the project's own fixture precedes command line and ini
    elif settings.runs and "medgan_generator" in named and generator is not named["medgan_generator"]:
        raise SettingsError(
            "The fixture medgan_generator is overridden and changes the model that it is given, and runs= names "
            "several models, of which it gets one. Leave the runs out, or the override."
        )
    name = str(marked.get("name") or model_name(spec, generator))
    remove_candidates(request.node, name)
    accepted = None if settings.runs else settings.paired_with
    return _Models(
        name,
        generator,
        None if accepted is None else bench.generator(replace(settings, generator=accepted)),
        settings,
    )


@pytest.fixture
def _medgan_subject(
    request: pytest.FixtureRequest, medgan_settings: Settings, _medgan_inputs: tuple[RealSets, Extractor]
) -> Subject:
    """Return what models are measured against and with."""
    from pytest_medgan.evaluate import Subject

    if marker_values(request.node).get("baseline") is not None and is_replaced(request.node, "medgan_baseline"):
        _check_baseline(request, medgan_settings)
    state, (real, extractor) = state_of(request.config), _medgan_inputs
    return Subject(real, state.bench.resolve(extractor, real), medgan_settings, state.bench, state.shared)


@pytest.fixture
def medgan_scores(
    request: pytest.FixtureRequest, _medgan_models: _Models, _medgan_subject: Subject
) -> ModelEvaluation | RunsEvaluation:
    """Return the model's scores, computed when first asked for. The assertion helpers take them.

    With --medgan-runs they are the mean scores of several training runs.
    """
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation
    from pytest_medgan.session.beside import second_evaluation

    state, models = state_of(request.config), _medgan_models
    name, settings = models.name, models.settings
    subject = replace(_medgan_subject, settings=settings)
    identity = getattr(models.generator, "identity", None) or id(models.generator)
    key = ("evaluation", name, identity, subject.real.digest, subject.extractor.identity, settings)

    def make() -> ModelEvaluation | RunsEvaluation:
        if not settings.runs:
            return ModelEvaluation(name, models.generator, subject, accepted=models.accepted)
        each = [replace(settings, generator=spec, runs=()) for spec in settings.runs]
        return RunsEvaluation(
            name,
            [
                ModelEvaluation(f"{name}, run {number}", state.bench.generator(one), subject)
                for number, one in enumerate(each, start=1)
            ],
        )

    evaluation = state.bench.keep_model(key, make)
    if settings.beside is not None:
        second_evaluation(evaluation)  # what is wrong with the second feature space shows before anything is drawn
    state.remember(request.node, evaluation)
    return evaluation


@pytest.fixture
def medgan_real_row(_medgan_subject: Subject) -> Row:
    """Return the Real row: held-out real images scored like generated ones. `medgan_real_row.fid + 5.0` is a limit."""
    from pytest_medgan.evaluate import real_row

    return real_row(_medgan_subject)


def _check_baseline(request: pytest.FixtureRequest, settings: Settings) -> None:
    """Raise SettingsError where the project's own medgan_baseline is not the baseline that the marker names."""
    from pytest_medgan.gate.baseline import Baseline, load

    name, named = "medgan_baseline", load(settings.baseline or OWN_BASELINE)
    pending = fixtures_being_made(request)
    try:  # where the fixture takes the scores, it is pending, and pytest would return the one that it overrides
        found = None if name in pending else request.getfixturevalue(name)
    except pytest.FixtureLookupError as error:
        if error.argname not in pending:
            raise
        found = None  # it takes the scores, which are pending
    if not isinstance(found, Baseline) or found.path.resolve() != named.path.resolve():
        raise SettingsError(
            "The marker's baseline= does not reach the fixture medgan_baseline, which is overridden. Leave one out."
        )


def _named(request: pytest.FixtureRequest) -> dict[str, object]:
    """Return what the plugin's own fixtures returned to a test, by the name of the fixture."""
    named: dict[str, object] = request.node.stash.setdefault(NAMED, {})
    return named


def _noted(request: pytest.FixtureRequest, fixture: str, value: T) -> T:
    """Return what a fixture of the plugin made from the settings, and note it, which no overriding fixture does."""
    _named(request)[fixture] = value
    return value


def _preferred(
    request: pytest.FixtureRequest, fixture: str, value: T, make: Callable[[], Any], words: tuple[str, ...]
) -> T:
    """Return the value of a fixture, or what the settings name where a marker precedes the project's own fixture.

    Args:
        request: The request of the test.
        fixture: The name of the fixture.
        value: What the test gets from it.
        make: Makes what the settings name.
        words: The words of the marker that name it.
    """
    marked = marker_values(request.node)
    if fixture in _named(request) or all(marked.get(word) is None for word in words):
        return value
    made: T = make()
    return made
