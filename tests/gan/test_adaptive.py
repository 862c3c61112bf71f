"""Transforms against their definitions, and the probability that follows the discriminator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pytest_medgan.gan.adaptive import Adaptation, Transforms

NONE = Transforms(shift=0.0, rotation=0.0, zoom=0.0, flip=0.0, gain=0.0)
ALWAYS = torch.tensor(1.0)


def images(count: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def changed(
    transforms: Transforms, amounts: list[float], chance: float = 0.0, probability: float = 1.0
) -> torch.Tensor:
    """The images under equal amounts: rows, columns, angle, zoom, mirror, gain."""
    drawn = torch.tensor([amounts] * 3, dtype=torch.float64)
    chances = torch.full((3, 5), chance, dtype=torch.float64)
    return transforms.apply(images(), chances, drawn, torch.tensor(probability, dtype=torch.float64))


def test_no_transform_leaves_the_images() -> None:
    torch.testing.assert_close(changed(NONE, [0.7] * 6), images())
    everything = Transforms(0.3, 45.0, 0.5, 1.0, 0.5)
    torch.testing.assert_close(changed(everything, [0.7] * 6, chance=0.5, probability=0.5), images())
    assert not torch.allclose(changed(everything, [0.7] * 6, chance=0.49, probability=0.5), images())


def test_shift_moves_by_its_share_of_the_side() -> None:
    """A quarter of 16 pixels at full amount: content moves up by four rows and left by two columns."""
    moved = changed(replace(NONE, shift=0.25), [1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(moved[:, :, :-4, :-2], images()[:, :, 4:, 2:])


def test_rotation_turns_by_degrees() -> None:
    turned = changed(replace(NONE, rotation=90.0), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert torch.allclose(turned, images().rot90(1, (2, 3))) or torch.allclose(turned, images().rot90(-1, (2, 3)))


def test_zoom_enlarges_about_the_middle() -> None:
    """Twice as large: the middle half fills the image."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    ramp = (y + 2 * x).double()[None, None]
    grown = replace(NONE, zoom=1.0 - 1e-12).apply(
        ramp, torch.zeros(1, 5), torch.tensor([[0.0, 0, 0, 1, 0, 0]], dtype=torch.float64), ALWAYS
    )
    torch.testing.assert_close(grown[:, :, 1:-1, 1:-1], 0.5 * ramp[:, :, 1:-1, 1:-1], rtol=1e-6, atol=1e-6)


def test_flip_mirrors_its_share() -> None:
    mirrored = replace(NONE, flip=0.5)
    torch.testing.assert_close(changed(mirrored, [0.0, 0, 0, 0, -0.5, 0]), images().flip(3))
    torch.testing.assert_close(changed(mirrored, [0.0, 0, 0, 0, 0.5, 0]), images())


def test_gain_changes_the_contrast_about_the_mean() -> None:
    mean = images().mean((1, 2, 3), keepdim=True)
    found = changed(replace(NONE, gain=0.4), [0.0, 0, 0, 0, 0, -0.5])
    torch.testing.assert_close(found, mean + 0.8 * (images() - mean))


def test_gradients_pass_through_to_the_images() -> None:
    pixels = images().requires_grad_()
    everything = Transforms(0.1, 20.0, 0.2, 0.5, 0.2)
    drawn = {name: rows[0, 1] for name, rows in everything.draw(0, range(1), 3).items()}
    weights = torch.rand(3, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = everything.apply(pixels, drawn["chances"].double(), drawn["amounts"].double(), ALWAYS)
    (gradient,) = torch.autograd.grad((out * weights).sum(), pixels)
    step = torch.zeros_like(pixels)
    step[1, 0, 8, 7] = 1e-6
    up, down = (
        (everything.apply(pixels + s * step, drawn["chances"].double(), drawn["amounts"].double(), ALWAYS) * weights)
        .sum()
        .item()
        for s in (1, -1)
    )
    assert float(gradient[1, 0, 8, 7]) == pytest.approx((up - down) / 2e-6, rel=1e-5)


def test_draws_of_real_and_generated_images_and_of_steps_differ() -> None:
    drawn = replace(NONE, shift=0.1).draw(3, range(2, 4), 5)
    assert drawn["chances"].shape == (2, 2, 5, 5)
    assert drawn["amounts"].shape == (2, 2, 5, 6)
    assert float(drawn["chances"].min()) >= 0
    assert float(drawn["amounts"].min()) < -0.5
    rows = [drawn["amounts"][step, side] for step in range(2) for side in range(2)]
    assert all(not torch.equal(rows[i], rows[j]) for i in range(4) for j in range(i))
    again = replace(NONE, shift=0.1).draw(3, range(3, 4), 5)
    assert torch.equal(again["amounts"][0], drawn["amounts"][1])


def test_probability_follows_the_mean_sign_of_four_steps() -> None:
    """Batch 50 over 1,000 images: a fifth for each four steps."""
    adaptation = Adaptation(0.6, 50, 1000)
    seen = []
    for signs in ([1, 1, 1, 0.9], [1, 1, 0.2, 0.9], [0.5] * 4, [-1] * 4, [-1] * 4, *([[1] * 4] * 6)):
        for sign in signs:
            adaptation.note(torch.tensor(float(sign)))
        adaptation.adapt()
        seen.append(round(float(adaptation.probability), 6))
    assert seen == [0.2, 0.4, 0.2, 0.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


def test_probability_stays_zero_without_a_target() -> None:
    adaptation = Adaptation(0.0, 50, 100)
    for sign in (1.0, 1.0, 1.0, 1.0):
        adaptation.note(torch.tensor(sign))
    adaptation.adapt()
    assert float(adaptation.probability) == 0.0
