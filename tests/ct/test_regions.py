"""Which region is the tumour."""

from __future__ import annotations

import pytest

from pytest_medgan.ct.regions import rank


def test_claims_in_order() -> None:
    names = ["GTV-1", "gtv 2", "GTV10", "GTVp", "Neoplasm, Primary", "GTV-n1"]
    ranks = [rank(name) for name in names]
    assert ranks == sorted(ranks)  # type: ignore[type-var]
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize("name", ["Lung-Left", "Heart", "PTV-1", "CTV", "Esophagus", "", "1", "pre-GTV"])
def test_organs_make_no_claim(name: str) -> None:
    assert rank(name) is None


@pytest.mark.parametrize("name", ["GTV-1", "gtv1", "GTV 1", "Gtv_1", "GTV-01"])
def test_spelling_does_not_matter(name: str) -> None:
    assert rank(name) == (0, 1)
