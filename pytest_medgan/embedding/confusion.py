"""How well a classifier of two classes does, told so that class imbalance cannot flatter it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.records import Float32, Int64

CLASSES = ("alive", "deceased")


@dataclass(frozen=True)
class Confusion:
    """Counts [true][predicted] of alive (0) and deceased (1), the mean loss, and how well the two are told apart."""

    table: tuple[tuple[int, int], tuple[int, int]]
    loss: float  # cross-entropy, nats an image
    area: float = float("nan")  # under the ROC curve: 0.5 is chance, wherever the threshold lies; nan for one class

    @property
    def count(self) -> int:
        return sum(map(sum, self.table))

    @property
    def accuracy(self) -> float:
        """Share that is right; nan where there was nothing."""
        return (self.table[0][0] + self.table[1][1]) / self.count if self.count else float("nan")

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes present of the share that is right: 0.5 is chance, whatever the imbalance."""
        shares = [row[i] / sum(row) for i, row in enumerate(self.table) if sum(row)]
        return sum(shares) / len(shares) if shares else float("nan")

    def __str__(self) -> str:
        """The table, as a command prints it."""
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
    """labels int [N] of 0 and 1, probabilities float [N,2] => Confusion; a tie counts as deceased."""
    predicted = (probabilities[:, 1] >= probabilities[:, 0]).astype(np.int64)
    cells = np.zeros((2, 2), np.int64)
    np.add.at(cells, (labels, predicted), 1)
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(chosen, 1e-12)).mean()) if len(labels) else float("nan")
    first, second = cells.tolist()
    return Confusion(((first[0], first[1]), (second[0], second[1])), loss, _area(labels, probabilities[:, 1]))


def _area(labels: Int64, scores: Float32) -> float:
    """The share of pairs, one of either class, in which the deceased scores higher; ties count half (Mann-Whitney)."""
    alive, deceased = np.sort(scores[labels == 0]), scores[labels == 1]
    if not (len(alive) and len(deceased)):
        return float("nan")
    below, not_above = (np.searchsorted(alive, deceased, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(alive)))
