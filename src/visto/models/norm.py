"""Batch norm and an activation, as one layer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.models.activations import activation as activation_named
from visto.native import norm as loops

_EPS = 1e-5
_GROUP = 32  # channels that the loops take at once


class Norm(nn.Module):
    """Batch norm with a bias and without a gain, then activated: the optimiser keeps the size of the filters before it.

    With ``native``, as it is set for learning alone, it runs in loops of our own (``visto.native.norm``) where the
    activation is GELU.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float, activation: str) -> None:
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.activation = activation_named(activation)
        self.native = False

    def suits(self) -> bool:
        """Whether our own loops can be used."""
        return isinstance(self.activation, nn.GELU) and len(self.bias) % _GROUP == 0

    def is_native(self, x: Tensor) -> bool:
        """Whether our own loops run on ``x`` in learning."""
        return self.native and self.suits()

    def forward(self, x: Tensor) -> Tensor:
        native = self.is_native(x)
        if native and self.training:
            made, mean, variance = _NormGelu.apply(x, self.bias)  # type: ignore[no-untyped-call]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            out: Tensor = made
            return out
        if native and not torch.is_grad_enabled():
            return loops.activated(_ready(x), *_line(self.running_mean, self.running_var, self.bias))
        figures = self.running_mean, self.running_var
        x = F.batch_norm(x, *figures, None, self.bias, self.training, self.momentum, _EPS)
        out = self.activation(x)
        return out


class _NormGelu(torch.autograd.Function):
    """Beside what is made: the mean and the unbiased variance of each channel, without a gradient."""

    @staticmethod
    def forward(context: Any, images: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = _ready(images)
        found = loops.moments(images)
        scale, shift = _line(found.mean, found.variance, bias)
        context.save_for_backward(images, scale, shift)
        context.moments = found
        unbiased = found.variance * (found.pixels / max(1, found.pixels - 1))
        figures = found.mean.float(), unbiased.float()
        context.mark_non_differentiable(*figures)
        return loops.activated(images, scale, shift), *figures

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        images, scale, shift = context.saved_tensors
        return loops.gradient(images, _ready(gradients[0]), context.moments, scale, shift)


def _line(mean: Tensor, variance: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """What each channel is multiplied by, and what is added then."""
    scale = (variance.double() + _EPS).rsqrt()
    return scale.float(), (bias.double() - mean * scale).float()


def _ready(images: Tensor) -> Tensor:
    return images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
