"""One session's store: images, extractors, embeddings and prepared references, each made once and kept by content."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.records import Embeddings, Extractor, Generator, ImageSet, Progress, RealSets, no_progress

if TYPE_CHECKING:
    from pytest_medgan.embedding.cache import Cache
    from pytest_medgan.gan.loop import Settings as TrainingSettings
    from pytest_medgan.gan.networks import Config
    from pytest_medgan.metrics import CustomMetric, Reference

T = TypeVar("T")

SWEEP = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)  # k of the k-sweep; those of the paper's figure 5 among them


@dataclass
class Workbench:
    """What the handles of a session share. Nothing here is global: a session makes one and lets it go."""

    cache_dir: Path
    device: str = "cpu"
    custom: tuple[CustomMetric, ...] = ()  # the project's own metrics
    progress: Progress = no_progress
    evidence: bool = False  # evidence is gathered with the scores, since a report will ask for it
    cache_limit: int | None = None  # bytes of stored features; None: the store's own
    sweep: bool = False  # evidence holds the ball metrics at every k of SWEEP, which pictures show and no gate needs
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned the first time this key was asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    @property
    def folder(self) -> Path:
        """Where files are kept: `cache_dir`, or a folder that goes with the session where that cannot be written."""
        return self.keep("folder", self._folder)

    def _folder(self) -> Path:
        try:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.cache_dir):
                return self.cache_dir
        except OSError as error:
            self._kept["unwritable"] = error.strerror or type(error).__name__
            scratch = tempfile.mkdtemp(prefix="medgan-")
            weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
            return Path(scratch)

    @property
    def trouble(self) -> str | None:
        """Why nothing, or no feature, is kept for the next session, in words without a path; None while all is well."""
        if self.folder == self.cache_dir:
            return self.cache().trouble
        why = self._kept["unwritable"]
        return f"nothing is kept: the cache folder cannot be written ({why}); give another --medgan-cache-dir"

    def place(self) -> str:
        """The device, under torchrun this process's own."""
        from pytest_medgan.embedding.sharding import local_device

        return self.keep("place", lambda: local_device(self.device))

    def ordinal(self, generator: Generator) -> int:
        """Tells generators apart that have no identity: by the order in which they were met."""
        met: list[Generator] = self.keep("generators without identity", list)
        for number, known in enumerate(met):
            if known is generator:
                return number
        met.append(generator)
        return len(met) - 1

    def real(self, settings: Settings) -> RealSets:
        """The training, reference and held-out images that the settings name."""
        from pytest_medgan.evaluate.sources import load_real

        data = settings.data
        return self.keep(("real", data), lambda: load_real(data, cache_dir=self.folder, progress=self.progress))

    def extractor(self, spec: str, real: RealSets) -> Extractor:
        """The feature space `spec` names; random weights are calibrated on the reference images."""
        from pytest_medgan.embedding import load_extractor

        def make() -> Extractor:
            return load_extractor(
                spec, device=self.device, calibration=real.reference, cache=self.cache(), progress=self.progress
            )

        return self.keep(("extractor", spec, real.digest), make)

    def generator(self, settings: Settings) -> Generator:
        """The generator that the settings name."""
        from pytest_medgan.gan import DCGANConfig, PGGANConfig, load_generator

        built_in = {"dcgan": DCGANConfig, "pggan": PGGANConfig}
        spec = settings.generator
        if spec is None:
            raise SettingsError(
                "no generator: name a checkpoint, package.module:callable or a folder of images by --medgan-generator, "
                "the ini key medgan_generator or the marker, or override the fixture medgan_generator"
            )
        if spec in built_in:
            images = self.real(settings).training
            return self.train(built_in[spec](size=images.pixels.shape[-1]), images)
        return self.keep(("generator", spec), lambda: load_generator(spec, device=self.place(), progress=self.progress))

    def train(self, config: Config, images: ImageSet, settings: TrainingSettings | None = None) -> Generator:
        """The generator these settings and images lead to: loaded, resumed or trained."""
        from pytest_medgan.gan import train_or_load

        def make() -> Generator:
            return train_or_load(
                config,
                images,
                directory=self.folder / "trained",
                settings=settings,
                device=self.place(),
                progress=self.progress,
            )

        return self.keep(("trained", config, settings, images.recipe), make)

    def cache(self) -> Cache:
        """The features on disk."""
        from pytest_medgan.embedding.cache import LIMIT, Cache

        limit = LIMIT if self.cache_limit is None else self.cache_limit
        return self.keep("cache", lambda: Cache(self.folder / "features", limit))

    def embed(self, extractor: Extractor, images: ImageSet) -> Embeddings:
        """Features of any images, through the cache on disk; under torchrun each process embeds its share of them."""
        from pytest_medgan.embedding import embed_images
        from pytest_medgan.embedding.sharding import join

        join()
        # code of the user's may read files that its identity does not tell of
        own = not type(extractor).__module__.startswith("pytest_medgan.") or bool(getattr(extractor, "module", None))
        cache, progress = self.cache(), self.progress
        return embed_images(
            extractor, images, cache=cache, progress=progress, before=lambda: self._vouch(extractor), always=own
        )

    def embedded(self, extractor: Extractor, real: RealSets, role: str) -> Embeddings:
        """One role of the real images ("training", "reference" or "held_out"), embedded."""
        key = ("embedded", role, real.digest, extractor.identity, extractor.numeric_class)
        return self.keep(key, lambda: self.embed(extractor, getattr(real, role)))

    def canary(self, extractor: Extractor) -> tuple[float, ...]:
        """The extractor's features of eight canned images, projected; from the cache where nothing has changed."""
        return self._canary(extractor)[0]

    def _canary(self, extractor: Extractor) -> tuple[tuple[float, ...], bool]:
        """The canary, and whether this session computed it."""
        from pytest_medgan.embedding.extract import stored_canary

        key = ("canary", extractor.identity, extractor.numeric_class)
        return self.keep(key, lambda: stored_canary(extractor, self.cache(), self.place()))

    def _vouch(self, extractor: Extractor) -> None:
        """Before a session embeds its first image, or reads one of a user's extractor: what is stored must be what the
        extractor computes."""
        from pytest_medgan.embedding.extract import vouch

        known, fresh = self._canary(extractor)
        if not fresh:
            key = ("vouched", extractor.identity, extractor.numeric_class)
            self.keep(key, lambda: vouch(extractor, known))

    def reference(
        self, extractor: Extractor, real: RealSets, metrics: tuple[str, ...], trained_on: str | None
    ) -> Reference:
        """What the metrics need of the reference, prepared once.

        `trained_on` is the recipe of the generator's training set: metrics of the nearest training image are measured
        only where it is the training role of these very images.
        """
        from pytest_medgan.metrics import prepare_reference

        knows_training = trained_on is not None and trained_on == real.training.recipe

        def make() -> Reference:
            reference = self.embedded(extractor, real, "reference")
            training = (
                self.embedded(extractor, real, "training").features
                if knows_training and "authenticity" in metrics
                else None
            )
            return prepare_reference(
                reference.features,
                groups=reference.groups,
                pixels=real.reference.pixels,
                train=training,
                train_pixels=real.training.pixels if knows_training else None,
                train_groups=real.training.groups if knows_training else None,
                window=real.reference.window,
                metrics=metrics,
                sweep=swept(len(reference)) if self.sweep else (),
                device=self.place(),
            )

        key = ("reference", real.digest, extractor.identity, extractor.numeric_class, metrics, knows_training)
        return self.keep(key, make)


def swept(count: int) -> tuple[int, ...]:
    """The k of the k-sweep that a set of so many images has neighbours for, the largest possible one included."""
    largest = min(SWEEP[-1], count - 1)
    return (*(k for k in SWEEP if k < largest), *((largest,) if largest > 0 else ()))
