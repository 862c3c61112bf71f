"""A gate from its first run on in every feature space with weights in a file: missing, accepted, pass, red."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.plugin.conftest import MODULE
from tests.toy_images import write_real_images

TEST = """
from pytest_medgan import assert_metric

def test_it(medgan_scores, medgan_baseline):
    assert_metric(medgan_scores, "{metric}", medgan_baseline.row("TOY").{metric})
"""


def drawn(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return random values for a network, such that what it computes does not vanish with depth."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            spread = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data = torch.randn(module.weight.shape, generator=random) * spread
    return dict(network.state_dict())


def fid_inception(folder: Path) -> str:
    """Write weights in torch-fidelity's layout and return the extractor's string."""
    pytest.importorskip("torch_fidelity")
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    torch.save(drawn(network), folder / "fid.pth")
    sha256 = hashlib.sha256((folder / "fid.pth").read_bytes()).hexdigest()
    return f"fid_inception,weights=fid.pth,sha256={sha256}"


def radimagenet(folder: Path) -> str:
    """Write weights in the layout of RadImageNet's release and return the extractor's string."""
    from torchvision.models import resnet50

    network = nn.Sequential(*list(resnet50(weights=None).children())[:9])
    torch.save({f"backbone.{name}": value for name, value in drawn(network).items()}, folder / "ResNet50.pt")
    return "radimagenet:resnet50,weights=ResNet50.pt"


def timm_folder(folder: Path) -> str:
    """Write a folder of timm's in the layout of the Hugging Face hub and return the extractor's string."""
    package = pytest.importorskip("timm")
    torch.manual_seed(0)
    package.models.save_for_hf(package.create_model("test_vit"), str(folder / "vit"), safe_serialization=True)
    return "timm:./vit"


def timm(folder: Path) -> str:
    """Write weights of timm's smallest transformer and return the extractor's string."""
    package = pytest.importorskip("timm")
    torch.manual_seed(0)
    torch.save(package.create_model("test_vit").state_dict(), folder / "vit.pth")
    return "timm:test_vit,weights=vit.pth"


# how to make a file, a metric that is not blind in it, real images a patient, and the spread of the changed model
SPACES = [
    pytest.param(fid_inception, "fid", 24, "0.5", id="fid_inception"),
    pytest.param(radimagenet, "improved_precision", 24, "40", id="radimagenet"),
    pytest.param(timm, "coverage", 32, "0.5", id="timm"),
    pytest.param(timm_folder, "coverage", 32, "0.5", id="timm folder"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "metric", "each", "spread"), SPACES)
def test_gate_in_a_space_from_a_file_goes_from_missing_over_pass_to_red(
    *,
    make: Callable[[Path], str],
    metric: str,
    each: int,
    spread: str,
    project: pytest.Pytester,
    accept: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.makepyfile(test_gate=TEST.format(metric=metric))
    write_real_images(project.path / "images.npz", MODULE, "blobs", each=each, first_seed=1000)
    options = (f"--medgan-extractor={make(project.path)}", f"--medgan-metrics={metric}", "--medgan-seeds=0")
    missing = project.runpytest(*options)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*", "*candidate: medgan-report*"])
    assert accept() == 0
    passed = project.runpytest(*options)
    passed.assert_outcomes(passed=1)
    passed.stdout.fnmatch_lines(["features: 0 images embedded, *"])
    monkeypatch.setenv("TOY_SPREAD", spread)
    changed = project.runpytest(*options)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*FAIL at *"])


def test_missing_weights_end_a_gate_before_anything_is_sampled(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    pytest.importorskip("torch_fidelity")
    result = project.runpytest("--medgan-extractor=fid_inception,weights=missing.pth")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*weights= names no file*"])
    assert not (tmp_path / "log").exists()
