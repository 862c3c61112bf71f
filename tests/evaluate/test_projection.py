from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.evaluate.projection import _choose, _fill_frame, project


def clusters(count: int, centres: list[int], seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return features [count,32] around unit axes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.05, (count, 32)).astype(np.float32)
    features[np.arange(count), np.array(centres)[rng.integers(len(centres), size=count)]] += 1
    return features


def as_npy(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    """Return the bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_similar_images_lie_close_together() -> None:
    """Generated images of one of three real clusters lie among the real images of that cluster."""
    real, fake = clusters(60, [0, 1, 2], 0), clusters(60, [2], 1)
    plane = project(real=real, fake=fake)
    assert plane is not None
    nearest = []
    for place in np.flatnonzero(~plane.is_real):
        gaps = np.linalg.norm(plane.coordinates[plane.is_real] - plane.coordinates[place], axis=1)
        nearest.append(int(real[plane.index[plane.is_real][gaps.argmin()]].argmax()))
    assert nearest.count(2) / len(nearest) > 0.95


def test_equal_seeds_give_equal_coordinates() -> None:
    real, fake = clusters(30, [0, 1], 0), clusters(30, [1, 2], 1)
    first, again = (project(real=real, fake=fake, seed=7) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert first.coordinates.dtype == np.float32
    assert first.coordinates[:, 0].min() == pytest.approx(-1)
    assert first.coordinates[:, 0].max() == pytest.approx(1)
    assert np.ptp(first.coordinates[:, 1]) <= 2
    assert np.isfinite(first.coordinates).all()


def test_subset_of_many_images_is_half_real() -> None:
    plane = project(real=clusters(50, [0], 0), fake=clusters(30, [1], 1), points=40)
    assert plane is not None
    assert plane.is_real.tolist() == [True] * 20 + [False] * 20
    for side in (plane.is_real, ~plane.is_real):
        index = plane.index[side]
        assert (np.diff(index) > 0).all()
    assert plane.index[plane.is_real].max() < 50
    assert plane.index[~plane.is_real].max() < 30


def test_choose_takes_all_of_few_rows() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    assert _choose(5, 10, rng).tolist() == [0, 1, 2, 3, 4]
    assert len(set(_choose(100, 10, rng).tolist())) == 10


def test_equal_features_give_finite_coordinates() -> None:
    """All images of a collapsed model are equal."""
    real, fake = clusters(20, [0, 1], 0), np.ones((20, 32), np.float32)
    plane = project(real=real, fake=fake)
    assert plane is not None
    assert np.isfinite(plane.coordinates).all()


def test_too_few_images_have_no_projection() -> None:
    assert project(real=clusters(3, [0], 0), fake=clusters(30, [0], 1)) is None


def test_features_of_other_width_are_refused() -> None:
    with pytest.raises(MetricInputError, match=r"shapes \[20, 32\] and \[20, 16\] and must be \[N,D\] and \[M,D\]"):
        project(real=clusters(20, [0], 0), fake=clusters(20, [0], 1)[:, :16])


def test_coordinates_fill_the_frame_along_their_wider_axis() -> None:
    rng = np.random.default_rng(0)
    along = rng.uniform(-5, 5, 200)
    across = rng.uniform(-1, 1, 200)
    tilted = np.stack([along - across, along + across], 1) + 7  # the long axis lies on the diagonal
    filled = _fill_frame(tilted)
    np.testing.assert_allclose(np.abs(filled).max(0)[0], 1, rtol=1e-6)
    np.testing.assert_allclose(filled.max(0), -filled.min(0), atol=1e-6)
    assert 0.15 < np.abs(filled[:, 1]).max() < 0.25
    before = np.linalg.norm(tilted[:, None] - tilted[None], axis=2)
    after = np.linalg.norm(filled[:, None].astype(float) - filled[None], axis=2)
    ratio = after[before > 0] / before[before > 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)  # rotated and scaled, not stretched


def test_kept_projection_is_read_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"real": clusters(20, [0], 0), "fake": clusters(20, [1], 1)}
    first = project(**sides, folder=tmp_path / "planes")
    monkeypatch.setattr("pytest_medgan.evaluate.projection._embed", lambda *_: pytest.fail("was projected again"))
    again = project(**sides, folder=tmp_path / "planes")
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.coordinates, first.coordinates)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", as_npy(np.zeros((3, 2), np.float32)), as_npy(np.full((40, 2), np.nan, np.float32))]
)
def test_damaged_or_foreign_kept_projection_is_made_again(tmp_path: Path, content: bytes) -> None:
    sides = {"real": clusters(20, [0], 0), "fake": clusters(20, [1], 1)}
    first = project(**sides, folder=tmp_path)
    [kept] = tmp_path.iterdir()
    kept.write_bytes(content)
    again = project(**sides, folder=tmp_path)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.coordinates, first.coordinates)
    np.testing.assert_array_equal(np.load(kept), first.coordinates)


def test_other_features_or_seed_do_not_share_a_kept_projection(tmp_path: Path) -> None:
    sides = {"real": clusters(20, [0], 0), "fake": clusters(20, [1], 1)}
    for seed, real in ((0, sides["real"]), (1, sides["real"]), (0, sides["real"] + 1)):
        project(real=real, fake=sides["fake"], seed=seed, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_no_more_than_the_newest_projections_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_medgan.evaluate.projection.KEPT", 2)
    names = []
    for seed in range(3):
        project(real=clusters(5, [0], 0), fake=clusters(5, [1], 1), seed=seed, folder=tmp_path)
        [new] = {path.name for path in tmp_path.iterdir()} - set(names)
        os.utime(tmp_path / new, (seed, seed))
        names.append(new)
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
