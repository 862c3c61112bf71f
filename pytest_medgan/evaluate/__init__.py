"""The pipeline: real images and a generator in, an evaluation out."""

from __future__ import annotations

from pytest_medgan.evaluate.evaluation import ModelEvaluation
from pytest_medgan.evaluate.protocol import Table, jang2022
from pytest_medgan.evaluate.real import real_row, real_scores, with_real_sweep
from pytest_medgan.evaluate.runs import RunsEvaluation
from pytest_medgan.evaluate.settings import Settings
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.evaluate.workbench import Workbench

__all__ = [
    "ModelEvaluation",
    "RunsEvaluation",
    "Settings",
    "Subject",
    "Table",
    "Workbench",
    "jang2022",
    "real_row",
    "real_scores",
    "with_real_sweep",
]
