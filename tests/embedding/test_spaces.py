"""Other feature spaces by one string."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.embedding import canary, embed_images, load_extractor
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet
from tests.shared_data import shared_data

HERE = Path(__file__).parent


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory of a user whose module lies in it."""
    monkeypatch.chdir(HERE)
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.usefixtures("here")
def test_a_function_is_a_feature_space(make_images: Callable[..., ImageSet]) -> None:
    images = make_images(70, size=16)
    extractor = load_extractor("own_spaces:block_means,batch=16")
    embedded = embed_images(extractor, images)
    expected = images.pixels.reshape(70, 4, 4, 4, 4).mean((2, 4)).reshape(70, 16)
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-6)
    assert embedded.probabilities is None
    assert extractor.identity.startswith("own_spaces:block_means;source ")
    assert len(canary(extractor)) == 128


@pytest.mark.usefixtures("here")
def test_a_function_may_name_itself_and_give_probabilities(make_images: Callable[..., ImageSet]) -> None:
    extractor = load_extractor("own_spaces:named")
    assert extractor.identity == "my space, version 2"
    embedded = embed_images(extractor, make_images(3, size=16))
    assert embedded.probabilities is not None
    assert embedded.probabilities.shape == (3, 2)


@pytest.mark.usefixtures("here")
def test_squeezenet_is_a_feature_space(make_images: Callable[..., ImageSet], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained features tell large discs from small ones: nearest neighbours mostly share the label."""
    monkeypatch.setenv("MEDGAN_SHARED_DATA", str(shared_data("weights").parent))
    images = make_images(60)
    features = embed_images(load_extractor("own_spaces:SqueezeNet"), images).features
    assert features.shape == (60, 512)
    away = ((features[:, None] - features[None]) ** 2).sum(2)
    np.fill_diagonal(away, np.inf)
    assert images.labels is not None
    assert (images.labels[away.argmin(1)] == images.labels).mean() > 0.7


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("own_spaces:missing", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("own_spaces:NUMBER", "is no function"),
        ("own_spaces:Nameless", "identity"),
        ("own_spaces:block_means,weights=random", "takes no key"),
        ("../own spaces:f", "no such feature space"),
    ],
)
def test_what_cannot_be_loaded_is_said(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


@pytest.mark.usefixtures("here")
def test_a_wrong_count_is_noticed_before_batches_are_joined(make_images: Callable[..., ImageSet]) -> None:
    with pytest.raises(ExtractorError, match="64 images"):
        embed_images(load_extractor("own_spaces:wrong_count"), make_images(70, size=16))


class Means(nn.Module):
    """uint8 [N,1,H,W] => [N,W], and two probabilities."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = pixels.float().mean((1, 2))
        return features, torch.softmax(features[:, :2] / 50, 1)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_file_is_a_feature_space(suffix: str, make_images: Callable[..., ImageSet], tmp_path: Path) -> None:
    images, file = make_images(5, size=16), tmp_path / f"means{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and still what many have
        example = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
        if suffix == ".pt":
            torch.jit.trace(Means(), example).save(str(file))
        else:
            shapes = ({0: torch.export.Dim("n", min=1, max=4096)},)
            torch.export.save(torch.export.export(Means(), (example,), dynamic_shapes=shapes), file)
    extractor = load_extractor(str(file))
    embedded = embed_images(extractor, images)
    np.testing.assert_allclose(embedded.features, images.pixels.mean((1, 2)), rtol=1e-5)
    assert embedded.probabilities is not None
    assert extractor.identity.startswith(f"{suffix[1:]};")


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(ExtractorError, match="neither TorchScript") as caught:
            load_extractor(str(tmp_path / name))
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ExtractorError, match="names no file"):
        load_extractor(str(tmp_path / "missing.pt"))
