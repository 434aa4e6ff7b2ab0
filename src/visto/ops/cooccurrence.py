"""Co-occurrence of grey levels: how often two levels lie at a given offset, and what that says of the texture.

Haralick, Shanmugam and Dinstein, "Textural features for image classification", IEEE Transactions on Systems, Man, and
Cybernetics, 1973. A distance is theirs: d along the slant is d pixels down and d to the side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from visto.ops.cells import binned
from visto.ops.levels import grey_levels

LEVELS = 16
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "ASM", "energy", "correlation", "entropy")
# (down, right): 0°, 45°, 90°, 135° as rows are counted, downwards, as in scikit-image. The matrices are symmetric: the
# paper, which turns upwards, has the same four, with 45° and 135° exchanged.
ANGLES = ((0, 1), (1, 1), (1, 0), (1, -1))


def cooccurrences(levels: Tensor, count: int, down: int, right: int) -> Tensor:
    """How often two levels lie ``(down, right)`` pixels apart, either way: symmetric, float64 N×count×count.

    ``levels`` is int64 N×H×W with values 0 … count − 1.

    >>> cooccurrences(torch.tensor([[[0, 0, 1]]]), 2, 0, 1).tolist()
    [[[2.0, 1.0], [1.0, 0.0]]]
    """
    height, width = levels.shape[1:]
    top, left = max(0, -down), max(0, -right)
    tall, wide = height - abs(down), width - abs(right)
    here = levels[:, top : top + tall, left : left + wide]
    there = levels[:, top + down : top + down + tall, left + right : left + right + wide]
    pairs = torch.add(there, here, alpha=count).flatten(1)
    counts = binned(pairs, count * count).double().view(-1, count, count)
    return counts + counts.transpose(1, 2)


def properties(counts: Tensor) -> Tensor:
    """The seven of ``PROPERTIES`` of symmetric counts …×L×L (float64, none all 0): float64 …×7.

    Moments are sums of whole numbers, exact in float64. Where there is one level only, the correlation is 1.
    """
    level = torch.arange(counts.shape[-1], dtype=torch.float64, device=counts.device)
    apart = level[:, None] - level
    first = level[:, None].expand_as(apart)
    weights = torch.stack([apart**2, apart.abs(), 1 / (1 + apart**2), first, first**2, first * level], dim=-1)
    flat = counts.flatten(-2)
    total = flat.sum(-1)
    contrast, dissimilarity, homogeneity, mean, square, product = (flat @ weights.flatten(0, 1)).unbind(-1)
    variance = total * square - mean**2  # times total²
    covariance = total * product - mean**2
    correlation = torch.where(variance > 0, covariance / variance.clamp(min=1), torch.ones_like(variance))
    moment = flat.square().sum(-1) / total**2
    entropy = total.log() - (flat * flat.clamp(min=1).log()).sum(-1) / total
    means = [contrast / total, dissimilarity / total, homogeneity / total]
    return torch.stack([*means, moment, moment.sqrt(), correlation, entropy], dim=-1)


def texture(images_nchw: Tensor, distances: Sequence[int]) -> Tensor:
    """Float images in 0–1 to float32 N×(28 · distances): by distance, then angle, the seven ``PROPERTIES``.

    The luminance is brought to 16 levels of equal width.
    """
    levels = (grey_levels(images_nchw) / (256 / LEVELS)).long()
    offsets = [(down * distance, right * distance) for distance in distances for down, right in ANGLES]
    counts = [cooccurrences(levels, LEVELS, down, right) for down, right in offsets]
    return properties(torch.stack(counts, dim=1)).flatten(1).float()
