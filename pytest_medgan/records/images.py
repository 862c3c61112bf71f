"""Images and the settings they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pytest_medgan.records.arrays import Int64, Names, UInt8


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A set of images, and a digest that identifies how they were made."""

    pixels: UInt8  # [N,1,H,W], or in colour [N,3,H,W], or volumes [N,1,D,H,W], 0..255
    groups: Names  # [N], the patient's pseudonym (real) or the latent seed in decimal (generated)
    recipe: str  # hex digest of the source and of the processing
    labels: npt.NDArray[np.int8] | None = None  # [N], 1 deceased, 0 alive, -1 unknown
    window: tuple[float, float] | None = None  # HU of grey 0 and 255; None if unknown

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return (
            f"<{len(self)} images of {' x '.join(map(str, self.pixels.shape[1:]))} in {len(set(self.groups))} groups>"
        )

    def take(self, index: Int64 | slice) -> ImageSet:
        """Return the images at `index`; the recipe still names the whole set."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, pixels=self.pixels[index], groups=self.groups[index], labels=labels)


@dataclass(frozen=True)
class DataSettings:
    """Which real images to use and how to make them from studies (Jang et al. 2022, sections 2 and 3.1)."""

    source: str = "phantom"  # a folder or file, or "phantom" / "phantom:PATIENTS" / "phantom:PATIENTSxSLICES"
    split: str = "patient"  # "patient": each patient in one role only; "slice": the paper's random half of all slices
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)  # training, reference, held out (split="patient")
    seed: int = 0  # seed of the split
    crop: str = "auto"  # "tumour", "image", or "auto": tumour where every patient has a contour
    crop_size: int = 160  # pixels cut from the 512x512 slice
    size: int = 128  # pixels of the finished image
    window: tuple[float, float] = (-1000.0, 400.0)  # HU of 0 and 255
    slices: int | None = 64  # per patient, around the tumour or the middle; None takes all
    patients: int | None = None  # the first N in PatientID order; None takes all
    histologies: tuple[str, ...] = ()  # only patients with one of these in the clinical table; () takes all
    roi: str | None = None  # name of the region on which crop="tumour" is centred; None searches for a GTV
    range: tuple[float, float] | None = None  # values of black and white in pictures; None takes those of their format
    patient: str = "top"  # a picture's patient: "top": topmost folder; "folder": its own folder; "file": file name
    strict: bool = False  # raise an error for damaged or unsuitable files even if they are not used
    planes: str = "axial"  # "axial" slices, "three": also coronal and sagittal ones, of a cube; "volume": whole cubes
    channels: int = 1  # 1: grey; 3: red, green and blue, of grey images three times the same
    given: tuple[str, ...] = field(
        default=(), compare=False, repr=False
    )  # options that the user wrote, default values too
    generated: bool = False  # the source holds generated volumes, which may say that they are synthetic data


@dataclass(frozen=True, eq=False)
class RealSets:
    """Real images in three roles. Under split="slice", training holds the images of reference and held-out."""

    training: ImageSet
    reference: ImageSet
    held_out: ImageSet
    settings: DataSettings
    digest: str  # hex digest of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...] = ()  # shown in every report; hold no path and no patient identifier
    counts: Mapping[str, int] = field(default_factory=dict)  # files read, files skipped by kind, studies, ...

    def __repr__(self) -> str:
        roles = {"training": self.training, "reference": self.reference, "held out": self.held_out}
        return f"<real images: {', '.join(f'{len(images)} {role}' for role, images in roles.items())}>"
