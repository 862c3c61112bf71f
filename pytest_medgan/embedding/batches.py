"""The one way in which feature spaces go through their images: batch by batch, smaller batches once memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Float32, Progress, UInt8

Answer = tuple[Float32, Float32 | None]  # features [N,D], probabilities [N,C]
# (uint8 [N,1,H,W], images at once) -> the answer to one batch after another, in order
Stream = Callable[[UInt8, int], Iterator[Answer]]

# torch's CPU allocator, oneDNN and ONNX Runtime have no class of their own for it
_WORDS = ("not enough memory", "out of memory", "could not allocate", "failed to allocate", "bad_alloc", "bad alloc")


class Batches:
    """How many images an extractor takes at once; halved, for the rest of its life, whenever memory runs out."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def through(self, pixels: UInt8, stream: Stream, progress: Progress) -> list[Answer]:
        """The answers of `stream` for all of `pixels`, in order; what was answered before memory ran out stays.

        Raises ExtractorError where one image is too many, and whatever else goes wrong as it came.
        """
        answers: list[Answer] = []
        done = 0
        while done < len(pixels):
            try:
                for answer in stream(pixels[done:], self.batch):
                    answers.append(answer)
                    done += len(answer[0])
                    progress("embedding", done, len(pixels))
            except Exception as error:  # runtimes have classes of their own; what is not about memory goes on
                self._shrink(error)
        return answers

    def _shrink(self, error: Exception) -> None:
        if not out_of_memory(error):
            raise error
        if self.batch == 1:
            raise ExtractorError(
                "memory ran out over a single image; close other programs or use another device"
            ) from None
        self.batch //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, by the error's class or else by its words."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(w in str(error).lower() for w in _WORDS)


def joined(parts: list[Answer]) -> Answer:
    """Answers in order as one. Raises ExtractorError where their widths differ."""
    if len(parts) == 1:
        return parts[0]
    if len({(f.shape[1], None if p is None else p.shape[1]) for f, p in parts}) != 1:
        raise ExtractorError("the extractor returned features of different widths; it must always return the same")
    features = np.concatenate([f for f, _ in parts])
    chances = [p for _, p in parts if p is not None]
    return features, np.concatenate(chances) if chances else None
