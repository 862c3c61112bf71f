"""Go through images batch by batch, with smaller batches once memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pytest_medgan.embedding.contract import Answer
from pytest_medgan.errors import ExtractorError
from pytest_medgan.records import Progress, UInt8

# (uint8 [N,C,H,W], images at once) -> the answer to one batch after another, in order
Stream = Callable[[UInt8, int], Iterator[Answer]]

# torch's CPU allocator, oneDNN and ONNX Runtime have no error class of their own for it
_PHRASES = ("not enough memory", "out of memory", "could not allocate", "failed to allocate", "bad_alloc", "bad alloc")


class Batches:
    """Embed images by a stream of batches; the batch is halved, for the rest of its life, when memory runs out."""

    def __init__(self, stream: Stream, batch: int) -> None:
        self.batch = batch  # images at once
        self._stream = stream

    def embed(self, pixels: UInt8, progress: Progress) -> Answer:
        """Return features and probabilities of uint8 [N,C,H,W]; what was computed before memory ran out is kept.

        Raises:
            ExtractorError: One image is too many.
        """
        answers: list[Answer] = []
        done = 0
        while done < len(pixels):
            try:
                for answer in self._stream(pixels[done:], self.batch):
                    answers.append(answer)
                    done += len(answer[0])
                    progress("embedding", done, len(pixels))
            except Exception as error:  # runtimes have classes of their own; all but lack of memory is raised again
                self._halve(error)
        return join_answers(answers)

    def _halve(self, error: Exception) -> None:
        """Halve the batch where memory ran out; raise any other error as it came."""
        if not is_out_of_memory(error):
            raise error
        if self.batch == 1:
            raise ExtractorError(
                "The extractor ran out of memory with one image. Close other programs or use another device."
            ) from None
        self.batch //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, by the error's class or else by its words."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(p in str(error).lower() for p in _PHRASES)


def join_answers(parts: list[Answer]) -> Answer:
    """Return answers, in order, as one.

    Raises:
        ExtractorError: Their widths differ.
    """
    if len(parts) == 1:
        return parts[0]
    if len({(f.shape[1], None if p is None else p.shape[1]) for f, p in parts}) != 1:
        raise ExtractorError("The extractor returned features of different widths. Make it return one width always.")
    features = np.concatenate([f for f, _ in parts])
    chances = [p for _, p in parts if p is not None]
    return features, np.concatenate(chances) if chances else None
