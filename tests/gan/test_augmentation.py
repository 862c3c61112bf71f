"""What the discriminator sees: each change against its definition, each image its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.augmentation import Augmentation, shifted


def test_shifted_equals_numpy_reflection_and_returns_gradients() -> None:
    images = torch.rand(3, 2, 8, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    by = torch.tensor([[2, -5], [0, 0], [-7, 15]])
    moved = shifted(images, by)
    for image, found, (down, right) in zip(images.detach().numpy(), moved.detach().numpy(), by.tolist(), strict=True):
        wide = np.pad(image, ((0, 0), (7, 7), (15, 15)), mode="reflect")
        np.testing.assert_array_equal(found, wide[:, 7 - down : 15 - down, 15 - right : 31 - right])
    moved.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == moved.numel()
    assert torch.equal(images.grad[1], torch.ones(2, 8, 16))


def test_draw_covers_its_ranges_and_depends_on_step_and_seed_alone() -> None:
    augmentation = Augmentation(shift=3, brightness=0.2, contrast=0.4, cutout=0.5)
    drawn = augmentation.draw(1, range(2, 5), 64)
    moves, greys, cuts = drawn["moves"], drawn["greys"], drawn["cuts"]
    assert moves.shape == greys.shape == cuts.shape == (3, 2, 64, 2)
    assert set(moves.unique().tolist()) == {-3, -2, -1, 0, 1, 2, 3}
    counts = torch.bincount(moves.flatten() + 3)
    assert counts.min() > 0.7 * counts.float().mean()
    assert -0.2 <= greys[..., 0].min() < -0.18
    assert 0.18 < greys[..., 0].max() <= 0.2
    assert 0.6 <= greys[..., 1].min() < 0.63
    assert 1.37 < greys[..., 1].max() <= 1.4
    for pair in (moves.double(), greys.double(), cuts.double()):  # each number of its own draw
        assert abs(float(torch.corrcoef(pair.reshape(-1, 2).T)[0, 1])) < 0.25
    assert 0 <= cuts.min() < 0.02
    assert 0.98 < cuts.max() <= 1
    again = augmentation.draw(1, range(3, 4), 64)
    for name, rows in drawn.items():
        assert torch.equal(again[name][0], rows[1])
        assert not torch.equal(rows[0], rows[1])
        assert not torch.equal(rows[0, 0], rows[0, 1])  # real and generated images
        assert not torch.equal(rows, augmentation.draw(2, range(2, 5), 64)[name])


def test_draw_without_changes_is_empty() -> None:
    assert Augmentation().draw(0, range(3), 4) == {}
    images = torch.rand(2, 1, 8, 8)
    assert Augmentation().apply(images, {}, 0) is images


def test_apply_changes_each_image_by_its_own_numbers() -> None:
    """Contrast about the mean, then brightness, the move, and the erased square, in float64 by numpy."""
    augmentation = Augmentation(shift=2, brightness=0.2, contrast=0.4, cutout=0.5)
    drawn = {name: rows[0] for name, rows in augmentation.draw(7, range(1), 5).items()}
    images = torch.rand(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for side in (0, 1):
        found = augmentation.apply(images, drawn, side).numpy()
        for index, image in enumerate(images.numpy()):
            offset, factor = drawn["greys"][side, index].double().tolist()
            expected = (image - image.mean()) * factor + image.mean() + offset
            down, right = drawn["moves"][side, index].tolist()
            expected = np.pad(expected, ((0, 0), (2, 2), (2, 2)), mode="reflect")
            expected = expected[:, 2 - down : 10 - down, 2 - right : 10 - right].copy()
            centre = drawn["cuts"][side, index].tolist()
            for row in range(8):
                for column in range(8):
                    if abs((row + 0.5) / 8 - centre[0]) < 0.25 and abs((column + 0.5) / 8 - centre[1]) < 0.25:
                        expected[:, row, column] = 0
            np.testing.assert_allclose(found[index], expected, atol=1e-12)


@pytest.mark.parametrize(
    "wrong", [{"shift": -1}, {"brightness": 1.5}, {"contrast": 1.0}, {"cutout": 1.0}, {"cutout": -0.1}]
)
def test_augmentation_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="augmentation is out of range"):
        Augmentation(**wrong)  # type: ignore[arg-type]
