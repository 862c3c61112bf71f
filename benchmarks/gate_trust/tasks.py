"""What a worker process does; each computes on one thread and makes its bank once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch

from benchmarks.gate_trust.bank import Bank, Plan
from benchmarks.gate_trust.gates import Tally, run

CAUGHT = 0.99  # of the gates, down to which a ladder of doses is followed


@cache
def bank(plan: Plan) -> Bank:
    torch.set_num_threads(1)
    return Bank(plan)


def measure(plan: Plan, group: int) -> None:
    """One group of the unchanged model, at every look."""
    for n in bank(plan).looks:
        bank(plan).estimates("model", group, n)


def gates(plan: Plan, models: Sequence[str], count: int, seed: int) -> Tally:
    return run(bank(plan), models, count, seed)


def ladder(plan: Plan, fault: str, doses: Sequence[str], count: int) -> dict[str, int]:
    """Gates red by dose, from strong to weak, down to the first that is not caught."""
    found: dict[str, int] = {}
    for seed, dose in enumerate(doses, 100):
        found[dose] = gates(plan, (f"{fault.partition(',')[0]}:{dose}",) * 3, count, seed).failed
        if found[dose] < CAUGHT * count:
            break
    return found
