"""What crosses between the rooms: frozen dataclasses and protocols without behaviour but access.

The middle rooms never import one another; they import this room.
"""

from pytest_medgan.records.alterations import Alteration
from pytest_medgan.records.arrays import Bool, Float32, Float64, Int64, Names, Progress, Scalar, UInt8, no_progress
from pytest_medgan.records.causes import Cause
from pytest_medgan.records.embeddings import Embeddings, Extractor
from pytest_medgan.records.evaluation import Evaluation
from pytest_medgan.records.evidence import Evidence
from pytest_medgan.records.fingerprint import CANARY_TOLERANCE, CONDITION, Fingerprint
from pytest_medgan.records.generators import Generator, ImageSource
from pytest_medgan.records.images import DataSettings, ImageSet, RealSets
from pytest_medgan.records.implausibility import Implausibility
from pytest_medgan.records.limits import (
    PLAIN,
    Anchor,
    Count,
    Entry,
    Limit,
    Margin,
    Row,
    Seal,
    TrainingRun,
    plain_limit,
)
from pytest_medgan.records.scores import (
    Contribution,
    Estimate,
    Paired,
    Score,
    Scores,
    Suspect,
    Suspicion,
    mean_of_runs,
)
from pytest_medgan.records.verdicts import Change, Outcome, Verdict, VerdictCause

__all__ = [
    "CANARY_TOLERANCE",
    "CONDITION",
    "PLAIN",
    "Alteration",
    "Anchor",
    "Bool",
    "Cause",
    "Change",
    "Contribution",
    "Count",
    "DataSettings",
    "Embeddings",
    "Entry",
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
    "Implausibility",
    "Int64",
    "Limit",
    "Margin",
    "Names",
    "Outcome",
    "Paired",
    "Progress",
    "RealSets",
    "Row",
    "Scalar",
    "Score",
    "Scores",
    "Seal",
    "Suspect",
    "Suspicion",
    "TrainingRun",
    "UInt8",
    "Verdict",
    "VerdictCause",
    "mean_of_runs",
    "no_progress",
    "plain_limit",
]
