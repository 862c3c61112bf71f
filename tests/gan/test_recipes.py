"""Keys and recipes change with what they name, and with nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.checkpoint import Checkpoint, load, save
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.described import plain_values
from pytest_medgan.gan.loading import load_generator
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.recipes import pseudonyms, run_key, run_recipe
from pytest_medgan.records import ImageSet

MakeImages = Callable[..., ImageSet]
SETTINGS = DCGANSettings(steps=10, batch=8, seed=1, tolerance=0)


def recipe(config: NetworkConfig, settings: TrainingSettings, **changes: object) -> str:
    """The recipe of a DCGAN, or with changes that of another run."""
    given: dict[str, object] = {"training_recipe": "abc", "images": 40, "revision": 1, "version": "0.1.0", **changes}
    return run_recipe("dcgan", plain_values(config), plain_values(settings), **given)  # type: ignore[arg-type]


def test_key_changes_with_everything_that_changes_the_weights(tiny: DCGANConfig, make_images: MakeImages) -> None:
    images = make_images()
    keys = [
        run_key(tiny, SETTINGS, images),
        run_key(tiny, replace(SETTINGS, seed=2), images),
        run_key(tiny, replace(SETTINGS, penalty=1.0), images),
        run_key(tiny, replace(SETTINGS, penalty=1.0, penalty_every=2), images),
        run_key(tiny, replace(SETTINGS, shift=1), images),
        run_key(replace(tiny, latent=9), SETTINGS, images),
        run_key(tiny, SETTINGS, make_images(seed=3)),
        run_key(tiny, SETTINGS, images.take(slice(0, 20))),
        run_key(tiny, SETTINGS, images, half=True),
        run_key(PGGANConfig(16), PGGANSettings(), images),
    ]
    assert len(set(keys)) == len(keys)
    assert run_key(tiny, replace(SETTINGS), make_images()) == keys[0]


def test_key_changes_with_the_revision_of_the_code(
    tiny: DCGANConfig, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_key(tiny, SETTINGS, make_images())
    later = {**ARCHITECTURES, "dcgan": replace(ARCHITECTURES["dcgan"], revision=99)}
    monkeypatch.setattr("pytest_medgan.gan.architectures.ARCHITECTURES", later)
    assert run_key(tiny, SETTINGS, make_images()) != before


def test_names_of_patients_become_hashes_that_follow_from_the_images(make_images: MakeImages) -> None:
    images = make_images()
    names = np.array(["SMITH^JOHN", "p0123456789ab"] * 20)
    found = pseudonyms(replace(images, groups=names))
    assert len(found) == 2
    assert found == pseudonyms(replace(images, groups=names[::-1]))
    assert "p0123456789ab" in found  # of studies, whose names are hashes already
    assert all(re.fullmatch("p[0-9a-f]{12}", name) for name in found)
    assert found != pseudonyms(replace(make_images(seed=3), groups=names))


def test_recipe_is_that_of_every_seed_and_changes_with_code_settings_and_data(tiny: DCGANConfig) -> None:
    own = recipe(tiny, SETTINGS)
    assert recipe(tiny, replace(SETTINGS, seed=77)) == own
    others = [
        recipe(tiny, replace(SETTINGS, steps=11)),
        recipe(tiny, replace(SETTINGS, shift=1)),
        recipe(replace(tiny, discriminator_width=3), SETTINGS),
        recipe(tiny, SETTINGS, training_recipe="abd"),
        recipe(tiny, SETTINGS, images=41),
        recipe(tiny, SETTINGS, revision=2),
        recipe(tiny, SETTINGS, version="0.2.0"),
    ]
    assert len({own, *others}) == 8


def test_recipe_of_a_field_added_later_is_that_of_its_default(tiny: DCGANConfig) -> None:
    settings = plain_values(SETTINGS)
    older = {name: value for name, value in settings.items() if name not in ("penalty", "shift")}
    rest = {"training_recipe": "abc", "images": 40, "revision": 1, "version": "0.1.0"}
    assert run_recipe("dcgan", plain_values(tiny), older, **rest) == recipe(tiny, SETTINGS)  # type: ignore[arg-type]


def test_recipe_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'biggest' is unknown"):
        run_recipe("biggest", {}, {}, training_recipe="", images=0, revision=1)


def test_checkpoint_offers_recipe_and_seed_to_the_gate(
    finished_run: Path, tiny: DCGANConfig, make_images: MakeImages, tmp_path: Path
) -> None:
    images = make_images()
    checkpoint = load(finished_run / "generator.safetensors")
    expected = recipe(
        tiny, SETTINGS, training_recipe=images.recipe, images=40, version=checkpoint.versions["pytest-medgan"]
    )
    generator = load_generator(str(finished_run))
    assert (generator.run_recipe, generator.training_seed) == (expected, 1)
    assert load_generator(f"{finished_run / 'generator.safetensors'},truncation=0.5").run_recipe != expected
    unfinished = load_generator(str(finished_run / "checkpoint-00000008.safetensors"))
    assert unfinished.run_recipe == f"{expected}-8"
    # files from before the settings were written say nothing
    save(Checkpoint(**{**checkpoint.__dict__, "settings": {}}), tmp_path / "old.safetensors")
    old = load_generator(str(tmp_path / "old.safetensors"))
    assert (old.run_recipe, old.training_seed) == (None, None)
