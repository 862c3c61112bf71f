"""Objects that one session shares: images, extractors, embeddings and references, each computed once."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_medgan.errors import OutputError, SettingsError
from pytest_medgan.evaluate.file_state import file_state
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.ground.files import make_private_folder
from pytest_medgan.ground.processes import local_device
from pytest_medgan.records import Embeddings, Extractor, Generator, ImageSet, Progress, RealSets, no_progress

if TYPE_CHECKING:
    from pytest_medgan.embedding.cache import Cache
    from pytest_medgan.embedding.contract import FeatureSpace
    from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
    from pytest_medgan.metrics import CustomMetric, Heads, Reference

T = TypeVar("T")

MODELS = 16  # that are kept with their images and features; a session of hundreds of gates must not hold all of them
# values of k in the k-sweep; they include those of the paper's figure 5
SWEEP = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)


@dataclass
class Workbench:
    """Objects that the fixtures of a session share. Every session has its own workbench; nothing is global."""

    cache_dir: Path
    device: str = "cpu"
    custom: tuple[CustomMetric, ...] = ()  # the project's own metrics
    progress: Progress = no_progress
    evidence: bool = False  # collect evidence with the scores, for a report
    cache_limit: int | None = None  # bytes of stored features; None: the store's own
    sweep: bool = False  # evidence holds the ball metrics at every k of SWEEP; only figures need them
    _kept: dict[Hashable, Any] = field(default_factory=dict)
    _models: dict[Hashable, Any] = field(default_factory=dict)  # the one used last stands last

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, which is called only once for each key."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    def keep_model(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, which is called again for a key that was not asked for while `MODELS` others were."""
        value: T = self._models.pop(key) if key in self._models else make()
        self._models[key] = value
        if len(self._models) > MODELS:
            del self._models[next(iter(self._models))]
        return value

    @property
    def folder(self) -> Path:
        """The folder for stored files: `cache_dir`, or a temporary folder if `cache_dir` cannot be written."""
        return self.keep("folder", self._writable_folder)

    def _writable_folder(self) -> Path:
        """Return `cache_dir`, or a temporary folder that is removed when the session ends."""
        try:
            make_private_folder(self.cache_dir)
            with tempfile.TemporaryFile(dir=self.cache_dir):
                return self.cache_dir
        except (OSError, OutputError) as error:
            system = error.__cause__ if isinstance(error, OutputError) else error
            self._kept["unwritable"] = getattr(system, "strerror", None) or "no reason given"
            scratch = tempfile.mkdtemp(prefix="medgan-")
            weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
            return Path(scratch)

    @property
    def trouble(self) -> str | None:
        """Why files or features are not stored for the next session, without a path; None if they are."""
        if self.folder == self.cache_dir:
            return self.cache().trouble
        why = self._kept["unwritable"]
        return f"Nothing is kept: the cache folder cannot be written ({why}). Give another --medgan-cache-dir."

    def local_device(self) -> str:
        """Return the device; under torchrun this process's own GPU."""
        return self.keep("local device", lambda: local_device(self.device))

    def ordinal(self, generator: object) -> int:
        """Return a number that identifies a generator without an identity: its position in the order of first use."""
        seen: list[object] = self.keep("generators without identity", list)
        for number, known in enumerate(seen):
            if known is generator:
                return number
        seen.append(generator)
        return len(seen) - 1

    def real(self, settings: Settings) -> RealSets:
        """Return the training, reference and held-out images that the settings name."""
        from pytest_medgan.evaluate.sources import load_real

        data = settings.data
        return self.keep(
            ("real", data, data.given), lambda: load_real(data, cache_dir=self.folder, progress=self.progress)
        )

    def extractor(self, spec: str, real: RealSets) -> FeatureSpace:
        """Return the feature space that `spec` names; random weights are calibrated on the reference images."""
        from pytest_medgan.embedding import load_extractor

        def make() -> FeatureSpace:
            space = load_extractor(
                spec, device=self.device, calibration=real.reference, cache=self.cache(), progress=self.progress
            )
            self.resolve(space, real)
            return replace(space, volume_shape=real.reference.pixels.shape[2:]) if space.takes_volumes else space

        return self.keep(("extractor", spec, real.digest), make)

    def resolve(self, extractor: Extractor, real: RealSets) -> FeatureSpace:
        """Return an extractor as a feature space that has been tried with some of the reference images."""
        from pytest_medgan.embedding import resolve_extractor
        from pytest_medgan.embedding.kinds import check_kind, try_space

        space, pixels = resolve_extractor(extractor), real.reference.pixels

        def make() -> bool:
            check_kind(space, pixels)
            try_space(space, pixels)
            return True

        self.keep(("tried", space.identity, real.digest), make)
        return space

    def generator(self, settings: Settings) -> Generator:
        """Return the generator that the settings name."""
        from pytest_medgan.evaluate.volumes import is_volume_folder
        from pytest_medgan.gan import load_generator
        from pytest_medgan.gan.architectures import ARCHITECTURES
        from pytest_medgan.gan.loading import is_model_folder
        from pytest_medgan.gan.others import ImagePool

        spec = settings.generator
        if spec is None:
            raise SettingsError(
                "No generator is named. Name a checkpoint, package.module:name or a folder of images by "
                "--medgan-generator, the ini key medgan_generator or the marker, or override medgan_generator."
            )
        if spec in ARCHITECTURES:
            images = self.real(settings).training
            if images.pixels.ndim != 4:
                raise SettingsError(
                    f"{spec} draws images, and planes=volume asks for volumes. Leave planes=volume out."
                )
            channels, side = images.pixels.shape[1], images.pixels.shape[-1]
            return self.train(ARCHITECTURES[spec].config(size=side, channels=channels), images)
        if isdir(spec) and not is_model_folder(Path(spec)) and is_volume_folder(Path(spec)):
            return self._volumes(Path(spec), settings)
        state = file_state(spec)  # a test may write another model to the path that an earlier one used
        generator = self.keep(
            ("generator", spec, state),
            lambda: load_generator(spec, device=self.local_device(), progress=self.progress),
        )
        if isinstance(generator, ImagePool):
            return self.keep(("dealt", spec, state, settings.seeds), lambda: generator.dealt(settings.seeds))
        return generator

    def _volumes(self, path: Path, settings: Settings) -> Generator:
        """Return the volumes of a folder as a generator."""
        from pytest_medgan.evaluate.volumes import read_volumes

        def make() -> Generator:
            real = self.real(settings)
            return read_volumes(
                path,
                real.settings,
                settings.seeds,
                window=real.reference.window,
                cache_dir=self.folder,
                progress=self.progress,
            )

        return self.keep(("volumes", path, file_state(str(path)), settings.data, settings.seeds), make)

    def train(self, config: NetworkConfig, images: ImageSet, settings: TrainingSettings | None = None) -> Generator:
        """Return the generator of these settings and images: loaded, resumed or trained."""
        from pytest_medgan.gan import train_or_load

        def make() -> Generator:
            return train_or_load(
                config,
                images,
                directory=self.folder / "trained",
                settings=settings,
                device=self.local_device(),
                progress=self.progress,
            )

        return self.keep(("trained", config, settings, images.recipe), make)

    def cache(self) -> Cache:
        """Return the store of features on disk."""
        from pytest_medgan.embedding.cache import LIMIT, Cache

        limit = LIMIT if self.cache_limit is None else self.cache_limit
        return self.keep("cache", lambda: Cache(self.folder / "features", limit))

    def embed(self, extractor: Extractor, images: ImageSet) -> Embeddings:
        """Return the features of images, through the store on disk; under torchrun each process embeds its share."""
        from pytest_medgan.embedding import embed_images, resolve_extractor
        from pytest_medgan.embedding.sharding import join

        join()
        space = resolve_extractor(extractor)
        cache, progress = self.cache(), self.progress
        return embed_images(
            space,
            images,
            cache=cache,
            progress=progress,
            before=lambda: self._check_canary(space),
            always=bool(space.modules),  # a user's code may read files that its identity does not cover
        )

    def embedded(self, extractor: FeatureSpace, real: RealSets, role: str) -> Embeddings:
        """Return the features of one role of the real images: "training", "reference" or "held_out"."""
        key = ("embedded", role, real.digest, extractor.identity, extractor.numeric_class)
        return self.keep(key, lambda: self.embed(extractor, getattr(real, role)))

    def canary(self, extractor: FeatureSpace) -> tuple[float, ...]:
        """Return the extractor's features of eight canned images, projected; stored ones where nothing has changed."""
        return self._canary(extractor)[0]

    def _canary(self, extractor: FeatureSpace) -> tuple[tuple[float, ...], bool]:
        """Return the canary, and whether this session computed it."""
        from pytest_medgan.embedding.canaries import stored_canary

        key = ("canary", extractor.identity, extractor.numeric_class)
        return self.keep(key, lambda: stored_canary(extractor, self.cache(), self.local_device()))

    def _check_canary(self, extractor: FeatureSpace) -> None:
        """Check, once per session, that the extractor still computes what is stored."""
        from pytest_medgan.embedding.canaries import check_canary

        known, fresh = self._canary(extractor)
        if not fresh:
            key = ("canary checked", extractor.identity, extractor.numeric_class)
            self.keep(key, lambda: check_canary(extractor, known))

    def reference(
        self, extractor: FeatureSpace, real: RealSets, metrics: tuple[str, ...], trained_on: str | None
    ) -> Reference:
        """Return what the metrics need of the reference, prepared once.

        Args:
            extractor: The feature space.
            real: The real images.
            metrics: The metrics that will be measured.
            trained_on: The recipe of the generator's training set. Metrics that compare with training images are
                measured only where it is the training role of these very images.
        """
        from pytest_medgan.metrics import prepare_reference

        knows_training = trained_on is not None and trained_on == real.training.recipe

        def make() -> Reference:
            reference = self.embedded(extractor, real, "reference")
            training = (
                self.embedded(extractor, real, "training").features
                if knows_training and {"authenticity", "memorised_rate"} & set(metrics)
                else None
            )
            of_images = real.reference.pixels.ndim == 4  # metrics of pixels measure images alone
            return prepare_reference(
                reference.features,
                groups=reference.groups,
                pixels=real.reference.pixels if of_images else None,
                train=training,
                train_pixels=real.training.pixels if knows_training and of_images else None,
                train_groups=real.training.groups if knows_training else None,
                window=real.reference.window,
                heads=self._heads(extractor, real) if "anomaly_rate" in metrics and of_images else None,
                metrics=metrics,
                sweep=swept(len(reference)) if self.sweep else (),
                ball_dimensions=extractor.ball_dimensions,
                device=self.local_device(),
            )

        key = ("reference", real.digest, extractor.identity, extractor.numeric_class, metrics, knows_training)
        return self.keep(key, make)

    def _heads(self, extractor: FeatureSpace, real: RealSets) -> Heads | None:
        """Return the heads of `anomaly_rate`; None where the reference is too small for them."""
        from pytest_medgan.evaluate.heads import reference_heads

        key = ("heads", real.digest, extractor.identity, extractor.numeric_class)
        return self.keep(key, lambda: reference_heads(extractor, real, self.folder / "heads", self.progress))


def swept(count: int) -> tuple[int, ...]:
    """Return the k of the k-sweep for which `count` images have neighbours, the largest possible k included."""
    largest = min(SWEEP[-1], count - 1)
    return (*(k for k in SWEEP if k < largest), *((largest,) if largest > 0 else ()))
