"""Weights from files: named by their values, and refused with one line when anything is wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pytest_medgan.embedding import weights
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.state_files import digest_state
from pytest_medgan.embedding.weights import FORMAT, Weights, imagenet_file, load_weights
from pytest_medgan.errors import ExtractorError

State = dict[str, Tensor]


def weights_of(file: Path) -> Weights:
    return load_weights(ExtractorSpec("inception_v3", weights=str(file)), None)


@pytest.fixture(scope="module")
def state(network: nn.Module) -> State:
    return {name: value.contiguous() for name, value in network.state_dict().items()}


def test_state_dict_and_safetensors_of_equal_values_have_one_identity(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "a.pth")
    metadata = {"format": FORMAT, "patients": json.dumps(["P1", "P2"]), "normalisation": "symmetric"}
    save_file(state, tmp_path / "b.safetensors", metadata)
    first, second = weights_of(tmp_path / "a.pth"), weights_of(tmp_path / "b.safetensors")
    assert first.identity == second.identity
    assert second.patients == {"P1", "P2"}
    assert second.normalisation == "symmetric"
    assert torch.equal(first.network.state_dict()["fc.weight"], state["fc.weight"])
    assert not first.network.training


def test_one_changed_weight_changes_the_digest(state: State) -> None:
    changed = dict(state)
    changed["fc.bias"] = state["fc.bias"] + torch.tensor([0.0, 1e-6])
    assert digest_state(changed) != digest_state(state)
    assert digest_state({**state, "AuxLogits.fc.weight": torch.ones(1)}) == digest_state(state)


def test_digest_of_equal_values_under_another_name_or_shape_differs() -> None:
    states = ({"a": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {"b": torch.zeros(2, 3)})
    assert len({digest_state(state) for state in states}) == 3


class _Payload:
    """Runs code when it is unpickled, which must not happen."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, ("raise SystemExit('the pickle was executed')",)


def _foreign(state: State, file: Path) -> None:
    save_file(state, file.with_suffix(".safetensors"))


FAULTS: dict[str, tuple[str, Callable[[State, Path], object], str]] = {
    "missing": (".pth", lambda state, file: None, "names no file"),
    "pickle with code": (".pth", lambda state, file: file.write_bytes(pickle.dumps(_Payload())), "no plain state_dict"),
    "garbage": (".pth", lambda state, file: file.write_bytes(b"\x00" * 100), "no plain state_dict"),
    "empty": (".pth", lambda state, file: file.write_bytes(b""), "no plain state_dict"),
    "not tensors": (".pth", lambda state, file: torch.save({"fc.weight": [1, 2]}, file), "other than tensors"),
    "another network": (".pth", lambda state, file: torch.save({"conv.weight": torch.ones(1)}, file), "fc.weight"),
    "one layer short": (
        ".pth",
        lambda state, file: torch.save({k: v for k, v in state.items() if "Mixed_7c" not in k}, file),
        "do not fit",
    ),
    "NaN": (
        ".pth",
        lambda state, file: torch.save({**state, "fc.bias": torch.full((2,), float("nan"))}, file),
        "NaN",
    ),
    "foreign safetensors": (".safetensors", _foreign, "no InceptionV3 of this package"),
    "truncated safetensors": (".safetensors", lambda state, file: file.write_bytes(b"\x10" + b"\x00" * 9), "readable"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_unusable_file_is_one_line_without_its_path(fault: str, state: State, tmp_path: Path) -> None:
    suffix, make, word = FAULTS[fault]
    file = tmp_path / f"LUNG1-001{suffix}"
    make(state, file)
    with pytest.raises(ExtractorError, match=word) as caught:
        weights_of(file)
    assert "LUNG1-001" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.file == str(file)


# ---------------------------------------------------------------------------------------------------------- ImageNet


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_failed_download_says_which_file_to_put_where(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ExtractorError, match=r"Put inception_v3_google-0cc3c7bd.pth from https://.* into \$TORCH_HOME"):
        load_weights(ExtractorSpec("inception_v3"), None)


def test_download_with_another_hash_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise RuntimeError('invalid hash value (expected "0cc3c7bd", got "ffff")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", wrong)
    with pytest.raises(ExtractorError, match="does not have SHA-256 0cc3c7bd"):
        load_weights(ExtractorSpec("inception_v3"), None)


def test_existing_file_with_another_hash_is_refused(hub: Path) -> None:
    """torch.hub checks the hash while it downloads only."""
    hub.mkdir()
    imagenet_file().write_bytes(b"not the weights")
    with pytest.raises(ExtractorError, match=r"instead of 0cc3c7bd\. Delete the file"):
        load_weights(ExtractorSpec("inception_v3"), None)


def test_imagenet_file_is_loaded_without_its_auxiliary_classifier(
    hub: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights take the place of ImageNet's, under their own hash."""
    hub.mkdir()
    made = hub / "made.pth"
    torch.save({**network.state_dict(), "AuxLogits.fc.bias": torch.zeros(2)}, made)
    name = f"inception_v3-{hashlib.sha256(made.read_bytes()).hexdigest()[:8]}.pth"
    made.rename(hub / name)
    monkeypatch.setattr(weights, "imagenet_file", lambda: hub / name)
    loaded = load_weights(ExtractorSpec("inception_v3"), None)
    assert loaded.identity == f"imagenet:{digest_state(network.state_dict())}"
