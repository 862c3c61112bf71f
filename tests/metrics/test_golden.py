"""Recorded numbers of every metric and revision; a change of the numbers needs a new revision.

    python tests/metrics/test_golden.py      record the numbers of new revisions

golden.json also keeps the numbers of earlier revisions. The script never replaces recorded numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.metrics import Battery, fit_heads, measure, prepare_reference
from pytest_medgan.records import Alteration

FILE = Path(__file__).with_name("golden.json")
WINDOW = (-1000.0, 400.0)
SHIFTS = np.float32([0.5, 1.0, 1.5])  # of every feature, in place of an alteration
TOLERANCE = {"ms_ssim": 1e-5}  # relative tolerance of a value; 1e-6 otherwise. Convolutions are float32


def measure_fixed_sets(width: int, real_rows: int, fake_rows: int, seed: int) -> Battery:
    """Measure every metric on fixed sets; numpy never changes the numbers of RandomState."""
    rng = np.random.RandomState(seed)
    mixing = rng.standard_normal((width, width)) / np.sqrt(width)
    patient = np.arange(real_rows) // 5
    patient_mean = 0.5 * rng.standard_normal((patient[-1] + 1, width))[patient]
    real = ((patient_mean + rng.standard_normal((real_rows, width))) @ mixing + 0.25).astype(np.float32)
    fake = ((0.9 * rng.standard_normal((fake_rows, width)) + 0.2) @ mixing + 0.25).astype(np.float32)
    train = np.concatenate([real[: real_rows // 2] + np.float32(0.05), fake[:9] + np.float32(0.01)])
    levels = rng.normal(120, 20, (real_rows + fake_rows, 1, 1, 1))
    images = (levels + rng.normal(0, 12, (real_rows + fake_rows, 1, 24, 24))).clip(0, 255).astype(np.uint8)
    real_pixels, fake_pixels = images[:real_rows], images[real_rows:]
    fake_pixels[7], fake_pixels[9], fake_pixels[11] = fake_pixels[8], fake_pixels[8], fake_pixels[12]
    reference = prepare_reference(
        real,
        groups=patient,
        pixels=real_pixels,
        train=train,
        train_groups=np.arange(len(train)) // 4,
        train_pixels=fake_pixels[3:6] + np.uint8(1),
        window=WINDOW,
        heads=fit_heads(real, {name: real + shift for name, shift in zip(Alteration, SHIFTS, strict=False)}, patient),
    )
    logits = fake[:, :3].astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return measure(reference, fake=fake, probabilities=probabilities, pixels=fake_pixels, contributions=True)


def current_numbers() -> dict[str, dict[str, list[float]]]:
    """Return value, errors and sums over contributions of every metric, with more and with fewer rows than features."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    batteries = {
        "many rows": measure_fixed_sets(16, 200, 150, seed=1),
        "few rows": measure_fixed_sets(96, 60, 50, seed=2),
    }
    torch.set_num_threads(before)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in NAMES}
    for kind, battery in batteries.items():
        for name, estimate in battery.estimates.items():
            contribution = battery.contributions[name]
            centred, weights = (
                contribution.units - contribution.units.mean(),
                np.cos(np.arange(len(contribution.units))),
            )
            sums = [
                len(contribution.units),
                contribution.share,
                contribution.units.mean(),
                contribution.units.std(),
                (centred * weights).sum(),
            ]
            runs = [] if contribution.runs is None else [contribution.runs.mean(), contribution.runs.std()]
            found[name][kind] = [float(each) for each in (*_estimate(estimate), *sums, *runs)]
    return found


def _estimate(estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.se, estimate.se_total


def numbers_agree(name: str, found: dict[str, list[float]], recorded: dict[str, list[float]]) -> bool:
    """Return whether numbers agree up to rounding, which differs between processors."""
    tolerance = TOLERANCE.get(name, 1e-6)
    return set(found) == set(recorded) and all(
        len(found[kind]) == len(recorded[kind])
        and found[kind] == pytest.approx(recorded[kind], rel=20 * tolerance, abs=1e-9)
        and found[kind][0] == pytest.approx(recorded[kind][0], rel=tolerance, abs=1e-12)
        for kind in found
    )


def required_action(
    name: str, found: dict[str, list[float]], recorded: dict[str, dict[str, list[float]]]
) -> str | None:
    """Return the problem of a metric and what a developer must do, or None."""
    revision = METRICS[name].revision
    if str(revision) not in recorded or max(map(int, recorded)) != revision:
        return f"{name}: revision {revision} has no recorded numbers; run python tests/metrics/test_golden.py"
    if not numbers_agree(name, found, recorded[str(revision)]):
        return (
            f"{name}: the numbers are not those recorded for revision {revision}. If you intend this change, raise "
            "the revision in catalogue.py and record new numbers with python tests/metrics/test_golden.py"
        )
    return None


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list[float]]]:
    return current_numbers()


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, dict[str, list[float]]]]:
    return json.loads(FILE.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_numbers_equal_those_recorded_for_the_revision(name, found, recorded):
    assert required_action(name, found[name], recorded.get(name, {})) is None


@pytest.mark.parametrize("index", range(3))
def test_changed_numbers_without_a_raised_revision_are_a_problem(index, found, recorded):
    """Indices 0, 1 and 2 are the value, the standard error and the total error."""
    changed = {kind: list(values) for kind, values in found["fid"].items()}
    changed["many rows"][index] *= 1.001
    assert "raise the revision" in required_action("fid", changed, recorded["fid"])


def test_changed_contributions_without_a_raised_revision_are_a_problem(found, recorded):
    for index in range(3, len(found["fid"]["few rows"])):
        changed = {kind: list(values) for kind, values in found["fid"].items()}
        changed["few rows"][index] *= 1.001
        assert "raise the revision" in required_action("fid", changed, recorded["fid"])


def test_raised_revision_without_renewed_numbers_is_a_problem(found, recorded, monkeypatch):
    other = {**recorded["fid"], "7": recorded["fid"][str(METRICS["fid"].revision)]}
    assert "no recorded numbers" in required_action("fid", found["fid"], other)
    assert "no recorded numbers" in required_action("fid", found["fid"], {})


def test_recording_never_replaces_numbers(recorded):
    changed = {name: {kind: [0.0, *values[1:]] for kind, values in recorded[name]["1"].items()} for name in NAMES}
    assert with_new_revisions(recorded, changed) == recorded
    assert with_new_revisions({}, changed)["fid"] == {str(METRICS["fid"].revision): changed["fid"]}


def with_new_revisions(recorded, found):
    """Return the recorded numbers, plus those found for revisions that had none."""
    return {name: {str(METRICS[name].revision): found[name], **recorded.get(name, {})} for name in NAMES}


def main() -> None:
    """Record the numbers of new revisions."""
    old = json.loads(FILE.read_text()) if FILE.exists() else {}
    new = with_new_revisions(old, current_numbers())
    FILE.write_text(json.dumps(new, indent=1) + "\n")
    for name in NAMES:
        if set(new[name]) != set(old.get(name, {})):
            print(f"{name}: recorded revision {METRICS[name].revision}")  # noqa: T201


if __name__ == "__main__":
    main()
