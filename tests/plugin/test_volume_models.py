"""Generators of volumes, as a user gates them: MISSING, accepted, PASS, and red where the volumes are blurred."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")

VOLUMES = '''
"""Volumes of eight planes: a bright blob that lies anywhere and is seen on every plane; the model's are brighter."""
import os

import numpy as np
from scipy.ndimage import gaussian_filter

def volume(number, spread, grey=0.0):
    rng = np.random.default_rng([number, 78])
    planes, rows, columns = np.mgrid[:8, :32, :32]
    row, column = 16 + spread * (rng.random(2) - 0.5)
    distance = (planes - 3.5) ** 2 + (rows - row) ** 2 + (columns - column) ** 2
    return 60 + grey + 140 * np.exp(-distance / 60) + rng.normal(0, 4, (8, 32, 32))

def draw(count, seed):
    volumes = np.stack([volume(1000 * (seed + 1) + at, 4, 45.0) for at in range(count)])
    blur = float(os.environ.get("TOY_BLUR", 0))
    volumes = gaussian_filter(volumes, (0, 0, blur, blur)) if blur else volumes
    return np.clip(np.rint(volumes), 0, 255).astype(np.uint8)[:, None]

draw.volume_shape = (8, 32, 32)
draw.identity = "toy volumes " + os.environ.get("TOY_BLUR", "0")
'''


def toy() -> dict[str, Callable[..., np.ndarray]]:
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(VOLUMES, names)
    return names


def write_nifti(path: Path, grey: np.ndarray) -> None:
    """Write a volume [head,back,left] of grey levels in the HU of the default window."""
    hounsfield = np.rint(grey * 1400 / 255 - 1000).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(hounsfield.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])), path)


@pytest.fixture
def volumes(project: pytest.Pytester) -> pytest.Pytester:
    """Return the project with a folder of 32 real volumes and a module that draws volumes."""
    project.makepyfile(volumes=VOLUMES)
    folder = project.mkdir("scans")
    for number in range(32):
        write_nifti(folder / f"scan-{number:02d}.nii.gz", np.clip(toy()["volume"](number, 12), 0, 255))
    return project


def write_made(folder: Path, monkeypatch: pytest.MonkeyPatch, blur: float) -> None:
    """Write 96 generated volumes."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("TOY_BLUR", str(blur))
    for number, volume in enumerate(toy()["draw"](96, 0)[:, 0]):
        write_nifti(folder / f"sample-{number:02d}.nii.gz", volume.astype(np.float64))


def write_network(folder: Path, monkeypatch: pytest.MonkeyPatch, blur: float) -> None:
    """Write a TorchScript file of the principal components of 96 volumes."""
    import torch
    from torch import nn

    class Components(nn.Module):
        def __init__(self, mean: np.ndarray, components: np.ndarray) -> None:
            super().__init__()
            self.mean, self.components = nn.Buffer(torch.from_numpy(mean)), nn.Buffer(torch.from_numpy(components))

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return (self.mean + z @ self.components).reshape(-1, 1, 8, 32, 32)

    monkeypatch.setenv("TOY_BLUR", str(blur))
    flat = toy()["draw"](96, 0).reshape(96, -1).astype(np.float32) / 127.5 - 1.0
    _, spread, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    components = (directions * spread[:, None] / np.sqrt(96))[:24].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = Components(flat.mean(0), components)
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 24)), folder / "network.pt")


HOW = ("-k", "fid", "--medgan-data=scans,size=32,crop_size=32,crop=image", "--medgan-samples=256")


@pytest.mark.parametrize("kind", ["callable", "folder", "file"])
def test_volumes_are_gated_from_missing_over_accepted_to_pass_and_red_where_blurred(
    kind: str, volumes: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"callable": "volumes:draw", "folder": "made", "file": "network.pt,latent=24,range=-1:1"}[kind]

    def run(blur: float) -> pytest.RunResult:
        monkeypatch.setenv("TOY_BLUR", str(blur))
        if kind == "folder":
            write_made(volumes.path / "made", monkeypatch, blur)
        if kind == "file":
            write_network(volumes.path, monkeypatch, blur)
        return volumes.runpytest(*HOW, f"--medgan-generator={name}")

    missing = run(0)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*", "*3 groups of 256 slices of 32 volumes*"])
    assert accept() == 0
    assert "sampling_unit: volume" in Path("medgan-baseline.yaml").read_text(encoding="utf-8")
    run(0).assert_outcomes(passed=1)
    blurred = run(8)
    blurred.assert_outcomes(failed=1)
    blurred.stdout.fnmatch_lines(["*FID*FAIL*"])


def test_baseline_of_images_is_not_compared_with_volumes(volumes: pytest.Pytester, accept: Callable[..., int]) -> None:
    volumes.makepyfile(
        slices="import volumes\n"
        "def draw(count, seed):\n"
        "    return volumes.draw(-(-count // 8), seed)[:, 0].reshape(-1, 1, 32, 32)[:count]\n"
        "draw.identity = 'slices'\n"
    )
    volumes.runpytest(*HOW, "--medgan-generator=slices:draw").assert_outcomes(failed=1)
    assert accept() == 0
    volumes.runpytest(*HOW, "--medgan-generator=slices:draw").assert_outcomes(passed=1)
    other = volumes.runpytest(*HOW, "--medgan-generator=volumes:draw")
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(["*INCOMPARABLE*", "*sampling_unit: volume != absent*"])
