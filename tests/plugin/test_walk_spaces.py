"""A gate from its first run on in every feature space with weights in a file: missing, accepted, pass, red."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.plugin.conftest import MODULE
from tests.toy_images import write_real_images

with suppress(ImportError):
    # an engine of InceptionV3 imports them inside a run; pytester would unload them, and they cannot be loaded twice
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401

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


def settle(network: nn.Module, images: torch.Tensor) -> None:
    """Give batch norms the moments of some images, as training does: features of random weights then tell images apart.

    Without them what images have in common grows from layer to layer, and what differs between them is lost.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for batch in images.split(16):
            network(batch)
    network.eval()


def toy_images(size: int, channels: int, *, levels: float) -> torch.Tensor:
    """Return 32 of the toy's images as a network gets them, float32 [32,channels,size,size] in -levels..levels."""
    names: dict[str, object] = {}
    exec(MODULE, names)
    blobs = names["blobs"]
    assert callable(blobs)
    grey = (torch.from_numpy(blobs(32, 7)).float() / 127.5 - 1.0) * levels
    return nn.functional.interpolate(grey, size=(size, size), mode="bilinear").expand(-1, channels, -1, -1)


def settled_inception() -> nn.Module:
    """Return torchvision's InceptionV3 with random values that tell the toy's images apart."""
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, aux_logits=False, init_weights=False)
    drawn(network)
    settle(network, toy_images(299, 3, levels=1.0))
    return network


def inception(folder: Path) -> str:
    """Write weights of torchvision's InceptionV3 and return the extractor's string."""
    torch.save(settled_inception().state_dict(), folder / "inception.pth")
    return "inception_v3,weights=inception.pth"


def random_inception(_: Path) -> str:
    """Return the string of the InceptionV3 that needs no file."""
    return "inception_v3,weights=random"


def radimagenet_inception(folder: Path) -> str:
    """Write weights in the layout of RadImageNet's InceptionV3 and return the extractor's string."""
    children = settled_inception().named_children()
    backbone = nn.Sequential(*[layer for name, layer in children if name not in ("avgpool", "dropout", "fc")])
    torch.save({f"backbone.{name}": value for name, value in backbone.state_dict().items()}, folder / "InceptionV3.pt")
    return "radimagenet:inception_v3,weights=InceptionV3.pt"


def xrv(folder: Path) -> str:
    """Write weights of torchxrayvision's DenseNet and return the extractor's string."""
    with warnings.catch_warnings():  # it silences the whole process's warnings when it is imported
        pytest.importorskip("torchxrayvision")
        from torchxrayvision.models import DenseNet

    network = DenseNet()
    drawn(network)
    settle(network.features, toy_images(224, 1, levels=1024.0))
    torch.save(network.state_dict(), folder / "xrv.pt")
    return "xrv:densenet121,weights=xrv.pt"


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
    pytest.param(radimagenet_inception, "improved_precision", 24, "40", id="radimagenet inception_v3"),
    pytest.param(inception, "improved_precision", 24, "40", id="inception_v3"),
    pytest.param(random_inception, "improved_precision", 24, "40", id="random inception_v3"),
    pytest.param(xrv, "fid", 24, "0.5", id="xrv"),
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


# the rows of the table in docs/concepts/feature-spaces.md, and the walks of each
WALKS = {
    "`compact`": ("tests/test_retrained_example.py",),
    "`fid_inception`": ("fid_inception",),
    "`inception_v3,weights=imagenet`": ("inception_v3",),  # as a file; the published one is not among the tests
    "`inception_v3,weights=FILE` from `medgan finetune`": ("inception_v3",),
    "`inception_v3,weights=random`": ("random inception_v3",),
    "`radimagenet:resnet50,weights=FILE`, `radimagenet:inception_v3,weights=FILE`": (
        "radimagenet",
        "radimagenet inception_v3",
    ),
    "`xrv:densenet121,weights=FILE`": ("xrv",),
    "`timm:MODEL`, `timm:./FOLDER`": ("timm", "timm folder"),
    "`package.module:callable`, `FILE.pt`, `FILE.pt2`": ("tests/plugin/test_walk.py",),
}


def test_every_row_of_the_documented_spaces_has_a_walk() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "concepts" / "feature-spaces.md").read_text()
    table = text.partition("| feature space | take it | because |\n")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[1:]]
    assert rows == list(WALKS)
    walks = {walk for several in WALKS.values() for walk in several}
    assert {walk for walk in walks if not (root / walk).is_file()} == {str(space.id) for space in SPACES}
