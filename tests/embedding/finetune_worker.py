"""A short fine-tuning run that stores every step; run and killed by test_finetune.py. Argument: the folder."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from pytest_medgan.embedding.finetune import FinetuneSettings, finetune
from pytest_medgan.records import ImageSet


def main(folder: str) -> None:
    torch.set_num_threads(1)
    y, x = np.mgrid[:128, :128]
    pixels = [(np.hypot(y - 50 - 3 * i, x - 60) < 10 + 20 * (i % 2)) * 150 + 40 + 5 * i for i in range(6)]
    labels = np.arange(6, dtype=np.int8) % 2
    groups = np.array([f"P{i}" for i in range(6)])
    images = ImageSet(np.stack(pixels)[:, None].astype(np.uint8), groups, "discs", labels)
    settings = FinetuneSettings(weights="random", epochs=2, batch=2)
    finetune(settings, images, Path(folder), resume=True, checkpoint_every=1)


if __name__ == "__main__":
    main(sys.argv[1])
