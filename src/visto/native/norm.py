"""Batch norm without a gain, then GELU, of bf16 images N×C×H×W in channels-last layout: two passes, and two back.

Torch's own take three times as long. The functions may only be called where ``winograd.can_convolve``, with channels in
groups of 32; tables and sums by channel are in fp32 or fp64.
"""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.native.pixels import pointer
from visto.native.winograd import loops

_PART = 512  # pixels that are summed by themselves, as in norm.c


@dataclass(frozen=True, slots=True)
class Moments:
    """Of each channel (C, fp64), over so many pixels; the variance is that of the pixels themselves."""

    mean: Tensor
    variance: Tensor
    pixels: int


def moments(images: Tensor) -> Moments:
    """Mean and variance of each channel."""
    sums = _sums(images)
    _call("visto_moments", images, sums)
    pixels = images.numel() // images.shape[1]
    mean, of_squares = _in_order(sums.double().sum(0)) / pixels
    return Moments(mean, (of_squares - mean.square()).clamp_min(0), pixels)


def activated(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """GELU of the images, each channel times ``scale`` plus ``shift``."""
    made = torch.empty_like(images)
    _call("visto_norm_gelu", images, _by_lanes(scale), _by_lanes(shift), made)
    return made


def gradient(images: Tensor, of_made: Tensor, found: Moments, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Of the images and of the bias, given that of what ``activated`` made: ``scale`` is 1 over the deviation."""
    back, sums = torch.empty_like(images), _sums(images)
    _call("visto_norm_gelu_slope", images, of_made, _by_lanes(scale), _by_lanes(shift), back, sums)
    of_bias, with_images = _in_order(sums.double().sum(0))
    inverse = scale.double()
    lean = (with_images - found.mean * of_bias) * inverse.square() / found.pixels  # on the normalised images
    constant = found.mean * lean - of_bias / found.pixels
    _call("visto_norm_back", back, images, *(_by_lanes(t) for t in (inverse, -inverse * lean, inverse * constant)))
    return back, of_bias.float()


def _sums(images: Tensor) -> Tensor:
    parts = -(-images.numel() // images.shape[1] // _PART)
    return torch.empty(parts, 2, images.shape[1])


def _by_lanes(table: Tensor) -> Tensor:
    """Of 32 channels the even ones first."""
    return table.float().view(-1, 16, 2).transpose(1, 2).contiguous()


def _in_order(sums: Tensor) -> Tensor:
    """Channels in their own order again."""
    return sums.view(2, -1, 2, 16).transpose(2, 3).reshape(2, -1)


def _call(name: str, images: Tensor, *others: Tensor) -> None:
    channels = images.shape[1]
    sizes = ctypes.c_int64(images.numel() // channels), ctypes.c_int64(channels)
    getattr(loops(), name)(*map(pointer, (images, *others)), *sizes, torch.get_num_threads())
