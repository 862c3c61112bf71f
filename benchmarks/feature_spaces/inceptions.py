"""FID of the same images in torch-fidelity's and in torchvision's InceptionV3, with the same trained weights in both.

python -m benchmarks.feature_spaces.inceptions --patches lidc-patches/patches_128.npz --weights inception_v3.pt

PATCHES holds `pixels` uint8 [N,H,W] and `patient` [N]; WEIGHTS is a state_dict in torchvision's layout, whose values
both networks share. So the figures show the networks and their preparation of images, not the two published trainings.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.metrics import frechet_distance
from pytest_medgan.records import ImageSet

POOLED = 192  # the last features, which the network of 2015 pools by the maximum and torchvision's by the mean


def halves(patches: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` images of one half of the patients and `count` of the other."""
    with np.load(patches) as archive:
        pixels, patients = archive["pixels"], archive["patient"].tolist()
    names = sorted(set(patients))
    random = np.random.default_rng(0)
    random.shuffle(names)
    first = np.array([name in set(names[: len(names) // 2]) for name in patients])
    one, other = (part[random.permutation(len(part))[:count]][:, None] for part in (pixels[first], pixels[~first]))
    return one, other


def spaces(weights: Path, folder: Path) -> dict[str, str]:
    """Return the extractors' strings; both files hold the same values."""
    state = {name: value.float() for name, value in torch.load(weights, weights_only=True).items()}
    torch.save(state, folder / "torchvision.pth")
    head = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save({**state, **head}, folder / "fid.pth")
    sha256 = hashlib.sha256((folder / "fid.pth").read_bytes()).hexdigest()
    return {
        "fid_inception": f"fid_inception,weights={folder / 'fid.pth'},sha256={sha256}",
        "inception_v3": f"inception_v3,weights={folder / 'torchvision.pth'}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    real, others = halves(arguments.patches, arguments.images)
    blurred = np.stack([gaussian_filter(image[0].astype(np.float32), 1.0) for image in others])[:, None]
    sets = {"real": real, "other patients": others, "blurred": blurred.round().astype(np.uint8)}
    with tempfile.TemporaryDirectory() as folder:
        for space, spec in spaces(arguments.weights, Path(folder)).items():
            extractor = load_extractor(spec)
            features = {
                name: embed_images(
                    extractor, ImageSet(np.ascontiguousarray(pixels), np.arange(len(pixels)), name)
                ).features
                for name, pixels in sets.items()
            }
            for name in ("other patients", "blurred"):
                pair = features["real"], features[name]
                whole = frechet_distance(real=pair[0], fake=pair[1])
                rest = frechet_distance(real=pair[0][:, :-POOLED], fake=pair[1][:, :-POOLED])
                print(f"{space:14} {name:15} FID {whole:.3f}, without the last {POOLED} features {rest:.3f}")


if __name__ == "__main__":
    main()
