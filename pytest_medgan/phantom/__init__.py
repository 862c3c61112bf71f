"""Procedural thorax studies, written as genuine DICOM: the data for a gate if a project has no data of its own."""

from pytest_medgan.phantom.studies import version, write_studies

__all__ = ["version", "write_studies"]
