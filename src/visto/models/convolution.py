"""A convolution of 3×3 pixels that learns by Winograd's method where the engine says so."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.native import answers, winograd


class Convolution(nn.Conv2d):
    """3×3 pixels, a border of one, no bias; ``pooled``: then the largest of each 2×2 pixels.

    With ``native``, as it is set for learning alone, it runs in bf16 by Winograd's method, with about 1 % of noise
    (``visto.native.winograd``); answers for many images are found by it in fp32, without (``visto.native.answers``).
    """

    def __init__(self, inputs: int, outputs: int, *, pooled: bool = False) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        self.pooled = pooled
        self.native = False

    def suits(self, *, first: bool = True) -> bool:
        """Whether Winograd's method can be used; ``first``: no gradient of what it reads is wanted."""
        there = winograd.suits(self.in_channels, self.out_channels)
        return there and (first or winograd.suits(self.out_channels, self.in_channels))

    def is_native(self, x: Tensor) -> bool:
        """Whether ``x`` is convolved by Winograd's method."""
        return self.native and self.suits(first=not x.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_native(x):
            out: Tensor = _Winograd.apply(x, self.weight, self.pooled)  # type: ignore[no-untyped-call]
            return out
        if answers.pays(x, self.weight):
            return answers.convolved(x, self.weight, pooled=self.pooled)
        x = super().forward(x)
        return F.max_pool2d(x, 2) if self.pooled else x


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, filters: Tensor, pooled: bool) -> Tensor:
        images = _ready(images)
        made, bits = winograd.convolved(images, filters, pooled=pooled)
        context.save_for_backward(images, filters, bits)
        return made

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, filters, bits = context.saved_tensors
        gradient = _ready(gradients[0])
        of_images = of_filters = None
        if context.needs_input_grad[0]:
            of_images = winograd.gradient_of_images(gradient, filters, bits, *images.shape[2:])
        if context.needs_input_grad[1]:
            of_filters = winograd.gradient_of_filters(images, gradient, bits)
        return of_images, of_filters, None


def _ready(images: Tensor) -> Tensor:
    return images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
