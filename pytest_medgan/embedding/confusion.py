"""How well a classifier separates two classes, also where one class is much larger than the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_medgan.records import Float32, Int64

CLASSES = ("alive", "deceased")


@dataclass(frozen=True)
class Confusion:
    """Counts [true][predicted] of alive (0) and deceased (1), the mean loss and the area under the ROC curve."""

    table: tuple[tuple[int, int], tuple[int, int]]
    loss: float  # cross-entropy, nats per image
    area: float = float("nan")  # under the ROC curve: 0.5 is chance, wherever the threshold lies; nan for one class

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(map(sum, self.table))

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly; nan without images."""
        return (self.table[0][0] + self.table[1][1]) / self.count if self.count else float("nan")

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes present of the share classified correctly: 0.5 is chance for any imbalance."""
        shares = [row[i] / sum(row) for i, row in enumerate(self.table) if sum(row)]
        return sum(shares) / len(shares) if shares else float("nan")

    def __str__(self) -> str:
        width = max(len(str(n)) for row in self.table for n in row) + 2
        head = f"{'':16}{'predicted ' + CLASSES[0]:>20}{CLASSES[1]:>{max(width, 10)}}"
        rows = [
            f"{'true ' + name:16}{row[0]:>20}{row[1]:>{max(width, 10)}}"
            for name, row in zip(CLASSES, self.table, strict=True)
        ]
        tail = (
            f"accuracy {self.accuracy:.3f}, balanced {self.balanced_accuracy:.3f}, "
            f"area under the ROC curve {self.area:.3f}, loss {self.loss:.4f}"
        )
        return "\n".join([head, *rows, tail])


def confusion(labels: Int64, probabilities: Float32) -> Confusion:
    """Compare labels with probabilities.

    Args:
        labels: [N], 0 or 1.
        probabilities: [N,2]; equal probabilities count as deceased.
    """
    from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

    if len(labels) == 0:
        return Confusion(((0, 0), (0, 0)), math.nan)
    chances = probabilities.astype(np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    predicted = (chances[:, 1] >= chances[:, 0]).astype(np.int64)
    (a, b), (c, d) = confusion_matrix(labels, predicted, labels=[0, 1]).tolist()
    both = len(np.unique(labels)) == 2
    area = float(roc_auc_score(labels, chances[:, 1])) if both else math.nan
    return Confusion(((a, b), (c, d)), float(log_loss(labels, chances, labels=[0, 1])), area)
