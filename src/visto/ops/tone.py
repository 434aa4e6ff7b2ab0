"""Brightness, contrast and gamma. uint8 N×C×H×W in and out; each image is on its own."""

import torch
from torch import Tensor

from visto.ops.colour import luma
from visto.ops.histogram import looked_up


def brightness(images: Tensor, factor: float) -> Tensor:
    """Every pixel times ``factor`` (0 or more): 1 changes nothing; what passes 255 is cut off.

    >>> brightness(torch.tensor([[[[10, 200]]]], dtype=torch.uint8), 1.5).tolist()
    [[[[15, 255]]]]
    """
    # a bare number would be float32 in ONNX, and round halves elsewhere
    return _by_table(images, torch.arange(256, dtype=torch.float64) * torch.tensor(factor, dtype=torch.float64))


def contrast(images: Tensor, factor: float) -> Tensor:
    """Distance from the image's mean luminance times ``factor`` (0 or more): 1 changes nothing."""
    grey = luma(images)
    pixels = grey.shape[2] * grey.shape[3]
    # rounded, as in Pillow's ImageEnhance: whole numbers, exact in any order
    mean = (grey.sum((1, 2, 3), dtype=torch.int64) * 2 + pixels).div(2 * pixels, rounding_mode="floor")
    mean = mean.float().view(-1, 1, 1, 1)
    return images.float().sub_(mean).mul_(factor).add_(mean).round_().clamp_(0, 255).to(torch.uint8)


def gamma(images: Tensor, exponent: float) -> Tensor:
    """Every pixel, as a share of 255, to the power of ``exponent`` (above 0): below 1 lights up the shadows.

    >>> gamma(torch.tensor([[[[0, 64, 255]]]], dtype=torch.uint8), 0.5).tolist()
    [[[[0, 128, 255]]]]
    """
    return _by_table(images, torch.tensor([255 * (v / 255) ** exponent for v in range(256)], dtype=torch.float64))


def _by_table(images: Tensor, values: Tensor) -> Tensor:
    return looked_up(images, values.round().clamp(0, 255).to(torch.uint8).to(images.device))
