"""Colour and its absence: luminance, greyscale, saturation, and the balance of the three channels.

All take uint8 N×C×H×W (C is 1 or 3) and give the same shape; each image is on its own. An image without colour (one
channel, or three equal ones) stays as it is.
"""

import torch
from torch import Tensor

from visto.ops.histogram import histograms

# ITU-R BT.601 in 1/65536, as Pillow's convert("L") has it: they sum to 65536, so equal channels keep their value.
_RED, _GREEN, _BLUE = 19595, 38470, 7471


def luma(images: Tensor) -> Tensor:
    """Luminance, uint8 N×1×H×W: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); one channel is its own.

    >>> luma(torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)).item()
    76
    """
    if images.shape[1] == 1:
        return images
    wide = images.int()
    total = wide[:, :1] * _RED + wide[:, 1:2] * _GREEN + wide[:, 2:] * _BLUE
    return (total + (1 << 15)).bitwise_right_shift(16).to(torch.uint8)


def with_luma(images: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """The images with their luminance ``old`` (N×1×H×W) replaced by ``new``, their colour kept.

    Colour is Cb and Cr of YCbCr (ITU-R BT.601), so every channel moves by as much as the luminance; what leaves 0–255
    is cut off.
    """
    if images.shape[1] == 1:
        return new
    wide = torch.int32 if torch.compiler.is_exporting() else torch.int16  # runtimes do not add the latter
    change = new.to(wide) - old.to(wide)
    return (images.to(wide) + change).clamp_(0, 255).to(torch.uint8)


def gray(images: Tensor) -> Tensor:
    """Luminance in every channel."""
    return luma(images).expand_as(images)


def saturation(images: Tensor, factor: float) -> Tensor:
    """Distance from grey times ``factor`` (0 or more): 0 is greyscale, 1 changes nothing, 2 doubles the colour."""
    if images.shape[1] == 1:
        return images
    grey = luma(images).float()
    return images.float().sub_(grey).mul_(factor).add_(grey).round_().clamp_(0, 255).to(torch.uint8)


def gray_world(images: Tensor) -> Tensor:
    """Balance the channels so that the mean of the image is grey.

    Each channel is scaled to the mean of the three means. Buchsbaum, "A spatial processor model for object colour
    perception", 1980. A channel without any light stays so.
    """
    if images.shape[1] == 1:
        return images
    total = images.sum((2, 3), dtype=torch.int64).double()  # whole numbers: exact in any order
    return _scaled(images, total.mean(1, keepdim=True), total)


def white_patch(images: Tensor, percentile: float) -> Tensor:
    """Balance the channels so that the brightest patch is grey.

    The white of a channel is its ``percentile`` (0–100; 100 is its highest value, which a single glint can decide);
    each channel is scaled to the highest of the three whites. Land and McCann, "Lightness and retinex theory", 1971.
    A channel without any light stays so.
    """
    if images.shape[1] == 1:
        return images
    counts = histograms(images).cumsum(2).double()
    share = torch.tensor(percentile / 100, dtype=torch.float64)  # a bare number would be float32 in ONNX
    white = (counts < counts[..., -1:] * share).sum(2).double()
    return _scaled(images, white.amax(1, keepdim=True), white)


def _scaled(images: Tensor, target: Tensor, actual: Tensor) -> Tensor:
    """Each channel times target / actual, N×1 over N×C, both float64."""
    gains = torch.where(actual > 0, target / actual.clamp(min=1), torch.ones_like(actual))
    return images.float().mul_(gains.float()[:, :, None, None]).round_().clamp_(0, 255).to(torch.uint8)
