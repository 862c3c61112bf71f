"""torchxrayvision's DenseNet from a state_dict with random values, against its own features."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet


@pytest.fixture(scope="module")
def package() -> Any:
    with warnings.catch_warnings():
        return pytest.importorskip("torchxrayvision", exc_type=ImportError)


@pytest.fixture(scope="module")
def network(package: Any) -> Any:
    torch.manual_seed(0)
    return package.models.DenseNet().eval()


@pytest.fixture
def file(network: Any, tmp_path: Path) -> Path:
    torch.save(network.state_dict(), tmp_path / "xrv.pth")
    return tmp_path / "xrv.pth"


def test_features_equal_torchxrayvisions_own(
    package: Any, network: Any, file: Path, make_images: Callable[..., ImageSet]
) -> None:
    images = make_images(3, size=64)
    space = load_extractor(f"xrv:densenet121,weights={file},batch=2")
    assert space.channels == {1}
    embedded = embed_images(space, images)
    grey = torch.from_numpy(np.stack([package.utils.normalize(image, 255) for image in images.pixels]))
    grey = torch.nn.functional.interpolate(grey, size=(224, 224), mode="bilinear")
    with torch.inference_mode():
        expected = network.features2(grey).numpy()
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-4, atol=1e-5 * float(abs(expected).max()))
    assert embedded.features.shape == (3, 1024)
    assert embedded.features.std(0).max() > 0.01 * abs(expected).mean()  # the images differ in it
    assert embedded.probabilities is None
    assert np.array_equal(embed_images(space, images).features, embedded.features)


def test_thresholds_and_classifier_are_left_out(network: Any, file: Path, tmp_path: Path) -> None:
    published = {**network.state_dict(), "op_threshs": torch.zeros(18), "classifier.bias": torch.ones(18)}
    torch.save(published, tmp_path / "published.pth")
    first, second = (load_extractor(f"xrv:densenet121,weights={f}") for f in (file, tmp_path / "published.pth"))
    assert first.identity == second.identity


@pytest.mark.parametrize(
    ("fault", "word"),
    [("a pickled network", "no plain state_dict"), ("another network", "do not fit"), ("missing", "names no file")],
)
def test_file_that_does_not_fit_is_one_line(fault: str, word: str, network: Any, file: Path) -> None:
    if fault == "a pickled network":  # what torchxrayvision publishes
        torch.save(network, file)
    if fault == "another network":
        torch.save({"features.conv0.weight": torch.ones(1)}, file)
    if fault == "missing":
        file.unlink()
    with pytest.raises(ExtractorError, match=word) as caught:
        load_extractor(f"xrv:densenet121,weights={file}")
    assert "\n" not in str(caught.value)
    assert str(file) not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("xrv:densenet121", "Give weights=FILE"),
        ("xrv:resnet50,weights=a.pth", "Give xrv:densenet121"),
        ("xrv:densenet121,weights=a.pth,size=512", "weights=, sha256= and batch="),
    ],
)
def test_unusable_string_is_one_line(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision.models", None)
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(ExtractorError, match=r"pytest-medgan\[xrv\]"):
        load_extractor("xrv:densenet121,weights=a.pth")


def test_loading_changes_neither_random_numbers_nor_warning_filters(file: Path) -> None:
    torch.manual_seed(3)
    expected, filters = torch.rand(2), list(warnings.filters)
    torch.manual_seed(3)
    load_extractor(f"xrv:densenet121,weights={file}")
    assert torch.equal(torch.rand(2), expected)
    assert warnings.filters == filters
