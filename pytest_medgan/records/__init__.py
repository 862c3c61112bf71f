"""What crosses between the rooms: frozen dataclasses and protocols without behaviour but access.

The middle rooms never import one another; they import this room.
"""

from pytest_medgan.records.arrays import Bool, Float32, Float64, Int64, Names, Progress, Scalar, UInt8, no_progress
from pytest_medgan.records.causes import Cause
from pytest_medgan.records.embeddings import Embeddings, Extractor
from pytest_medgan.records.evaluation import Evaluation
from pytest_medgan.records.evidence import Evidence
from pytest_medgan.records.fingerprint import Fingerprint
from pytest_medgan.records.generators import Generator, ImageSource
from pytest_medgan.records.images import DataSettings, ImageSet, RealSets
from pytest_medgan.records.limits import Limit, LimitValue, Margin, Row
from pytest_medgan.records.scores import Contribution, Estimate, MetricScore, Paired, Scores
from pytest_medgan.records.verdicts import Outcome, Verdict

__all__ = [
    "Bool",
    "Cause",
    "Contribution",
    "DataSettings",
    "Embeddings",
    "Estimate",
    "Evaluation",
    "Evidence",
    "Extractor",
    "Fingerprint",
    "Float32",
    "Float64",
    "Generator",
    "ImageSet",
    "ImageSource",
    "Int64",
    "Limit",
    "LimitValue",
    "Margin",
    "MetricScore",
    "Names",
    "Outcome",
    "Paired",
    "Progress",
    "RealSets",
    "Row",
    "Scalar",
    "Scores",
    "UInt8",
    "Verdict",
    "no_progress",
]
