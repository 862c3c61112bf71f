"""Images and the settings they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pytest_medgan.records.arrays import Int64, Names, UInt8


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and the digest of what they were made from."""

    pixels: UInt8  # [N,1,H,W], 0..255
    groups: Names  # [N], the patient's pseudonym (real) or the latent seed in decimal (generated)
    recipe: str  # hex digest of the source and of the processing
    labels: npt.NDArray[np.int8] | None = None  # [N], 1 deceased, 0 alive, -1 unknown
    window: tuple[float, float] | None = None  # the HU that 0 and 255 stand for

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: Int64 | slice) -> ImageSet:
        """Return the images at `index`; the recipe still names the whole set."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, pixels=self.pixels[index], groups=self.groups[index], labels=labels)


@dataclass(frozen=True)
class DataSettings:
    """Which real images to use and how to make them from studies (Jang et al. 2022, sections 2 and 3.1)."""

    source: str = "phantom"  # a folder or file, or "phantom" / "phantom:PATIENTS" / "phantom:PATIENTSxSLICES"
    split: str = "patient"  # "patient": no patient on two sides; "slice": the paper's random half of all slices
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)  # training, reference, held out (split="patient")
    seed: int = 0  # of the split and of the choice of slices
    crop: str = "auto"  # "tumour", "image", or "auto": tumour where every patient has a contour
    crop_size: int = 160  # pixels cut from the 512x512 slice
    size: int = 128  # pixels of the finished image
    window: tuple[float, float] = (-1000.0, 400.0)  # HU of 0 and 255
    slices: int | None = 64  # per patient, around the tumour or the middle; None takes all
    patients: int | None = None  # the first N in PatientID order; None takes all
    histologies: tuple[str, ...] = ()  # only patients of these, by the clinical table; () takes all
    roi: str | None = None  # name of the region that crop="tumour" lies on; None looks for a GTV
    range: tuple[float, float] | None = None  # values of black and white in pictures; None: as their format says
    patient: str = "top"  # what names the patient of a picture: its topmost folder, its own "folder", its "file" name
    strict: bool = False  # refuse what is damaged or does not fit, even if it is not used


@dataclass(frozen=True, eq=False)
class RealSets:
    """The three roles of real images. Under split="slice", training is reference and held-out together."""

    training: ImageSet
    reference: ImageSet
    held_out: ImageSet
    settings: DataSettings
    digest: str  # hex digest of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...] = ()  # shown in every report; hold no path and no patient identifier
    counts: Mapping[str, int] = field(default_factory=dict)  # files read, files skipped by kind, studies, ...
