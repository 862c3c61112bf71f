"""Losses of a discriminator, and penalties on its gradient with respect to the images it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from pytest_medgan.gan.convolution import without_weights


def in_float32(scores: Tensor) -> Tensor:
    """Return scores in float32 at least; autocast may bring half precision."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def logistic_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Return the mean binary cross-entropy of sigmoid(logits) with 1 (real) or 0.

    Args:
        logits: [N] of any float dtype.
        real: Whether the discriminator should call the images real.
    """
    logits = in_float32(logits)
    return softplus(-logits if real else logits).mean()


def hinge_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Return the mean of max(0, 1 - logits) (real) or max(0, 1 + logits); beyond 1 a logit no longer counts.

    Args:
        logits: [N] of any float dtype.
        real: Whether the discriminator should call the images real.

    References:
        Lim and Ye (2017), "Geometric GAN".
    """
    logits = in_float32(logits)
    return relu(1 - logits if real else 1 + logits).mean()


def gradient_penalty(discriminator: nn.Module, images: Tensor, *args: float | Tensor, target: float = 1.0) -> Tensor:
    """Return the mean over images of (|d score / d image| - target)^2, to be differentiated.

    Args:
        discriminator: (images, *args) -> scores [N].
        images: float [N,C,H,W].
        args: Handed to the discriminator after the images.
        target: The norm that the gradient is pulled towards.

    References:
        Gulrajani et al. (2017), "Improved Training of Wasserstein GANs", equation 3.
    """
    images = images.detach().requires_grad_(True)
    scores = discriminator(images, *args)
    with without_weights():
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    penalty: Tensor = (norms - target).square().mean()
    return penalty


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Return the mean over images of |d logits / d image|^2, to be differentiated: R1 is half its weight times this.

    Batch norm makes a logit depend on the other images of the batch, so the gradient is that of the sum of all logits.

    Args:
        logits: [N].
        images: float [N,C,H,W] that the logits were computed from; they require a gradient.

    References:
        Mescheder, Geiger and Nowozin (2018), "Which training methods for GANs do actually converge?", equation 9.
        Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", appendix B, for taking it on
        some steps only, with the weight as many times higher.
    """
    with without_weights():
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    squared: Tensor = in_float32(gradient).square().sum((1, 2, 3)).mean()
    return squared
