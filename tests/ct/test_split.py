"""Who plays which role."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.ct.split import Split, check_disjoint, deal, shuffled, split_images
from pytest_medgan.errors import DataError, LeakageError, SettingsError
from pytest_medgan.records import DataSettings


def groups(patients: int = 20, each: int = 3) -> np.ndarray:
    return np.repeat([f"p{number:012x}" for number in range(patients)], each)


def test_split_images_by_patient_deals_every_row_once() -> None:
    names = groups()
    split = split_images(names, DataSettings())
    assert [len(rows) for rows in (split.training, split.reference, split.held_out)] == [30, 15, 15]
    everything = np.concatenate([split.training, split.reference, split.held_out])
    assert sorted(everything.tolist()) == list(range(60))
    check_disjoint(names, split)
    again = split_images(names, DataSettings())
    assert (again.training == split.training).all()
    other = split_images(names, DataSettings(seed=1))
    assert other.training.tolist() != split.training.tolist()


def test_deal_of_a_seed_equals_recorded_numbers() -> None:
    """The order comes from hashes, so these numbers hold on every machine and with every numpy."""
    assert shuffled(10, 0, "patients") == [3, 2, 6, 7, 8, 0, 1, 9, 5, 4]
    assert deal([3] * 6, (0.5, 0.25, 0.25), 7) == ([4, 1, 2], [3, 5], [0])


@pytest.mark.parametrize("count", range(3, 40))
@pytest.mark.parametrize("fractions", [(0.5, 0.25, 0.25), (0.98, 0.01, 0.01), (0.01, 0.98, 0.01)])
def test_deal_gives_every_role_a_patient(count: int, fractions: tuple[float, float, float]) -> None:
    roles = deal([5] * count, fractions, 0)
    assert all(roles)
    assert sorted(at for role in roles for at in role) == list(range(count))


def test_split_images_by_slice_halves_the_images() -> None:
    split = split_images(groups(2, 61), DataSettings(split="slice"))
    assert (len(split.training), len(split.reference), len(split.held_out)) == (122, 61, 61)
    assert not set(split.reference.tolist()) & set(split.held_out.tolist())
    assert (np.diff(split.reference) > 0).all()
    first = split.reference < 61
    assert 20 < first.sum() < 41  # both patients, mixed


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (DataSettings(split="image"), SettingsError, "patient or slice"),
        (DataSettings(fractions=(0.5, 0.5, 0.5)), SettingsError, "parts of 1"),
        (DataSettings(fractions=(1.0, 0.0, 0.0)), SettingsError, "parts of 1"),
    ],
)
def test_split_images_of_unusable_settings_is_refused(
    settings: DataSettings, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        split_images(groups(), settings)


def test_split_images_of_too_few_is_refused() -> None:
    with pytest.raises(DataError, match="at least 3 patients and the source has 2"):
        split_images(groups(2), DataSettings())
    with pytest.raises(DataError, match="at least 2 images"):
        split_images(groups(1, 1), DataSettings(split="slice"))


def test_check_disjoint_patient_in_two_roles_is_leakage() -> None:
    split = Split(np.array([0, 1]), np.array([2, 3]), np.array([4, 5]))
    check_disjoint(np.array(["a", "a", "b", "b", "c", "c"]), split)
    with pytest.raises(LeakageError, match="1 patients are in two roles"):
        check_disjoint(np.array(["a", "a", "b", "b", "c", "a"]), split)


@pytest.mark.parametrize("fractions", [(0.5, 0.25, 0.25), (0.6, 0.2, 0.2), (0.7, 0.15, 0.15), (1 / 3, 1 / 3, 1 / 3)])
@pytest.mark.parametrize("size", [1, 10, 64])
def test_deal_of_equal_patients_is_by_their_number(size: int, fractions: tuple[float, float, float]) -> None:
    """However many images each has: sets whose patients are alike keep the split they always had."""
    for count in range(3, 60):
        training = min(max(1, round(count * fractions[0])), count - 2)
        reference = min(max(1, round(count * fractions[1])), count - training - 1)
        assert [len(role) for role in deal([size] * count, fractions, 0)][:2] == [training, reference]


def test_deal_of_unequal_patients_is_by_their_images() -> None:
    sizes = [1 + 63 * (number % 3 == 0) for number in range(60)]
    for seed in range(20):
        roles = deal(sizes, (0.5, 0.25, 0.25), seed)
        shares = [sum(sizes[at] for at in role) / sum(sizes) for role in roles]
        assert shares == pytest.approx((0.5, 0.25, 0.25), abs=64 / sum(sizes))
