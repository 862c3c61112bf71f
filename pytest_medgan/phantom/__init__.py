"""Procedural thorax studies, written as genuine DICOM: the data a gate runs on when a project has none at hand."""

from pytest_medgan.phantom.studies import version, write_studies

__all__ = ["version", "write_studies"]
