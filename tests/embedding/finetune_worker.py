"""A short fine-tuning run that stores every step; run and killed by test_finetune.py, alone or as one of several.

Arguments: the folder, images a step, epochs, and "shared" for batch norm as several processes compute it, whose
rounding is not that of torch's own. With "small" in their place, the steps of a small network in double precision are
printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_medgan.embedding import finetune as module
from pytest_medgan.embedding.finetune import EpochReport, FinetuneSettings, finetune
from pytest_medgan.embedding.finetune_shares import RowDropout, averaged
from pytest_medgan.embedding.sharding import join, place
from pytest_medgan.ground.shared_norm import share_batch_norms
from pytest_medgan.records import ImageSet


def discs(count: int, patient: str) -> ImageSet:
    y, x = np.mgrid[:128, :128]
    pixels = [(np.hypot(y - 50 - 3 * i, x - 60) < 10 + 20 * (i % 2)) * 150 + 40 + 5 * i for i in range(count)]
    groups = np.array([f"{patient}{i}" for i in range(count)])
    return ImageSet(np.stack(pixels)[:, None].astype(np.uint8), groups, "discs", np.arange(count, dtype=np.int8) % 2)


def small() -> None:
    """Three steps of torch's own layers, or of those that see several processes: losses and values."""
    torch.manual_seed(0)
    join()
    rank, size = place()
    dropout = RowDropout(0.5, 1, rank, size)
    dropout.rows = 6
    norms = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
    layers = (nn.Conv2d(3, 8, 3), norms[0], nn.ReLU(), nn.Conv2d(8, 8, 3), norms[1], nn.ReLU())
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout, nn.Linear(8, 2)).double()
    images, target = torch.randn(6, 3, 12, 12).double(), torch.tensor([0, 1, 0, 1, 1, 0])
    if size > 1:
        share_batch_norms(network)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, 0.9)
    values: list[float] = []
    for step in range(3):
        dropout.step = step
        loss = nn.functional.cross_entropy(network(images[rank::size]), target[rank::size], reduction="sum") * size / 6
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        values.append(averaged(network, loss, size))
        optimiser.step()
    for value in network.state_dict().values():
        values += value.double().flatten().tolist()
    if rank == 0:
        sys.stdout.write(" ".join(map(repr, values)))


def sharing_norms(*arguments: Any) -> tuple[nn.Module, str]:
    """The network to start from, its batch norms as several processes compute them."""
    network, name = start(*arguments)
    share_batch_norms(network)
    return network, name


start = module.starting_network


def main(folder: str, batch: int, epochs: int, norms: str = "") -> None:
    torch.set_num_threads(1)
    if norms == "shared" and "RANK" not in os.environ:
        address = f"file://{Path(folder).resolve()}.group"
        torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
        module.starting_network = sharing_norms
    settings = FinetuneSettings(weights="random", epochs=epochs, batch=batch)

    def tell(report: EpochReport) -> None:
        (Path(folder) / "told").write_text(f"{report.loss} {report.held_out}")

    held_out = discs(3, "H") if batch > 2 else None
    finetune(settings, discs(6, "P"), Path(folder), held_out=held_out, resume=True, checkpoint_every=1, on_epoch=tell)


if __name__ == "__main__":
    if sys.argv[1] == "small":
        small()
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
