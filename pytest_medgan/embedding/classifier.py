"""The last layer of a classifier: class probabilities of pooled features, computed on the host whatever the engine."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pytest_medgan.ground.blas import one_blas_thread
from pytest_medgan.records import Float32


class Classifier:
    """A linear layer and a softmax, in float64."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight.detach().double().numpy(), bias.detach().double().numpy()

    def apply(self, features: Float32) -> Float32:
        """Return the class probabilities, [N,C], of features, [N,D], computed on one thread."""
        with one_blas_thread():
            logits = features.astype(np.float64) @ self._weight.T + self._bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Float32 = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return result
