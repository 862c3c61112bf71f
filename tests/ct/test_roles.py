"""Roles, and what would make them share a patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.ct.findings import LEAK
from pytest_medgan.ct.roles import divide
from pytest_medgan.ct.store import ImageSettings, Prepared
from pytest_medgan.errors import LeakageError
from pytest_medgan.records import DataSettings


@pytest.fixture
def prepared() -> Prepared:
    """Eight patients of three images."""
    random = np.random.default_rng(0)
    return Prepared(
        pixels=random.integers(0, 256, (24, 1, 8, 8), np.uint8),
        groups=np.repeat([f"p{number}" for number in range(8)], 3),
        labels=np.repeat([0, 1], 12).astype(np.int8),
        window=(-1000.0, 400.0),
        settings=ImageSettings.of(DataSettings(slices=3), "image"),
        digest="0" * 64,
        warnings=(),
        counts={"files": 24},
    )


def test_divide_keeps_each_image_with_its_patient_and_label(prepared: Prepared) -> None:
    real = divide(prepared, DataSettings())
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [12, 6, 6]
    known = {image.tobytes(): at for at, image in enumerate(prepared.pixels)}
    for side in (real.training, real.reference, real.held_out):
        assert side.labels is not None
        for image, group, label in zip(side.pixels, side.groups, side.labels, strict=True):
            at = known.pop(image.tobytes())
            assert (group, label) == (prepared.groups[at], prepared.labels[at])
    assert not known
    assert real.settings.crop == "image"
    assert real.settings.slices == 3


def test_divide_identical_images_of_two_patients_are_leakage(prepared: Prepared) -> None:
    real = divide(prepared, DataSettings())
    first = prepared.groups.tolist().index(real.training.groups[0])
    second = prepared.groups.tolist().index(real.reference.groups[0])
    pixels = prepared.pixels.copy()
    pixels[second] = pixels[first]
    with pytest.raises(LeakageError, match="2 images are identical"):
        divide(replace(prepared, pixels=pixels), DataSettings())
    pixels[first] = pixels[second] = 7  # a flat image, such as air, proves nothing
    divide(replace(prepared, pixels=pixels), DataSettings())


def test_divide_copies_within_one_role_are_not_leakage(prepared: Prepared) -> None:
    pixels = prepared.pixels.copy()
    pixels[1] = pixels[0]
    real = divide(replace(prepared, pixels=pixels), DataSettings())
    assert real.warnings == ()
    assert sum(len(side) for side in (real.training, real.reference, real.held_out)) == len(pixels)


def test_divide_leak_found_by_the_reader_raises(prepared: Prepared) -> None:
    suspected = replace(prepared, warnings=(f"{LEAK}: 2 PatientIDs share a study or an image with another",))
    with pytest.raises(LeakageError, match=r"^2 PatientIDs share a study or an image with another\. Give one person"):
        divide(suspected, DataSettings())
    real = divide(suspected, DataSettings(split="slice"))
    assert real.warnings[0] == suspected.warnings[0]
    assert len(real.warnings) == 2


def test_divide_recipes_name_source_role_and_split(prepared: Prepared) -> None:
    one, other = divide(prepared, DataSettings()), divide(replace(prepared, digest="1" * 64), DataSettings())
    recipes = [side.recipe for real in (one, other) for side in (real.training, real.reference, real.held_out)]
    assert len(set(recipes)) == 6
    slices = divide(prepared, DataSettings(split="slice"))
    fractions = divide(prepared, DataSettings(split="slice", fractions=(0.4, 0.3, 0.3)))
    assert slices.digest == fractions.digest  # they play no part there


def test_divide_digest_of_unequal_patients_depends_on_the_dealing(prepared: Prepared) -> None:
    """Dealing by images gives other roles than dealing by patients once did; equal patients keep their name."""
    assert divide(prepared, DataSettings()).digest == (
        "03f5f21967a19271f2b031e504d6269e114a7305ea461c6b3f873b2643b8f52d"
    )
    shorter = replace(prepared, pixels=prepared.pixels[1:], groups=prepared.groups[1:], labels=prepared.labels[1:])
    assert divide(shorter, DataSettings()).digest != divide(prepared, DataSettings()).digest


def test_divide_patient_with_most_images_is_warned_of(prepared: Prepared) -> None:
    groups = prepared.groups.copy()
    groups[3:18] = groups[3]
    dominated = replace(prepared, groups=groups)
    (warning,) = divide(dominated, DataSettings()).warnings
    assert warning.startswith("one of 4 patients has 62% of the images")
