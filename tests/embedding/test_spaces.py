"""Feature spaces of the user's own, by one string."""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.embedding import canary, embed_images, load_extractor
from pytest_medgan.embedding.kinds import try_space
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import ImageSet
from tests.shared_data import shared_data

HERE = Path(__file__).parent


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder that holds the user's module."""
    monkeypatch.chdir(HERE)
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.usefixtures("here")
def test_function_is_a_feature_space(make_images: Callable[..., ImageSet]) -> None:
    images = make_images(70, size=16)
    extractor = load_extractor("own_spaces:block_means,batch=16")
    embedded = embed_images(extractor, images)
    expected = images.pixels.reshape(70, 4, 4, 4, 4).mean((2, 4)).reshape(70, 16)
    np.testing.assert_allclose(embedded.features, expected, rtol=1e-6)
    assert embedded.probabilities is None
    assert extractor.identity.startswith("own_spaces:block_means;source ")
    assert len(canary(extractor)) == 128


@pytest.mark.usefixtures("here")
def test_function_may_have_an_identity_and_give_probabilities(make_images: Callable[..., ImageSet]) -> None:
    extractor = load_extractor("own_spaces:named")
    assert extractor.identity == "my space, version 2"
    embedded = embed_images(extractor, make_images(3, size=16))
    assert embedded.probabilities is not None
    assert embedded.probabilities.shape == (3, 2)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["reusing", "Reusing", "rows", "plain_rows", "network"])
def test_features_are_right_in_each_form(name: str, make_images: Callable[..., ImageSet]) -> None:
    """One array for all batches, and lists, which may hold the rows of two images."""
    images = make_images(150, size=16)
    extractor = load_extractor(f"own_spaces:{name}")
    try_space(extractor, images.pixels)
    expected = images.pixels.reshape(150, 4, 4, 4, 4).mean((2, 4)).reshape(150, 16)
    np.testing.assert_allclose(embed_images(extractor, images).features, expected, rtol=1e-6)


@pytest.mark.usefixtures("here")
def test_complex_features_are_refused(make_images: Callable[..., ImageSet]) -> None:
    with pytest.raises(ExtractorError, match="complex numbers"):
        embed_images(load_extractor("own_spaces:complex_numbers"), make_images(3, size=16))


@pytest.mark.usefixtures("here")
def test_identity_of_a_callable_object_may_be_a_property(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise features of other weights would be read from the store."""
    extractor = load_extractor("own_spaces:of_its_weights")
    assert extractor.identity == "weight 1.0"
    monkeypatch.setattr(sys.modules["own_spaces"].OfItsWeights, "weight", 2.0)
    assert load_extractor("own_spaces:of_its_weights").identity == "weight 2.0"


@pytest.mark.usefixtures("here")
def test_identity_of_a_network_follows_its_weights() -> None:
    first = load_extractor("own_spaces:network").identity
    assert load_extractor("own_spaces:network").identity == first
    scale = sys.modules["own_spaces"].network.scale
    with torch.no_grad():
        scale.fill_(2.0)
        assert load_extractor("own_spaces:network").identity != first
        scale.fill_(1.0)


@pytest.mark.usefixtures("here")
def test_trained_object_separates_large_discs_from_small_ones(
    make_images: Callable[..., ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearest neighbours mostly share the label."""
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
        ("own_spaces:missing", "has no such name"),
        ("no_such_module:f", "cannot be imported"),
        ("own_spaces:NUMBER", "is no function"),
        ("own_spaces:Nameless", "identity"),
        ("own_spaces:block_means,weights=random", "own weights and preparation"),
        ("../own spaces:f", "name is unknown"),
    ],
)
def test_unusable_name_is_an_error(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import no_such_package",
            "The module of the extractor 'mine:Space' needs the Python module 'no_such",
        ),
        ("x = {}['/data/P1']", r"extractor 'mine:Space' raises KeyError on import \(mine.py, line 1\)\. Correct it"),
        ("class Space(\n", r"raises SyntaxError on import \(mine.py, line 1\)"),
        (
            "class Space:\n    def __init__(self):\n        open('/data/P1')\n",
            r"The extractor 'mine:Space' raises FileNotFoundError while it is built \(mine.py, line 3\)",
        ),
    ],
)
def test_what_a_users_module_raises_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    with pytest.raises(ExtractorError, match=words) as caught:
        load_extractor("mine:Space")
    assert "P1" not in str(caught.value)


@pytest.mark.usefixtures("here")
def test_wrong_count_in_a_batch_is_an_error(make_images: Callable[..., ImageSet]) -> None:
    with pytest.raises(ExtractorError, match="64 images"):
        embed_images(load_extractor("own_spaces:wrong_count"), make_images(70, size=16))


class Means(nn.Module):
    """uint8 [N,1,H,W] => [N,W], and two probabilities."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = pixels.float().mean((1, 2))
        return features, torch.softmax(features[:, :2] / 50, 1)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_exported_file_is_a_feature_space(suffix: str, make_images: Callable[..., ImageSet], tmp_path: Path) -> None:
    images, file = make_images(5, size=16), tmp_path / f"means{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated and still in use
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


def test_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(ExtractorError, match="neither TorchScript") as caught:
            load_extractor(str(tmp_path / name))
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ExtractorError, match="names no file"):
        load_extractor(str(tmp_path / "missing.pt"))


class Reader(nn.Module):
    """Opens a file when it is called."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.from_file("stolen", True, 4) + pixels.float().mean()


def test_torchscript_that_opens_files_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Reader()).save(str(tmp_path / "reader.pt"))
    with pytest.raises(ExtractorError, match="aten::from_file, which opens files"):
        load_extractor(str(tmp_path / "reader.pt"))


class _Payload:
    """Writes a file when it is unpickled, which must not happen."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)


def test_exported_program_with_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    shapes = ({0: torch.export.Dim("n", min=1, max=4096)},)
    example = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    torch.export.save(torch.export.export(Means(), (example,), dynamic_shapes=shapes), tmp_path / "good.pt2")
    poisoned = 0
    with zipfile.ZipFile(tmp_path / "good.pt2") as good, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if "sample_inputs" in name and name.endswith(".pt"):
                buffer = io.BytesIO()
                torch.save(_Payload(tmp_path / "executed"), buffer)
                content, poisoned = buffer.getvalue(), poisoned + 1
            bad.writestr(name, content)
    assert poisoned
    with pytest.raises(ExtractorError):
        load_extractor(str(tmp_path / "bad.pt2"))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def space(pixels, more): pass", "cannot be called with the images alone"),
        ("def space(): pass", "cannot be called with the images alone"),
        ("def space(pixels): return 'text'", "returned a str that is no array of numbers"),
        ("def space(pixels): return [[1.0], [1.0, 2.0]] * len(pixels), None", "returned a list that is no array"),
    ],
)
def test_function_that_is_no_extractor_is_refused_in_plain_words(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_spaces.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_spaces", raising=False)
    with pytest.raises(ExtractorError, match=said):
        load_extractor("odd_spaces:space").embed(np.zeros((4, 1, 8, 8), np.uint8))
