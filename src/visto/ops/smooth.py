"""Gaussian smoothing, and sharpening by what it takes away. uint8 N×C×H×W in and out; each plane is on its own.

Beyond its edges an image goes on as in a mirror, so it may be smaller than the Gaussian is wide.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from visto.ops.planes import filtered


def gaussian(sigma: float) -> tuple[float, ...]:
    """Half of a Gaussian of ``sigma`` pixels: weights of the centre and of each distance from it, up to 4 sigma.

    The whole sums to 1.

    >>> [round(weight, 3) for weight in gaussian(0.5)]
    [0.787, 0.106, 0.0]
    """
    reach = int(4 * sigma + 0.5)
    half = [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(reach + 1)]
    total = half[0] + 2 * math.fsum(half[1:])
    return tuple(weight / total for weight in half)


def smoothed(block: Tensor, weights: Sequence[float]) -> Tensor:
    """Float planes n×H×W, smoothed with both halves of ``weights`` (K + 1 of them): n×(H − 2K)×(W − 2K).

    A fixed order of plain sums, so that a pixel does not depend on what else is in the batch.
    """
    for axis in (1, 2):
        reach = len(weights) - 1
        side = block.shape[axis] - 2 * reach
        total = block.narrow(axis, reach, side) * weights[0]
        for distance in range(reach, 0, -1):
            pair = block.narrow(axis, reach - distance, side) + block.narrow(axis, reach + distance, side)
            total += pair.mul_(weights[distance])
        block = total
    return block


def blur(images: Tensor, sigma: float) -> Tensor:
    """Smooth with a Gaussian of ``sigma`` pixels (above 0)."""
    weights = gaussian(sigma)

    def work(block: Tensor) -> Tensor:
        return smoothed(block.float(), weights).round_().to(torch.uint8)

    return filtered(images, len(weights) - 1, work)


def sharpen(images: Tensor, amount: float, sigma: float) -> Tensor:
    """Unsharp mask: add ``amount`` (0 or more) times what a Gaussian of ``sigma`` pixels takes away."""
    weights = gaussian(sigma)
    reach = len(weights) - 1

    def work(block: Tensor) -> Tensor:
        pixels = block.float()
        own = pixels[:, reach : pixels.shape[1] - reach, reach : pixels.shape[2] - reach]
        lost = own - smoothed(pixels, weights)
        return lost.mul_(amount).add_(own).round_().clamp_(0, 255).to(torch.uint8)

    return filtered(images, reach, work)
