"""The network of FID in the literature, through torch-fidelity, against torch-fidelity's own figures."""

from __future__ import annotations

import hashlib
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pytest_medgan.embedding import embed_images, fid_inception, load_extractor
from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.errors import ExtractorError
from pytest_medgan.metrics import frechet_distance, inception_score
from pytest_medgan.records import ImageSet

State = dict[str, Tensor]


@pytest.fixture(scope="module", autouse=True)
def _package() -> None:
    pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def state(network: nn.Module) -> State:
    """Random values in the layout of the published file: torchvision's names, and 1008 classes."""
    random = torch.Generator().manual_seed(0)
    head = {"fc.weight": torch.randn(1008, 2048, generator=random) / 20, "fc.bias": torch.randn(1008, generator=random)}
    return {**{name: value.contiguous() for name, value in network.state_dict().items()}, **head}


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(state, made)
    return made


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def space(file: Path) -> FeatureSpace:
    return load_extractor(f"fid_inception,weights={file},sha256={sha256_of(file)},batch=8")


class Colour(torch.utils.data.Dataset[Tensor]):
    """Images as torch-fidelity takes them: uint8 [3,H,W]."""

    def __init__(self, images: ImageSet) -> None:
        self._pixels = torch.from_numpy(images.pixels).expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self._pixels[index].contiguous()


def measured_by_torch_fidelity(file: Path, images: ImageSet, others: ImageSet | None = None) -> dict[str, float]:
    """Return the inception score of the images, or the FID between them and others, by calculate_metrics."""
    from torch_fidelity import calculate_metrics

    found: dict[str, float] = calculate_metrics(
        input1=Colour(images),
        input2=None if others is None else Colour(others),
        isc=others is None,
        fid=others is not None,
        isc_splits=1,
        batch_size=8,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        feature_extractor_weights_path=str(file),
    )
    return found


def test_features_and_inception_score_equal_torch_fidelitys(
    space: FeatureSpace, file: Path, make_images: Callable[..., ImageSet]
) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    images = make_images(6, size=48)
    embedded = embed_images(space, images)
    network = FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=str(file))
    with torch.inference_mode():
        (expected,) = network(torch.from_numpy(images.pixels).expand(-1, 3, -1, -1))
    np.testing.assert_allclose(embedded.features, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert embedded.features.shape == (6, 2048)
    assert embedded.probabilities is not None
    assert embedded.probabilities.shape == (6, 1008)
    score = inception_score(probabilities=embedded.probabilities, splits=1)
    theirs = measured_by_torch_fidelity(file, images)["inception_score_mean"]
    assert score == pytest.approx(theirs, rel=1e-5)
    assert score > 1.01  # otherwise any probabilities would agree


@pytest.mark.slow
@pytest.mark.peer
def test_fid_equals_torch_fidelitys_and_differs_from_torchvisions(
    space: FeatureSpace, inception: FeatureSpace, file: Path, make_images: Callable[..., ImageSet]
) -> None:
    """All measure the same images with the same values; torchvision's network pools and resizes in another way."""
    real, fake = make_images(48, size=64), make_images(48, size=64, seed=1)
    fake.pixels[:] = fake.pixels // 2
    theirs = measured_by_torch_fidelity(file, real, fake)["frechet_inception_distance"]
    ours = frechet_distance(real=embed_images(space, real).features, fake=embed_images(space, fake).features)
    assert ours == pytest.approx(theirs, rel=1e-4)
    torchvisions = (embed_images(inception, images).features for images in (real, fake))
    assert frechet_distance(real=next(torchvisions), fake=next(torchvisions)) != pytest.approx(theirs, rel=1e-2)


def test_torchvisions_network_gives_other_features_with_the_same_values(
    space: FeatureSpace,
    inception: FeatureSpace,
    make_images: Callable[..., ImageSet],
    relative_gap: Callable[..., float],
) -> None:
    images = make_images(2, size=64)
    assert relative_gap(embed_images(space, images).features, embed_images(inception, images).features) > 1e-2


def test_image_does_not_depend_on_its_batch(space: FeatureSpace, make_images: Callable[..., ImageSet]) -> None:
    images = make_images(3, size=32)
    together, _ = space.embed(images.pixels)
    alone = np.concatenate([space.embed(images.pixels[i : i + 1])[0] for i in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    again, _ = space.embed(images.pixels)
    assert np.array_equal(together, again)


def test_identity_follows_the_values_and_not_their_file(state: State, space: FeatureSpace, tmp_path: Path) -> None:
    copy, changed = tmp_path / "copy.safetensors", tmp_path / "changed.pth"
    save_file(state, copy)
    torch.save({**state, "fc.bias": state["fc.bias"] + 1e-3}, changed)
    same, other = (load_extractor(f"fid_inception,weights={f},sha256={sha256_of(f)[:8]}") for f in (copy, changed))
    assert same.identity == space.identity
    assert other.identity != space.identity
    assert "other weights than the published" in same.summary


def test_file_without_the_published_hash_is_refused_until_its_own_is_given(file: Path) -> None:
    with pytest.raises(ExtractorError, match=rf"instead of 6726825d\. .* sha256={sha256_of(file)}") as caught:
        load_extractor(f"fid_inception,weights={file}")
    assert caught.value.file == str(file)
    with pytest.raises(ExtractorError, match="instead of aaaaaaaa"):
        load_extractor(f"fid_inception,weights={file},sha256=aaaaaaaa")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("name", [fid_inception.URL.rsplit("/", 1)[-1], fid_inception.OTHER_NAME])
def test_published_file_is_found_under_either_name(
    name: str, hub: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights take the place of the published, under their own hash."""
    (hub / name).write_bytes(file.read_bytes())
    monkeypatch.setattr(fid_inception, "SHA256", sha256_of(file))
    assert load_extractor("fid_inception").summary == "fid_inception, published"


def test_failed_download_says_which_file_to_put_where(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ExtractorError, match=r"Put weights-inception-2015-12-05-6726825d.pth from https://.* into"):
        load_extractor("fid_inception")


class _Payload:
    """Runs code when it is unpickled, which must not happen."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, ("raise SystemExit('the pickle was executed')",)


FAULTS: dict[str, tuple[Callable[[State, Path], object], str]] = {
    "missing": (lambda state, file: None, "names no file"),
    "pickle with code": (lambda state, file: file.write_bytes(pickle.dumps(_Payload())), "no plain state_dict"),
    "torchvision's head": (
        lambda state, file: torch.save({**state, "fc.weight": torch.ones(1000, 2048)}, file),
        "do not fit fid_inception",
    ),
    "NaN": (lambda state, file: torch.save({**state, "fc.bias": torch.full((1008,), torch.nan)}, file), "NaN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_unusable_file_is_one_line_without_its_path(
    fault: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, word = FAULTS[fault]
    file = tmp_path / "LUNG1-001.pth"
    make(state, file)
    if file.exists():
        monkeypatch.setattr(fid_inception, "SHA256", sha256_of(file))
    with pytest.raises(ExtractorError, match=word) as caught:
        load_extractor(f"fid_inception,weights={file}")
    assert "LUNG1-001" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("fid_inception,weights=random", "no reproducible random weights"),
        ("fid_inception,precision=tf32", "weights=, sha256= and batch="),
        ("fid_inception,sha256=6726825d", "weights= names none"),
    ],
)
def test_unusable_keys_are_one_line(spec: str, word: str) -> None:
    with pytest.raises(ExtractorError, match=word):
        load_extractor(spec)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ExtractorError, match=r"pytest-medgan\[fidelity\]"):
        load_extractor("fid_inception")


def test_loading_changes_neither_random_numbers_nor_warning_filters(file: Path) -> None:
    torch.manual_seed(3)
    expected, filters = torch.rand(2), list(warnings.filters)
    torch.manual_seed(3)
    load_extractor(f"fid_inception,weights={file},sha256={sha256_of(file)}")
    assert torch.equal(torch.rand(2), expected)
    assert warnings.filters == filters
