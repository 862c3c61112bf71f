from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.records import Evidence, TrainingRun
from pytest_medgan.report import ModelRecord
from pytest_medgan.report.images import contact_sheets, galleries, small_sheets, why_no_baseline_samples

Draw = Callable[..., Evidence]


def size_of(source: str) -> tuple[int, int]:
    """Width and height of an image in a data URI."""
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size


@pytest.fixture
def flat() -> Evidence:
    """Five generated images of 10 x 10, each of one grey level, of which two repeat and one is a copy."""
    images = np.stack([np.full((10, 10), 50 * i, np.uint8) for i in range(5)])
    return Evidence(
        thumbnails_fake=images,
        thumbnail_fake_index=np.arange(5),
        thumbnails_train=images[:1],
        thumbnail_train_index=np.array([7]),
        copies=np.array([[2, 7], [2, 8]]),
        duplicates=np.array([[0, 1], [1, 3]]),
        realism=np.array([0.5, 2.0, 0.25, 1.5, 1.5], np.float32),
        fake_in_real=np.array([False, True, False, True, True]),
    )


def test_contact_sheets_are_baseline_run_and_real(draw: Draw) -> None:
    evidence = draw("fair", include_real=True)
    sheets = contact_sheets(replace(evidence, thumbnails_baseline=evidence.thumbnails_fake))
    assert list(sheets) == ["Baseline", "This run", "Real"]
    assert sheets["Real"].alt == "Real: 48 real images of different patients in 8 columns"
    assert sheets["This run"].alt == "This run: 48 generated images in 8 columns"
    assert size_of(sheets["This run"].source) == (8 * 130 - 2, 6 * 130 - 2)
    assert list(contact_sheets(draw("fair"))) == ["This run"]
    assert contact_sheets(Evidence()) == {}


def test_small_sheets_show_twelve_images_and_those_at_fault(draw: Draw, flat: Evidence) -> None:
    small = small_sheets(draw("fair"))
    assert size_of(small["This run"].source) == (4 * 130 - 2, 3 * 130 - 2)
    faults = small_sheets(flat)
    assert list(faults) == ["This run", "Least realistic", "Suspected copies", "Repeated"]
    assert faults["Least realistic"].alt == "Least realistic: 2 generated images in 2 columns"


def test_large_small_sheets_show_four_images(draw: Draw) -> None:
    assert size_of(small_sheets(draw("fair"), large=True)["This run"].source) == (2 * 130 - 2, 2 * 130 - 2)


def test_gallery_of_copies_counts_images_and_shows_both(flat: Evidence) -> None:
    copies = next(g for g in galleries(flat) if g.anchor == "copies")
    assert copies.title == "Suspected copies of training images (1)"
    assert copies.metric == "copy_rate"
    assert [tile.caption for tile in copies.tiles] == ["No. 2 and training image 7", "No. 2 and training image 8"]
    assert [shown.alt for shown in copies.tiles[0].images] == ["generated image 2", "training image 7"]
    assert len(copies.tiles[1].images) == 1


def test_gallery_of_duplicates_shows_one_image_per_group(flat: Evidence) -> None:
    duplicates = next(g for g in galleries(flat) if g.anchor == "duplicates")
    assert duplicates.title == "Repeated images (3)"
    (tile,) = duplicates.tiles
    assert tile.caption == "3 times (No. 0)"
    assert len(tile.images) == 1


def test_gallery_of_outliers_counts_what_lies_outside(flat: Evidence) -> None:
    outside = next(g for g in galleries(flat) if g.anchor == "outside")
    assert outside.title == "Least realistic images (2 of 5 lie outside, 40%)"
    assert [tile.caption for tile in outside.tiles] == ["No. 2, realism 0.25", "No. 0, realism 0.50"]
    assert "nearest real image is shown" not in outside.text


def test_gallery_of_outliers_shows_the_nearest_real_image(flat: Evidence) -> None:
    with_real = replace(
        flat,
        thumbnails_real=flat.thumbnails_fake,
        thumbnail_real_index=np.array([11, 12, 13, 14, 15]),
        nearest_real=np.array([11, 12, 13, 14, 15]),
    )
    outside = next(g for g in galleries(with_real) if g.anchor == "outside")
    assert [shown.alt for shown in outside.tiles[0].images] == ["generated image 2", "nearest real image 13"]
    assert "nearest real image is shown" in outside.text


def test_gallery_without_images_is_absent() -> None:
    assert galleries(Evidence()) == ()


def test_absent_baseline_samples_are_explained(make_model: Callable[..., ModelRecord]) -> None:
    model = make_model()
    assert model.baseline is not None
    same = replace(model, checkpoint="a", baseline=replace(model.baseline, runs=(TrainingRun("a"),)))
    assert "measured on this same model" in why_no_baseline_samples(same)
    assert "no baseline yet" in why_no_baseline_samples(replace(model, baseline=None))
    assert "not available" in why_no_baseline_samples(model)
