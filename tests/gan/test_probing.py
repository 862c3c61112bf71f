"""What is found out about a network: its latent, the range of its values, and whether its images stand alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.probing import GREY_LEVEL, check_network, check_range, probing_latents, try_latents

# ---------------------------------------------------------------------------------------------------------------- range


def slices(count: int = 8, seed: int = 0) -> Tensor:
    """Return images in 0..1 like slices of CT: half is air, the rest tissue and bone. [count,1,32,32]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 15.5
    body = np.hypot(x / 13, y / random.uniform(9, 12, (count, 1, 1))) < 1
    bone = np.hypot(x, y - 5) < random.uniform(1, 3, (count, 1, 1))
    return torch.from_numpy(np.where(bone, 0.95, np.where(body, 0.55, 0.02))).float()[:, None]


def overshoot(images: Tensor, share: float, by: float) -> Tensor:
    """Return images of which a share of the values lies below the least, as those of a linear last layer do."""
    chosen = torch.rand(images.shape, generator=torch.Generator().manual_seed(1)) < share
    return torch.where(chosen, images.min() - by, images)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.04])
def test_values_of_0_to_1_with_some_below_need_a_range(share: float) -> None:
    images = overshoot(slices(), share, by=1.0)
    with pytest.raises(CheckpointError, match=r"below -0\.25, where -1 to 1 is expected\. .* range=0:1 or range=-1:1"):
        check_range(images, is_said=False)
    check_range(images * 2 - 1, is_said=True)  # as brought from range=0:1, where some lie below -1.5


def test_slices_in_minus_one_to_one_need_no_range_even_where_a_few_values_leap() -> None:
    images = slices() * 2 - 1
    check_range(images, is_said=False)
    check_range(overshoot(images, 0.005, by=1.0), is_said=False)


def test_bright_crops_inside_a_tumour_need_no_range() -> None:
    """A twelfth of their values is air."""
    values = torch.linspace(-0.2, 0.6, 8 * 12 * 16).reshape(8, 1, 12, 16)
    values[:, :, 0] = -0.9
    check_range(values, is_said=False)


def test_values_of_an_untrained_network_near_0_need_a_range() -> None:
    """They are all grey, and nobody can know of which grey."""
    values = torch.tanh(0.05 * torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(CheckpointError, match="range=0:1 or range=-1:1"):
        check_range(values, is_said=False)
    check_range(values, is_said=True)


@pytest.mark.parametrize("is_said", [False, True])
def test_values_in_another_range_are_refused_and_their_share_is_named(is_said: bool) -> None:
    grey = slices() * 255  # half of it, air, lies below 1.5 in neither range
    with pytest.raises(CheckpointError, match=r"\d\d% of them beyond -1\.5 to 1\.5"):
        check_range(grey * 2 - 1 if is_said else grey, is_said=is_said)


def test_values_in_standard_deviations_are_not_taken_for_minus_one_to_one() -> None:
    images = slices()
    with pytest.raises(CheckpointError, match=r"outside -1\.\.1"):
        check_range((images - images.mean()) / images.std(), is_said=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_value_that_is_no_number_is_refused(value: float) -> None:
    images = slices() * 2 - 1
    images[0, 0, 0, 0] = value
    with pytest.raises(CheckpointError, match="pixels that are NaN or infinite"):
        check_range(images, is_said=True)


# --------------------------------------------------------------------------------------------------------------- latent


def test_candidate_that_fits_by_reshaping_alone_is_passed_over() -> None:
    """512 numbers fit `view(-1, 64)` as eight latents of 64."""

    def network(z: Tensor) -> Tensor:
        return torch.tanh(z.view(-1, 64, 1, 1).repeat(1, 1, 4, 4)).mean(1, keepdim=True)

    latent, images = try_latents(network, (100, 512, 128, 64, 256), device="cpu")
    assert (latent, len(images)) == (64, 2)


def test_single_candidate_that_draws_another_number_is_returned_with_its_images() -> None:
    latent, images = try_latents(lambda z: z.reshape(-1, 1, 2, 2), (8,), device="cpu")
    assert (latent, len(images)) == (8, 4)


# ---------------------------------------------------------------------------------------------- images that stand alone


class Normalised(nn.Module):
    """z [N,12] -> images [N,1,8,8], with batch normalisation of a trained network."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Linear(12, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh()
            )

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z).reshape(-1, 1, 8, 8)
        return images


def check(network: Callable[[Tensor], Tensor], count: int = 8) -> None:
    check_network(network, 12, device="cpu", is_said=True, count=count, tolerance=GREY_LEVEL)


@pytest.mark.parametrize("count", [8, 2])
def test_network_in_train_mode_is_refused(count: int) -> None:
    with pytest.raises(CheckpointError, match=r"depend on the other images of their batch.* in eval mode"):
        check(Normalised().train(), count)
    check(Normalised().eval(), count)


def test_rounding_of_half_precision_and_of_the_batch_is_let_pass() -> None:
    half = Normalised().eval().bfloat16()
    check(lambda z: half(z.bfloat16()).float())
    single = Normalised().eval()
    check(lambda z: single(z) + 1e-5 * z.mean())  # as where an algorithm sums a batch in another order


def test_noise_is_said_to_be_noise() -> None:
    network = Normalised().eval()
    with pytest.raises(CheckpointError, match="other images when it is called again"):
        check(lambda z: network(z) + 0.1 * torch.randn(len(z), 1, 8, 8))


def test_network_is_called_no_oftener_than_twice_where_nothing_is_wrong() -> None:
    calls, network = [], Normalised().eval()

    def counted(z: Tensor) -> Tensor:
        calls.append(len(z))
        return network(z)  # type: ignore[no-any-return]

    check(counted)
    assert calls == [8, 8]


def test_probing_latents_are_those_of_earlier_versions() -> None:
    """The range that is asked for must not change with them."""
    torch.testing.assert_close(
        probing_latents(3), torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), rtol=0, atol=0
    )
