"""Read CT studies, or other sources of images, into the training, reference and held-out sets."""

from pytest_medgan.ct.load import load_real

__all__ = ["load_real"]
