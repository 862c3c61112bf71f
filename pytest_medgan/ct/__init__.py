"""Files to images: CT studies, or other sources of the same shape of data, to the sets the protocol asks for."""

from pytest_medgan.ct.load import load_real

__all__ = ["load_real"]
