"""Whole volumes in a feature space of volumes, as a user gates them: MISSING, accepted, PASS, and red where blurred."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")

from tests.plugin.test_volume_models import write_nifti

CUBES = '''
"""Cubes of 16 voxels: a bright blob anywhere; the model's are brighter."""
import os

import numpy as np
from scipy.ndimage import gaussian_filter

def cubes(count, seed, spread, grey=0.0):
    rng = np.random.default_rng([seed, 80])
    place = np.indices((16, 16, 16))
    centre = 7.5 + spread * (rng.random((count, 3, 1, 1, 1)) - 0.5)
    distance = ((place - centre) ** 2).sum(1)
    return 60 + grey + 140 * np.exp(-distance / 12) + rng.normal(0, 4, (count, 16, 16, 16))

BLUR = float(os.environ.get("TOY_BLUR", 0))

def draw(count, seed):
    if log := os.environ.get("TOY_LOG"):
        open(log, "a").close()
    volumes = cubes(count, seed, 5, 45.0)
    volumes = gaussian_filter(volumes, (0, BLUR, BLUR, BLUR)) if BLUR else volumes
    return np.clip(np.rint(volumes), 0, 255).astype(np.uint8)[:, None]

draw.volume_shape = (16, 16, 16)
draw.identity = f"toy cubes {BLUR}"

def slices(count, seed):
    return draw(count, seed)[:, :, 8]
'''
NETWORK = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
NETWORK = nn.Sequential(nn.Conv3d(1, 1, 3), nn.AdaptiveAvgPool3d(4), nn.Flatten(), nn.Linear(64, 16)).eval()

@torch.inference_mode()
def embed(volumes):
    return NETWORK(torch.from_numpy(volumes).float() / 127.5 - 1)

embed.identity = "random network of volumes"

class Space:
    identity, numeric_class, takes_volumes = "the same as an object", "float32", True
    def embed(self, volumes, progress=None):
        return embed(volumes).numpy(), None

def images(pixels):
    return pixels.reshape(len(pixels), -1)[:, :16].astype(np.float32)

def noisy(volumes):
    return embed(volumes) + torch.randn(len(volumes), 16)

def flat(volumes):
    return torch.from_numpy(volumes).float() @ torch.zeros(5, 5)

def lost(volumes):
    return embed(volumes) * float("nan")
"""
DATA = "--medgan-data=scans,size=16,crop_size=16,crop=image,planes=volume,fractions=0.2:0.5:0.3"
HOW = ("-k", "fid", "--medgan-samples=128")


@pytest.fixture
def scans(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return the project with a folder of 256 real cubes, a model of cubes, and extractors."""
    monkeypatch.delenv("TOY_BLUR", raising=False)
    project.makepyfile(cubes=CUBES, network=NETWORK)
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(CUBES, names)
    folder = project.mkdir("scans")
    for number, cube in enumerate(names["cubes"](256, 9, 8)):
        write_nifti(folder / f"scan-{number:03d}.nii.gz", np.clip(cube, 0, 255))
    return project


def write_made(folder: Path) -> None:
    """Write 384 generated cubes as NIfTI, as the environment says."""
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(CUBES, names)
    folder.mkdir(exist_ok=True)
    for number, cube in enumerate(names["draw"](384, 0)[:, 0]):
        write_nifti(folder / f"sample-{number:03d}.nii.gz", cube.astype(np.float64))


@pytest.mark.parametrize(
    ("generator", "extractor"),
    [
        pytest.param("cubes:draw", "network:embed,volumes=yes", id="function"),
        pytest.param("cubes:draw", "network:Space", id="object", marks=pytest.mark.slow),
        pytest.param("made", "network:embed,volumes=yes", id="volumes already made", marks=pytest.mark.slow),
    ],
)
def test_whole_volumes_are_gated_from_missing_over_accepted_to_pass_and_red_where_blurred(
    generator: str,
    extractor: str,
    scans: pytest.Pytester,
    accept: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(blur: float, *more: str) -> pytest.RunResult:
        monkeypatch.setenv("TOY_BLUR", str(blur))
        if generator == "made":
            write_made(scans.path / "made")
        return scans.runpytest(*HOW, DATA, f"--medgan-generator={generator}", f"--medgan-extractor={extractor}", *more)

    missing = run(0, "--medgan-report=html", "--medgan-report-real")
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*MISSING*", "*3 groups of 128 images*"])
    assert "data:image/jpeg" in next(Path("medgan-report").glob("*.html")).read_text(encoding="utf-8")
    assert accept() == 0
    assert "planes: volume" in Path("medgan-baseline.yaml").read_text(encoding="utf-8")
    run(0).assert_outcomes(passed=1)
    blurred = run(2)
    blurred.assert_outcomes(failed=1)
    blurred.stdout.fnmatch_lines(["*FID*FAIL*"])


def test_metrics_of_pixels_name_their_cause_and_a_repeated_volume_is_suspected(scans: pytest.Pytester) -> None:
    scans.makepyfile(
        test_all="def test_all(medgan_scores, medgan_real):\n"
        "    scores = medgan_scores.at(32)\n"
        "    assert medgan_real.reference.pixels.shape[1:] == (1, 16, 16, 16)\n"
        "    print('MEASURED', sorted(scores.metrics))\n"
        "    print('UNMEASURED', sorted(scores.unmeasured.items()))\n"
        "    print('SUSPECTS', scores.suspects)\n",
        returned="import numpy as np, cubes\n"
        "def draw(count, seed):\n"
        "    made = cubes.draw(count, seed)\n"
        "    made[1:] = made[:1]\n"
        "    return made\n"
        "draw.volume_shape = (16, 16, 16)\n"
        "draw.identity = 'one cube'\n",
    )
    done = scans.runpytest(
        "-s", "-k", "test_all", *HOW[2:], DATA, "--medgan-generator=returned:draw", "--medgan-metrics=all",
        "--medgan-extractor=network:embed,volumes=yes",
    )  # fmt: skip
    done.assert_outcomes(passed=1)
    text = done.stdout.str()
    for name in ("copy_rate", "duplicate_rate", "intensity_distance", "ms_ssim", "anomaly_rate", "memorised_rate"):
        assert f"('{name}', 'measures images, and these are whole volumes" in text
    (measured,) = [line for line in done.outlines if "MEASURED [" in line and "UNMEASURED" not in line]
    for name in ("fid", "kid", "improved_precision", "coverage"):
        assert f"'{name}'" in measured
    (suspects,) = [line for line in done.outlines if "SUSPECTS" in line]
    assert "CONSTANT" in suspects


@pytest.mark.parametrize(
    "case",
    [
        (DATA, "cubes:draw", "compact,engine=folded", "*takes images, and planes=volume asks for volumes*"),
        (DATA, "cubes:draw", "network:images", "*takes images, and planes=volume asks for volumes*volumes=yes*"),
        (DATA.replace("volume", "three"), "cubes:draw", "network:Space", "*takes volumes*Add planes=volume to*"),
        ("--medgan-data=images.npz,size=32", "toy:model", "network:embed,volumes=yes", "*Add planes=volume*"),
        ("--medgan-data=images.npz,size=32,planes=volume", "toy:model", "network:Space", "*planes=volume needs*"),
        (DATA, "cubes:slices", "network:Space", "*generator draws images*attribute volume_shape*"),
        (DATA.replace("size=16,", "size=8,", 1), "cubes:draw", "network:Space", "*volumes (16, 16, 16)*(8, 8, 8)*"),
        (DATA, "cubes:draw", "network:noisy,volumes=yes", "*other features*the same volumes again*eval mode*"),
        (DATA, "cubes:draw", "network:flat,volumes=yes", "*fails on volumes uint8*1, 16, 16, 16*"),
        (DATA, "cubes:draw", "network:lost,volumes=yes", "*NaN or infinite features*"),
        (DATA, "cubes:draw", "inception_v3,volumes=yes", "*inception_v3 takes images. Leave volumes= out*"),
        (f"{DATA},channels=3", "cubes:draw", "network:Space", "*planes=volume of grey volumes*"),
    ],
)
def test_wrong_kind_is_one_line_before_anything_is_drawn(
    case: tuple[str, str, str, str], scans: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, generator, extractor, words = case
    monkeypatch.setenv("TOY_LOG", str(scans.path / "drawn.txt"))
    done = scans.runpytest(*HOW, data, f"--medgan-generator={generator}", f"--medgan-extractor={extractor}")
    assert done.ret != 0
    done.stdout.fnmatch_lines([words])
    assert "Traceback" not in done.stdout.str()
    assert not (scans.path / "drawn.txt").exists()
