"""Penalties on the gradient of a discriminator with respect to the images it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gradient_penalty(discriminator: nn.Module, images: Tensor, *args: float | Tensor, target: float = 1.0) -> Tensor:
    """Mean over images of (|d score / d image| - target)^2 (Gulrajani et al. 2017, equation 3), to be differentiated.

    `images` float [N,C,H,W]; `args` are handed to the discriminator behind them.
    """
    images = images.detach().requires_grad_(True)
    scores = discriminator(images, *args)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    penalty: Tensor = (norms - target).square().mean()
    return penalty


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of |d logits / d image|^2, to be differentiated: R1 is half its weight times this.

    Mescheder, Geiger and Nowozin (2018), "Which training methods for GANs do actually converge?", equation 9; on every
    eighth step or so, with the weight as many times over, as Karras et al. (2020), appendix B. Batch norm lets the
    images of a batch touch, so the gradient is that of the sum of their logits. `logits` [N] of `images` float
    [N,C,H,W], which require a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    squared: Tensor = gradient.to(torch.promote_types(gradient.dtype, torch.float32)).square().sum((1, 2, 3)).mean()
    return squared
