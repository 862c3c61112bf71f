"""Why a metric has no value."""

from __future__ import annotations

import enum


class Cause(enum.StrEnum):
    """Why a metric was not measured. Code compares members; `words` is for readers."""

    NO_SUCH_METRIC = enum.auto()
    NOT_PREPARED = enum.auto()
    NO_PIXELS = enum.auto()
    NO_TRAINING_IMAGES = enum.auto()
    NO_PROBABILITIES = enum.auto()
    NO_HEADS = enum.auto()
    NO_NEW_PATIENTS = enum.auto()
    NO_WINDOW = enum.auto()
    NO_RANGE = enum.auto()
    SEVERAL_CHANNELS = enum.auto()
    VOLUMES = enum.auto()
    TOO_FEW_IMAGES = enum.auto()
    TOO_FEW_REAL_IMAGES = enum.auto()
    IMAGES_TOO_SMALL = enum.auto()
    NOT_FINITE = enum.auto()

    @property
    def words(self) -> str:
        """One line for tables and messages."""
        return _WORDS[self]


_WORDS = {
    Cause.NO_SUCH_METRIC: "no such metric; a metric of your own is registered through pytest_medgan_metrics",
    Cause.NOT_PREPARED: "the reference was not prepared for it",
    Cause.NO_PIXELS: "needs the images' pixels, and only features were given",
    Cause.NO_TRAINING_IMAGES: "needs the generator's own training images, which are not known",
    Cause.NO_PROBABILITIES: "needs class probabilities, and this extractor gives none",
    Cause.NO_HEADS: "needs at least 200 reference images of 8 patients, on which its heads are trained",
    Cause.NO_NEW_PATIENTS: "needs at least 20 reference images of patients outside of the training set",
    Cause.NO_WINDOW: "needs the window (HU of black and of white), which is not known of these images",
    Cause.NO_RANGE: "needs at least 200 reference images of 8 patients, as pixels",
    Cause.SEVERAL_CHANNELS: "needs HU and so images of one channel, and these are in colour",
    Cause.VOLUMES: "measures images, and these are whole volumes; planes=three measures their slices",
    Cause.TOO_FEW_IMAGES: "needs more generated images than there are",
    Cause.TOO_FEW_REAL_IMAGES: "needs more reference images than there are",
    Cause.IMAGES_TOO_SMALL: "needs images of at least 11x11 pixels",
    Cause.NOT_FINITE: "its value is not a finite number",
}
