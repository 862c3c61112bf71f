"""The rank of a region's name as the name of the tumour."""

from __future__ import annotations

import pytest

from pytest_medgan.ct.regions import rank


def test_rank_puts_numbered_gtv_first_and_nodes_last() -> None:
    names = ["GTV-1", "gtv 2", "GTV10", "GTVp", "Neoplasm, Primary", "GTV-n1"]
    ranks = [rank(name) for name in names]
    assert ranks == sorted(ranks)  # type: ignore[type-var]
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize(
    "name",
    ["Lung-Left", "Heart", "PTV-1", "CTV", "Esophagus", "", "1", "pre-GTV", "Lung-GTV", "Lungs - GTV", "ring GTV"],
)
def test_rank_of_an_organ_is_none(name: str) -> None:
    assert rank(name) is None


@pytest.mark.parametrize("name", ["GTV-1", "gtv1", "GTV 1", "Gtv_1", "GTV-01"])
def test_rank_ignores_spelling(name: str) -> None:
    assert rank(name) == (0, 1)


@pytest.mark.parametrize(
    "name",
    ["iGTV", "IGTV 2", "GTV_primary", "Primary tumor", "primary", "Tumour", "Lung Tumor", "left lung nodule", "Mass"],
)
def test_rank_accepts_common_names_of_tumours(name: str) -> None:
    assert rank(name) is not None


def test_rank_with_a_wanted_name_rejects_other_names() -> None:
    assert rank("boost vol. 3", "Boost Vol 3") == (0, 0)
    assert rank("GTV-1", "Boost Vol 3") is None
